"""A site of Django with its users and sessions in one database, in a file of its own.

Django's settings are those of ``tests/web/django_project.py``, as a process has them but once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from django.test import override_settings

from tests.servers import until
from tests.support import SECRET
from tests.web import django_project
from tokenwheel import (
    AccessTokenRevoked,
    AsyncSessionManager,
    RevocationList,
    SessionManager,
    SessionTokens,
)
from tokenwheel.web import Cookies, Gate

django_project.configure()

from django.core.management import call_command  # noqa: E402 -- it needs the settings
from django.db import connections  # noqa: E402

from tokenwheel.django.feed import DjangoFeed  # noqa: E402
from tokenwheel.django.storage import DjangoStorage  # noqa: E402
from tokenwheel.web.django_setting import DjangoAuth  # noqa: E402

QUICK = "django.contrib.auth.hashers.MD5PasswordHasher"
USUAL = "django.contrib.auth.hashers.PBKDF2PasswordHasher"


class Site:
    """A site, and a service that runs beside it on the same tables."""

    def __init__(self, service: SessionManager, manager: Any) -> None:
        self.service = service
        self.manager = manager

    def log_in(self, user: Any, **options: Any) -> SessionTokens:
        """Return the tokens of a new session of a user, or of this subject."""
        subject = user if isinstance(user, str) else str(user.pk)
        return self.service.create(subject=subject, **options)

    def is_refused(self, tokens: SessionTokens) -> bool:
        """Return True where the site refuses an access token, and the other process does soon."""
        if not _refuses(self.manager, tokens):
            return False
        self.wait_until_refused(tokens)
        return True

    def wait_until_refused(self, tokens: SessionTokens) -> None:
        """Wait until the other process refuses an access token."""
        until(lambda: _refuses(self.service, tokens), "the revocation")


def _refuses(manager: Any, tokens: SessionTokens) -> bool:
    try:
        manager.read(tokens.access_token)
    except AccessTokenRevoked:
        return True
    return False


@contextmanager
def open_site(
    folder: Path, kind: type[SessionManager | AsyncSessionManager] = SessionManager
) -> Iterator[Site]:
    """Yield a site whose setting ``TOKENWHEEL`` names a manager of this kind."""
    with database(folder / "site.sqlite3"), service(SessionManager) as other, service(kind) as own:
        django_project.auth = DjangoAuth(Gate(own, cookies=Cookies()))
        with override_settings(
            TOKENWHEEL="tests.web.django_project.auth", PASSWORD_HASHERS=[QUICK, USUAL]
        ):
            yield Site(other, own)


@contextmanager
def service(
    kind: type[SessionManager | AsyncSessionManager] = SessionManager, **options: Any
) -> Iterator[Any]:
    """Yield a manager with sessions in the default database."""
    chosen: Any = {"issuer": "i", "audience": "a", "storage_key": SECRET, **options}
    with (
        closing(DjangoStorage()) as storage,
        closing(RevocationList(DjangoFeed(poll_interval=0.05))) as revocations,
    ):
        yield kind(SECRET, storage=storage, revocations=revocations, **chosen)


@contextmanager
def database(path: Path) -> Iterator[None]:
    """Let the default database be this file, with all tables."""
    settings: dict[str, Any] = connections.databases["default"]
    before = {name: settings[name] for name in ("NAME", "OPTIONS")}
    connections.close_all()
    if path.name != "template.sqlite3":
        shutil.copy(_template(), path)
    settings.update(NAME=str(path), OPTIONS={})
    try:
        yield
    finally:
        connections.close_all()
        settings.update(before)


@cache
def _template() -> Path:
    path = Path(mkdtemp(prefix="tokenwheel")) / "template.sqlite3"
    with database(path):
        call_command("migrate", verbosity=0)
    return path
