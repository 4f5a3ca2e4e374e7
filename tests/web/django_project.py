"""A project of Django for the tests: settings, which a process has but once, and its addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.test import Client, override_settings

from tests.support import SECRET, FakeClock
from tokenwheel import AsyncSessionManager, SessionManager, SessionTokens
from tokenwheel.web import Cookies, Gate

if TYPE_CHECKING:
    from tokenwheel.web.django_setting import DjangoAuth

auth: Any = None
"""What TOKENWHEEL names: a test sets it."""


def configure() -> None:
    """Set Django up, unless this process has done so."""
    if settings.configured:
        return
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": "file:tokenwheel?mode=memory&cache=shared",
                "OPTIONS": {"uri": True},
            }
        },
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "rest_framework",
            "tokenwheel.django",
        ],
        MIDDLEWARE=[
            "django.middleware.common.CommonMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "tokenwheel.web.django.AuthMiddleware",
        ],
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": ["tokenwheel.web.drf.SessionAuthentication"],
            "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
        },
        ROOT_URLCONF="tests.web.django_addresses",
        SECRET_KEY="of the tests",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        TOKENWHEEL="tests.web.django_project.auth",
        USE_TZ=True,
    )
    django.setup()


class Site:
    """The project with a gate of its own, and clients of it. Times are by ``clock``."""

    def __init__(self, auth: DjangoAuth, clock: FakeClock) -> None:
        self.auth = auth
        self.gate = auth.gate
        self.manager: Any = auth.gate.manager
        self.clock = clock

    def browser(self, **options: Any) -> Client:
        """Return a client that sends what a browser does from a page of the site."""
        return Client(
            enforce_csrf_checks=True, headers={"Sec-Fetch-Site": "same-origin"}, **options
        )

    def signed_in(self, subject: str = "ann", **claims: Any) -> Client:
        """Return a browser that has the cookies of a new session."""
        client = self.browser()
        self.give_cookies(client, self.manager.create(claims, subject=subject))
        return client

    def give_cookies(self, client: Any, tokens: SessionTokens) -> None:
        cookies = self.gate.cookies
        assert cookies is not None
        client.cookies[cookies.access] = tokens.access_token
        client.cookies[cookies.refresh] = tokens.refresh_token

    def bearer(self, subject: str = "ann", **claims: Any) -> Client:
        """Return a client that is no browser, and bears the access token of a new session."""
        token = self.manager.create(claims, subject=subject).access_token
        return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {token}"})


@contextmanager
def served(
    kind: type[SessionManager | AsyncSessionManager] = SessionManager,
    *,
    claims: Any = None,
    user_loader: Any = None,
    cookies: Cookies | None = None,
    **options: Any,
) -> Iterator[Site]:
    """Let ``TOKENWHEEL`` name a gate of this kind of manager."""
    configure()
    from tokenwheel.web.django_setting import DjangoAuth  # It needs the settings.

    global auth  # noqa: PLW0603 -- the setting names it
    clock = FakeClock(1_700_000_000)
    manager: Any = kind(SECRET, issuer="i", audience="a", clock=clock)
    gate = Gate(manager, cookies=cookies or Cookies(), **options)
    auth = DjangoAuth(gate, claims=claims, user_loader=user_loader)
    with override_settings(TOKENWHEEL="tests.web.django_project.auth"):
        yield Site(auth, clock)


@contextmanager
def database() -> Iterator[None]:
    """Keep a database in memory with the tables of the project."""
    from django.core.management import call_command
    from django.db import connections

    try:
        call_command("migrate", verbosity=0)
        yield
    finally:
        connections.close_all()


def code_of(response: Any) -> str:
    """Return the code of a problem, having looked at what belongs to each of them."""
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem = json.loads(response.content)
    assert problem["status"] == response.status_code
    code: str = problem["code"]
    return code
