"""Django's admin lists the sessions of a user, and ends one, some or all through the manager."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from tests.django_app.site import Site, open_site, service
from tokenwheel import (
    AsyncSessionManager,
    Device,
    SessionContext,
    SessionEvent,
    SessionManager,
    SessionTokens,
)

from django.contrib.admin.models import LogEntry  # isort: skip -- it needs the settings
from django.contrib.auth.models import Permission, User  # isort: skip
from django.contrib.messages import get_messages  # isort: skip
from django.db import connection, connections  # isort: skip
from django.test import AsyncClient, Client  # isort: skip
from django.test.utils import CaptureQueriesContext  # isort: skip
from tokenwheel.session.refresh_tokens import SESSION_ID_LENGTH  # isort: skip
from tokenwheel.django import admin as admin_page  # isort: skip
from tokenwheel.django.models import Session  # isort: skip

LIST = "/admin/tokenwheel/session/"
PIXEL = SessionContext("203.0.113.7", Device("Pixel", "phone"), "Chișinău")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as opened:
        yield opened


def logged_in(*permissions: str) -> Client:
    """Return the browser of somebody of the staff who may do this: of the root without any."""
    name = "-".join(permissions) or "root"
    user = User.objects.create_user(name, is_staff=True, is_superuser=not permissions)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


def page_of(tokens: SessionTokens) -> str:
    return f"{LIST}{tokens.session_id.replace('_', '_5F')}/change/"


def end_page_of(tokens: SessionTokens) -> str:
    return f"{LIST}{tokens.session_id.replace('_', '_5F')}/delete/"


def act(client: Client, action: str, *chosen: SessionTokens, confirmed: bool = True) -> Any:
    form = {"action": action, "_selected_action": [tokens.session_id for tokens in chosen]}
    return client.post(LIST, {**form, "post": "yes"} if confirmed else form)


def messages_of(client: Client) -> list[str]:
    return [str(message) for message in get_messages(client.get(LIST).wsgi_request)]


def listed(client: Client, term: str = "") -> set[str]:
    """Return the ids of the sessions that a search finds."""
    response = client.get(LIST, {"q": term})
    assert response.status_code == 200
    return {session.pk for session in response.context_data["cl"].result_list}


def test_the_sessions_of_a_subject_are_found_exactly(site: Site) -> None:
    root = logged_in()
    first, second = site.log_in("ann", context=PIXEL), site.log_in("ann")
    others = [site.log_in(name) for name in ("Ann", "ann ", "an", "anna", "%")]
    assert listed(root, "ann") == {first.session_id, second.session_id}
    assert listed(root, "ann ") == {others[1].session_id}
    assert listed(root, "nn") == listed(root, "ann%") == listed(root, "_nn") == set()
    assert len(listed(root)) == 7
    hashed = Session.objects.get(pk=first.session_id).subject_hash
    assert listed(root, hashed) == listed(root, "ann")
    assert listed(root, second.session_id) == {second.session_id}


def test_a_users_name_finds_their_sessions_for_those_who_may_view_users(site: Site) -> None:
    ann = User.objects.create_user("ann@example.com")
    tokens = site.log_in(ann)
    assert listed(logged_in(), "ann@example.com") == {tokens.session_id}
    assert listed(logged_in("view_session"), "ann@example.com") == set()
    assert listed(logged_in("view_session", "view_user"), "ann@example.com") == {tokens.session_id}


def test_the_pages_show_where_a_session_came_from_and_nothing_secret(site: Site) -> None:
    root = logged_in()
    tokens = site.log_in("ann", context=PIXEL)
    row = Session.objects.get(pk=tokens.session_id)
    hashes = [row.family_hash, row.secret_hash, row.mac, row.salt]
    for path in (LIST, page_of(tokens), end_page_of(tokens)):
        page = root.get(path).content.decode()
        for shown in ("ann", "Pixel (phone)", "203.0.113.7", "Chișinău"):
            assert shown in page
        assert tokens.refresh_token[SESSION_ID_LENGTH:] not in page
        for secret in filter(None, hashes):
            assert bytes(secret).hex() not in page
            assert str(bytes(secret)) not in page


def test_what_a_client_says_of_itself_is_no_markup(site: Site) -> None:
    root = logged_in()
    script = "<script>alert(1)</script>"
    tokens = site.log_in(script, context=SessionContext(script, Device(script, script), script))
    for path in (LIST, page_of(tokens), end_page_of(tokens)):
        page = root.get(path).content.decode()
        assert script not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("column", ["secret_hash", "family_hash", "mac", "subject_hash", "id"])
def test_no_column_can_be_probed_by_the_address(site: Site, column: str) -> None:
    site.log_in("ann")
    response = logged_in("view_session").get(LIST, {f"{column}__gt": "a"})
    assert response.status_code == 400


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_one_session_ends_and_its_tokens_are_refused_at_once(tmp_path: Path, kind: Any) -> None:
    with open_site(tmp_path, kind) as site:
        root = logged_in()
        laptop, phone = site.log_in("ann"), site.log_in("ann")
        assert "Are you sure" not in root.get(end_page_of(phone)).content.decode()
        assert not site.is_refused(phone)
        response = root.post(end_page_of(phone), {"post": "yes"})
        assert (response.status_code, response.headers["Location"]) == (302, LIST)
        assert site.is_refused(phone)
        assert not site.is_refused(laptop)
        assert messages_of(root) == ["1 session was ended."]
        assert listed(root, "ann") == {laptop.session_id}


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_some_sessions_end_once_that_is_confirmed(tmp_path: Path, kind: Any) -> None:
    with open_site(tmp_path, kind) as site:
        root = logged_in()
        kept, *chosen = (site.log_in("ann") for _ in range(3))
        other = site.log_in("ben")
        page = act(root, "delete_selected", *chosen, other, confirmed=False)
        assert page.content.decode().count("_selected_action") == 3
        assert not any(map(site.is_refused, [*chosen, other]))
        assert act(root, "delete_selected", *chosen, other).status_code == 302
        assert all(map(site.is_refused, [*chosen, other]))
        assert not site.is_refused(kept)
        assert messages_of(root) == ["3 sessions were ended."]


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_all_sessions_of_a_subject_end(tmp_path: Path, kind: Any) -> None:
    with open_site(tmp_path, kind) as site:
        root = logged_in()
        first, *more = (site.log_in("ann") for _ in range(3))
        ben = site.log_in("ben")
        page = act(root, "end_all", first, confirmed=False).content.decode()
        assert page.count("_selected_action") == 3
        act(root, "end_all", first)
        assert all(map(site.is_refused, [first, *more]))
        assert not site.is_refused(ben)
        assert messages_of(root) == ["3 sessions were ended."]


def test_the_page_of_a_session_leads_to_the_end_of_it_and_of_all(site: Site) -> None:
    tokens = site.log_in("ann")
    page = logged_in().get(page_of(tokens)).content.decode()
    assert f'href="{end_page_of(tokens)}"' in page
    assert 'value="end_all"' in page
    page = logged_in("view_session").get(page_of(tokens)).content.decode()
    assert "/delete/" not in page
    assert "end_all" not in page


def test_the_managers_listeners_hear_of_an_end_in_the_admin(site: Site) -> None:
    heard: list[Any] = []
    site.manager.on(SessionEvent.SESSION_INVALIDATED, heard.append)
    site.manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED, heard.append)
    root = logged_in()
    first, second = site.log_in("ann"), site.log_in("ann")
    act(root, "delete_selected", first)
    act(root, "end_all", second)
    assert len(heard) == 2
    assert heard[0].session.id == first.session_id
    assert [session.id for session in heard[1].sessions] == [second.session_id]


def test_sessions_of_another_service_and_of_another_key_end_as_well(site: Site) -> None:
    root = logged_in()
    with (
        service(issuer="another service") as other,
        service(storage_key="another key, of 32 bytes or more") as sealed,
    ):
        of_other, of_sealed = other.create(subject="ann"), sealed.create(subject="ann")
        again = other.create(subject="ann"), sealed.create(subject="ann"), site.log_in("ann")
        act(root, "delete_selected", of_other, of_sealed)
        assert messages_of(root) == ["2 sessions were ended."]
        assert listed(root, "ann") == {tokens.session_id for tokens in again}
        act(root, "end_all", again[0])
        assert messages_of(root) == ["3 sessions were ended."]
        assert listed(root, "ann") == set()
        for tokens in (of_other, of_sealed, *again):
            assert site.manager.revocations.lowest_generation(tokens.session_id) != 0


def test_a_session_ends_in_the_default_database_without_the_setting(site: Site) -> None:
    root = logged_in()
    tokens = site.log_in("ann")
    with (
        override_settings(TOKENWHEEL=None, MIDDLEWARE=_without_ours()),
    ):
        act(root, "delete_selected", tokens)
    site.wait_until_refused(tokens)


def _without_ours() -> list[str]:
    from django.conf import settings

    return [name for name in settings.MIDDLEWARE if not name.startswith("tokenwheel")]


def test_who_may_only_view_ends_nothing(site: Site) -> None:
    tokens = site.log_in("ann")
    viewer = logged_in("view_session")
    assert listed(viewer, "ann") == {tokens.session_id}
    assert viewer.get(page_of(tokens)).status_code == 200
    assert viewer.get(end_page_of(tokens)).status_code == 403
    assert viewer.post(end_page_of(tokens), {"post": "yes"}).status_code == 403
    act(viewer, "delete_selected", tokens)
    act(viewer, "end_all", tokens)
    assert not site.is_refused(tokens)


def test_who_may_delete_and_view_ends_sessions(site: Site) -> None:
    tokens = site.log_in("ann")
    act(logged_in("view_session", "delete_session"), "delete_selected", tokens)
    assert site.is_refused(tokens)


@pytest.mark.parametrize("permission", ["view_user", "change_session", "add_session"])
def test_nobody_adds_or_changes_a_session(site: Site, permission: str) -> None:
    tokens = site.log_in("ann")
    before = Session.objects.filter(pk=tokens.session_id).values()[0]
    for client in (logged_in(), logged_in(permission)):
        assert client.get(f"{LIST}add/").status_code == 403
        assert client.post(f"{LIST}add/", {}).status_code == 403
        changed = client.post(page_of(tokens), {"subject": "ben"})
        assert changed.status_code == 403
    assert Session.objects.filter(pk=tokens.session_id).values()[0] == before


def test_no_action_deletes_rows_beside_the_manager(site: Site) -> None:
    page = logged_in().get(LIST)
    actions = [name for name, _ in page.context_data["action_form"].fields["action"].choices]
    assert actions == ["", "delete_selected", "end_all"]
    assert "Delete" not in page.content.decode()


def test_a_page_of_another_site_ends_nothing(site: Site) -> None:
    tokens = site.log_in("ann")
    logged_in()
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="root"))
    assert client.post(end_page_of(tokens), {"post": "yes"}).status_code == 403
    assert act(client, "delete_selected", tokens).status_code == 403
    assert not site.is_refused(tokens)


def test_the_log_of_the_admin_has_what_was_ended_and_by_whom(site: Site) -> None:
    root = logged_in()
    first, second, third = (site.log_in("ann") for _ in range(3))
    root.post(end_page_of(first), {"post": "yes"})
    act(root, "delete_selected", second)
    act(root, "end_all", third)
    entries = LogEntry.objects.order_by("pk").values_list("user__username", "object_id")
    assert list(entries) == [("root", tokens.session_id) for tokens in (first, second, third)]
    assert not LogEntry.objects.exclude(action_flag=3).exists()


def test_a_session_that_is_not_there_is_said_to_be_missing(site: Site) -> None:
    root = logged_in()
    tokens = site.log_in("ann")
    site.service.delete_all("ann")
    assert root.get(end_page_of(tokens)).status_code == 302
    assert root.post(end_page_of(tokens), {"post": "yes"}).status_code == 302
    act(root, "delete_selected", tokens)
    assert messages_of(root)[-1] == "0 sessions were ended."
    assert not LogEntry.objects.exists()


def test_a_storage_that_fails_is_shown_and_nothing_is_logged_as_ended(site: Site) -> None:
    root = logged_in()
    tokens = site.log_in("ann")
    site.manager.storage.close()
    act(root, "delete_selected", tokens)
    failed, none = messages_of(root)
    assert failed.startswith("Some sessions could not be ended: ")
    assert none == "0 sessions were ended."
    assert not LogEntry.objects.exists()
    assert not site.is_refused(tokens)


def test_a_session_ends_at_once_where_requests_are_transactions(site: Site) -> None:
    root = logged_in()
    tokens = site.log_in("ann")
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        root.post(end_page_of(tokens), {"post": "yes"})
        assert site.is_refused(tokens)
        act(root, "end_all", site.log_in("ann"))
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert listed(root) == set()
    assert messages_of(root) == []


def test_a_damaged_row_is_listed_and_ended(site: Site) -> None:
    root = logged_in()
    tokens = site.log_in("ann", context=PIXEL)
    Session.objects.filter(pk=tokens.session_id).update(
        context=b"{", created_at=1e300, last_used_at=-1e300
    )
    assert listed(root, "ann") == {tokens.session_id}
    assert root.get(page_of(tokens)).status_code == 200
    act(root, "delete_selected", tokens)
    assert site.is_refused(tokens)


def test_pages_take_the_index_and_never_count_the_whole_table(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logged_in()
    chosen = [site.log_in("ann") for _ in range(6)]
    site.log_in("ben")
    monkeypatch.setattr(admin_page, "_MOST", 5)
    monkeypatch.setattr(admin_page.SessionAdmin, "list_per_page", 2)
    for term in ("", "ann"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page = root.get(LIST, {"q": term, "p": 3})
        assert page.context_data["cl"].result_count == 5
        assert len(page.context_data["cl"].result_list) == 1
        asked = [query["sql"] for query in queries if "tokenwheel_sessions" in query["sql"]]
        assert asked
        for sql in asked:
            assert "LIMIT" in sql
            plan = json.dumps(_plan_of(sql))
            index = "tokenwheel_sessions_subject" if term else "tokenwheel_sessions_end"
            assert index in plan
    act(root, "end_all", chosen[0])
    assert listed(root, "ann") == set()


def _plan_of(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return cursor.fetchall()


def test_all_that_are_listed_can_be_selected_and_no_more(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logged_in()
    tokens = [site.log_in(name) for name in ("ann", "ben", "chloe")]
    monkeypatch.setattr(admin_page, "_MOST", 2)
    form = {"action": "delete_selected", "select_across": "1", "index": "0"}
    page = root.post(LIST, {**form, "_selected_action": tokens[0].session_id})
    assert page.content.decode().count("_selected_action") == 2


def test_sessions_are_sorted_by_their_columns_within_a_search_alone(site: Site) -> None:
    site.log_in("ann")
    root = logged_in()
    assert "sortable" not in root.get(LIST).content.decode()
    assert "sortable" in root.get(LIST, {"q": "ann"}).content.decode()


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_a_session_ends_in_an_event_loop_as_well(tmp_path: Path, kind: Any) -> None:
    async def end(path: str) -> Any:
        client = AsyncClient()
        await client.aforce_login(await User.objects.aget(username="root"))
        response = await client.post(path, {"post": "yes"})
        await sync_to_async(connections.close_all)()  # those of asgiref's thread
        return response

    with open_site(tmp_path, kind) as site:
        logged_in()
        tokens = site.log_in("ann")
        assert asyncio.run(end(end_page_of(tokens))).status_code == 302
        assert site.is_refused(tokens)
