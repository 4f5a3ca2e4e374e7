"""A project that ``django-admin startproject`` has made, with what docs/howto/django.md adds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.docs.howto_blocks import block

URLS = """
from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

from config import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("login", views.login),
    path("me", views.me),
    path("password", views.change_password),
    path("session/", include("tokenwheel.web.django_urls")),
    *staticfiles_urlpatterns(),
]
"""


class Project:
    """A project of Django in a folder.

    Args:
        folder: an empty one.
        database: its default database; None: the file of SQLite that a new project has.
    """

    def __init__(self, folder: Path, database: dict[str, Any] | None = None) -> None:
        self.folder = folder
        self.run("-m", "django", "startproject", "config", ".")
        for keys in (["ES256", "keys.json"], ["HS256", "storage.jwk"]):
            self.run("-m", "tokenwheel", "keys", "new", "--algorithm", keys[0], "--out", keys[1])
        settings = [block("django", "python", "INSTALLED_APPS +="), "ALLOWED_HOSTS = ['*']"]
        if database is not None:
            settings.append(f"DATABASES = {{'default': {database!r}}}")
        with (folder / "config" / "settings.py").open("a") as file:
            file.write("\n".join([*settings, ""]))
        self.write("sessions", _sessions())
        self.write(
            "views",
            f"{block('django', 'python', '# config/views.py')}\n\n"
            f"{block('django', 'python', 'keep_session')}",
        )
        self.write("urls", URLS)

    def write(self, module: str, text: str) -> None:
        """Write a module of the project."""
        (self.folder / "config" / f"{module}.py").write_text(text, encoding="utf-8")

    def manage(self, *arguments: str, **variables: str) -> str:
        """Run a command of ``manage.py``. Return what it printed."""
        return self.run("manage.py", *arguments, **variables)

    def shell(self, script: str) -> str:
        """Run Python in the project, with its models. Return what it printed."""
        return self.manage("shell", "-v", "0", "-c", script)

    def run(self, *arguments: str, **variables: str) -> str:
        """Run Python in the folder. Return what it printed."""
        ran = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, **variables},
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout


def _sessions() -> str:
    """Return the page's sessions, kept as its section on Django's database says."""
    text = block("django", "python", "# config/sessions.py")
    own = block("django", "python", "storage=DjangoStorage()")
    imported, made = own.split("\n\n", 1)
    before, _, after = text.partition("from tokenwheel import (")
    _, _, web = after.partition(")\n")
    web, _, rest = web.partition("sessions = SessionManager(")
    _, _, functions = rest.partition("\n)\n")
    more = "from tokenwheel import Claims, Session\n"
    return f"{before}{imported}\n{more}{web}{made}{functions}"
