"""The tests' project of Django for real servers: sessions in a database, under WSGI and ASGI."""

from __future__ import annotations

import os

from django.conf import settings

from tests.support import SECRET
from tests.web import django_project
from tokenwheel import AsyncSessionManager, RevocationList, SessionManager
from tokenwheel.sqlite import SqliteFeed, SqliteStorage
from tokenwheel.web import Cookies, Gate

kind = AsyncSessionManager if os.environ.get("TOKENWHEEL_TEST_ASYNC") else SessionManager
gate = Gate(
    kind(
        SECRET,
        issuer="i",
        audience="a",
        storage=SqliteStorage("sessions.db"),
        storage_key=SECRET,
        revocations=RevocationList(SqliteFeed("sessions.db")),
    ),
    cookies=Cookies(),
)
django_project.configure()
settings.TOKENWHEEL = f"{__name__}.gate"
django_project.auth = type("Auth", (), {"gate": gate})

from django.core.asgi import get_asgi_application  # noqa: E402 -- it needs the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402

wsgi = get_wsgi_application()
asgi = get_asgi_application()
