"""The user of a request of Django: of its claims, or of Django's own session, as the admin has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import AsyncClient, Client

from tests.web import django_project
from tests.web.django_project import Site, code_of, database, served
from tokenwheel import Claims

django_project.configure()


class Person:
    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name


loads: list[str] = []


def load(claims: Claims) -> Person | None:
    loads.append(claims.subject)
    return None if claims.subject == "gone" else Person(claims.subject)


async def load_async(claims: Claims) -> Person | None:
    return load(claims)


@pytest.fixture(params=[load, load_async])
def site(request: Any) -> Iterator[Site]:
    loads.clear()
    with served(user_loader=request.param) as site:
        yield site


def ask(site: Site, path: str, subject: str | None = None) -> bytes:
    """Return what the ASGI application answers."""
    headers = {}
    if subject is not None:
        token = site.manager.create(subject=subject).access_token
        headers["Authorization"] = f"Bearer {token}"

    async def get() -> bytes:
        return bytes((await AsyncClient().get(path, headers=headers)).content)

    return asyncio.run(get())


def test_the_user_is_loaded_once_it_is_asked_for(site: Site) -> None:
    client = site.signed_in("ann")
    assert client.get("/me").json() == {"subject": "ann"}
    assert loads == []
    assert client.get("/user").content == b"ann True"
    assert client.get("/user-async").content == b"ann True"
    assert ask(site, "/user", "bob") == b"bob True"
    assert ask(site, "/user-async", "bob") == b"bob True"
    assert loads == ["ann", "ann", "bob", "bob"]


def test_who_is_there_no_more_is_nobody(site: Site) -> None:
    assert site.signed_in("gone").get("/user").content == b"AnonymousUser False"
    assert ask(site, "/user-async", "gone") == b"AnonymousUser False"


def test_nobody_is_whom_the_middleware_of_django_finds(site: Site) -> None:
    assert site.browser().get("/user").content == b"AnonymousUser False"
    assert ask(site, "/user-async") == b"AnonymousUser False"
    assert loads == []


def test_a_bad_bearer_is_refused_where_the_user_is_asked_for(site: Site) -> None:
    client = Client(headers={"Authorization": "Bearer a b"})
    for path in ("/user", "/user-async"):
        assert code_of(client.get(path)) == "invalid_request"


def test_the_session_of_the_admin_stays_as_it_is() -> None:
    with database(), served(user_loader=load) as site:
        from django.contrib.auth.models import User

        root = User.objects.create_superuser("root", password="secret")
        client = Client(enforce_csrf_checks=True)
        client.force_login(root)
        assert client.get("/admin/").status_code == 200
        assert client.get("/user").content == b"root True"
        assert client.get("/user-async").content == b"root True"
        assert b"CSRF" in client.post("/admin/auth/user/add/").content
        assert client.get("/me").status_code == 401
        site.give_cookies(client, site.manager.create(subject="ann"))
        assert client.get("/user").content == b"ann True"
        cross_site = {"Sec-Fetch-Site": "cross-site"}
        assert code_of(client.post("/me", headers=cross_site)) == "cross_origin"


def test_without_a_loader_the_user_is_that_of_django_alone() -> None:
    with served() as site:
        assert site.signed_in("ann").get("/user").content == b"AnonymousUser False"


def test_a_stream_ends_with_its_session() -> None:
    with served() as site:
        client = site.signed_in()
        events = iter(client.get("/stream"))
        assert next(events) == b"data: 0\n\n"
        site.manager.delete_all("ann")
        assert list(events) == []


def test_an_async_stream_ends_with_its_session() -> None:
    async def use(site: Site) -> None:
        client = AsyncClient()
        site.give_cookies(client, site.manager.create(subject="ann"))
        response = await client.get("/stream-async")
        events = aiter(response.streaming_content)
        assert await anext(events) == b"data: 0\n\n"
        site.manager.delete_all("ann")
        assert [event async for event in events] == []

    with served() as site:
        asyncio.run(use(site))
