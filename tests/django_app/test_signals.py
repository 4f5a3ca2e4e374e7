"""A user's sessions end when the password changes, the user is deactivated, or deleted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import override_settings

from tests.django_app.site import QUICK, USUAL, Site, open_site
from tokenwheel import AsyncSessionManager, InvalidArgument, SessionManager, StorageUnavailable

from django.contrib.auth import authenticate  # isort: skip -- it needs the settings
from django.contrib.auth.models import User  # isort: skip
from django.core.management import call_command  # isort: skip
from django.db import connections, transaction  # isort: skip
from django.test import Client  # isort: skip
from tokenwheel.django.signals import keep_session  # isort: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as opened:
        yield opened


@pytest.fixture
def ann(site: Site) -> User:
    return User.objects.create_user("ann", password="correct horse")


def change_password(user: User) -> None:
    user.set_password("new")
    user.save()


def change_only_the_password(user: User) -> None:
    user.set_password("new")
    user.save(update_fields=["password"])


def change_password_awaiting(user: User) -> None:
    async def save() -> None:
        await user.asave()
        await sync_to_async(connections.close_all)()  # those of asgiref's thread

    user.set_password("new")
    asyncio.run(save())


def make_password_unusable(user: User) -> None:
    user.set_unusable_password()
    user.save()


def change_password_of_a_copy(user: User) -> None:
    user.set_password("new")
    User(pk=user.pk, username="ann", password=user.password).save()


def change_password_in_the_admin(user: User) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    form = {"password1": "stable battery", "password2": "stable battery", "usable_password": "true"}
    response = client.post(f"/admin/auth/user/{user.pk}/password/", form)
    assert response.status_code == 302


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def deactivate_alone(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def deactivate_with_a_new_password(user: User) -> None:
    user.is_active = False
    change_password(user)


def delete(user: User) -> None:
    user.delete()


def delete_by_a_query(user: User) -> None:
    User.objects.filter(pk=user.pk).delete()


def load_a_fixture(user: User) -> None:
    path = Path(f"{user.pk}.json").absolute()
    call_command("dumpdata", "auth.user", primary_keys=str(user.pk), output=str(path))
    path.write_text(path.read_text().replace('"password": "', '"password": "!'))
    call_command("loaddata", str(path), verbosity=0)


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
@pytest.mark.parametrize(
    "act",
    [
        change_password,
        change_only_the_password,
        change_password_awaiting,
        change_password_of_a_copy,
        change_password_in_the_admin,
        make_password_unusable,
        deactivate,
        deactivate_alone,
        deactivate_with_a_new_password,
        delete,
        delete_by_a_query,
        load_a_fixture,
    ],
)
def test_the_users_sessions_end_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, act: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_site(tmp_path, kind) as site:
        ann = User.objects.create_user("ann", password="correct horse")
        laptop, phone = site.log_in(ann), site.log_in(ann)
        ben = site.log_in(User.objects.create_user("ben", password="correct horse"))
        act(ann)
        assert site.is_refused(laptop)
        assert site.is_refused(phone)
        assert not site.is_refused(ben)


def save_all(user: User) -> None:
    user.first_name = "Ann"
    user.save()


def save_something_else(user: User) -> None:
    user.set_password("new")  # It is not saved.
    user.save(update_fields=["last_login"])


def log_in_to_django(user: User) -> None:
    assert Client().login(username="ann", password="correct horse")


def save_a_part(user: User) -> None:
    part = User.objects.only("first_name").get(pk=user.pk)
    part.first_name = "Ann"
    part.save()


@pytest.mark.parametrize("act", [save_all, save_something_else, log_in_to_django, save_a_part])
def test_whatever_else_is_saved_ends_no_session(site: Site, ann: User, act: Any) -> None:
    tokens = site.log_in(ann)
    act(ann)
    assert not site.is_refused(tokens)


def test_a_newer_hash_of_the_same_password_ends_no_session(site: Site, ann: User) -> None:
    tokens, before = site.log_in(ann), ann.password
    with override_settings(PASSWORD_HASHERS=[USUAL, QUICK]):
        assert authenticate(username="ann", password="correct horse") == ann
        ann.refresh_from_db()
        assert ann.password != before
        assert not site.is_refused(tokens)
        change_password(ann)
        assert site.is_refused(tokens)


def test_a_password_that_is_set_while_the_hashers_change_ends_the_sessions(
    site: Site, ann: User
) -> None:
    tokens = site.log_in(ann)
    with override_settings(PASSWORD_HASHERS=[USUAL, QUICK]):
        change_only_the_password(ann)
    assert site.is_refused(tokens)


def test_a_rollback_ends_no_session(site: Site, ann: User) -> None:
    tokens = site.log_in(ann)
    for act in (change_password, deactivate, delete):
        with transaction.atomic():
            act(User.objects.get(pk=ann.pk))
            transaction.set_rollback(True)
    assert not site.is_refused(tokens)


def test_the_sessions_end_once_the_change_is_committed(site: Site, ann: User) -> None:
    tokens = site.log_in(ann)
    with transaction.atomic():
        change_password(ann)
        with transaction.atomic():
            ann.save()
        assert not site.is_refused(tokens)
    assert site.is_refused(tokens)


def test_the_session_in_which_the_password_is_changed_can_be_kept(site: Site, ann: User) -> None:
    own, other = site.log_in(ann), site.log_in(ann)
    with transaction.atomic(), keep_session(own.session_id):
        change_password(ann)
    assert not site.is_refused(own)
    assert site.is_refused(other)
    change_password(ann)
    assert site.is_refused(own)


def test_a_deactivated_user_keeps_no_session(site: Site, ann: User) -> None:
    own = site.log_in(ann)
    with keep_session(own.session_id):
        deactivate_with_a_new_password(ann)
    assert site.is_refused(own)


def test_what_cannot_be_a_session_id_is_not_kept() -> None:
    with pytest.raises(InvalidArgument, match="keep must be a session id"), keep_session("ann"):
        pytest.fail("the block was entered")


@pytest.mark.parametrize(
    "act, occasion",
    [(change_password, "password_change"), (deactivate, "deactivation"), (delete, "deletion")],
)
def test_each_occasion_can_be_turned_off(site: Site, ann: User, act: Any, occasion: str) -> None:
    tokens = site.log_in(ann)
    chosen = {"password_change", "deactivation", "deletion"} - {occasion}
    with override_settings(TOKENWHEEL_END_SESSIONS_ON=chosen):
        act(ann)
    assert not site.is_refused(tokens)


def test_the_subject_of_a_user_is_what_the_settings_say(site: Site, ann: User) -> None:
    named, other = site.log_in("ann"), site.log_in(ann)
    with override_settings(TOKENWHEEL_SUBJECT_OF="tests.django_app.test_signals.name_of"):
        change_password(ann)
        ben = User.objects.create_user("ben", password="correct horse")
        change_password(ben)  # He has no subject.
    assert site.is_refused(named)
    assert not site.is_refused(other)


def name_of(user: User) -> str | None:
    return "ann" if user.username == "ann" else None


def test_who_changes_a_user_hears_that_the_sessions_could_not_be_ended(
    site: Site, ann: User, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = site.log_in(ann)
    site.manager.storage.close()
    with caplog.at_level(logging.ERROR, "tokenwheel"), pytest.raises(StorageUnavailable):
        deactivate(ann)
    (record,) = [record for record in caplog.records if record.name == "tokenwheel"]
    assert "could not be ended" in record.getMessage()
    assert str(tokens.session_id) not in record.getMessage()
    ann.refresh_from_db()
    assert not ann.is_active


def test_what_could_not_be_ended_ends_when_the_user_is_saved_again(site: Site, ann: User) -> None:
    tokens = site.log_in(ann)
    with override_settings(TOKENWHEEL_END_SESSIONS_ON=set()):
        deactivate(ann)
    assert not site.is_refused(tokens)
    User.objects.get(pk=ann.pk).save()
    assert site.is_refused(tokens)


def test_without_a_manager_users_change_all_the_same(site: Site, ann: User) -> None:
    with override_settings(TOKENWHEEL=None):
        change_password(ann)
        deactivate(ann)
        delete(ann)
    assert not User.objects.exists()
