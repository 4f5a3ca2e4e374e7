"""The three servers of the README do what it says, as pasted: login, claims, scopes, logout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

README = Path(__file__).resolve().parent.parent.parent / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="a wheel is tested without the README")

BROWSER = {"Sec-Fetch-Site": "same-origin"}
LOGIN = {"name": "ann", "password": "correct horse"}


def blocks_of(section: str) -> list[str]:
    page = README.read_text(encoding="utf-8")
    text = page.partition(f"\n### {section}\n")[2].partition("\n### ")[0]
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def module_of(section: str) -> dict[str, Any]:
    (block,) = blocks_of(section)
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_the_fastapi_server_signs_in_a_browser_and_lets_it_go() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    app = module_of("FastAPI")["app"]
    with testclient.TestClient(app, base_url="https://api.example", headers=BROWSER) as client:
        assert client.get("/me").json()["code"] == "credentials_missing"
        login = client.post("/login", json=LOGIN)
        assert (login.status_code, "access_token" in login.json()) == (200, False)
        assert client.get("/me").json()["sub"] == "ann"
        assert client.get("/users").json() == ["ann", "bob"]
        assert client.post("/session/refresh").status_code == 200
        assert client.get("/users").json() == ["ann", "bob"]
        assert [session["current"] for session in client.get("/session/sessions").json()] == [True]
        assert client.post("/session/logout").status_code == 204
        assert client.get("/me").json()["code"] == "credentials_missing"
        client.post("/login", json={**LOGIN, "name": "bob"})
        client.post("/session/refresh")  # which asks for the claims anew
        assert client.get("/users").json()["code"] == "insufficient_scope"


def test_the_flask_server_signs_in_a_browser_and_lets_it_go() -> None:
    pytest.importorskip("flask")
    app = module_of("Flask")["app"]
    client = app.test_client()
    at = {"base_url": "https://api.example", "headers": BROWSER}
    assert client.get("/me", **at).json["code"] == "credentials_missing"
    login = client.post("/login", data=LOGIN, **at)
    assert (login.status_code, "access_token" in login.json) == (200, False)
    assert client.get("/me", **at).json["sub"] == "ann"
    assert client.get("/users", **at).json == ["ann", "bob"]
    assert client.post("/session/refresh", **at).status_code == 200
    assert [session["current"] for session in client.get("/session/sessions", **at).json] == [True]
    assert client.post("/session/logout", **at).status_code == 204
    assert client.get("/me", **at).json["code"] == "credentials_missing"
    client.post("/login", data={**LOGIN, "name": "bob"}, **at)
    client.post("/session/refresh", **at)
    assert client.get("/users", **at).json["code"] == "insufficient_scope"


MORE_SETTINGS = """
SECRET_KEY = "of the test"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
"""
DRIVE_DJANGO = f"""
import json
import os

import django

django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
User.objects.create_user("ann", password="correct horse")
client = Client(headers={BROWSER!r})
at = {{"secure": True}}
answers = [
    client.get("/me", **at).json()["code"],
    client.post("/login", {LOGIN!r}, **at).status_code,
    client.get("/me", **at).json()["sub"],
    client.get("/users", **at).json()["users"],
    client.post("/session/refresh", **at).status_code,
    [session["current"] for session in client.get("/session/sessions", **at).json()],
    client.post("/session/logout", **at).status_code,
    client.get("/me", **at).json()["code"],
]
print(json.dumps(answers))
"""


def test_the_django_server_signs_in_a_browser_and_lets_it_go(tmp_path: Path) -> None:
    pytest.importorskip("django")
    (tmp_path / "config").mkdir()
    for block in blocks_of("Django"):
        path = tmp_path / block.partition("\n")[0].removeprefix("# ")
        path.write_text(block + (MORE_SETTINGS if path.name == "settings.py" else ""))
    (tmp_path / "drive.py").write_text(dedent(DRIVE_DJANGO))
    ran = subprocess.run(
        [sys.executable, "drive.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"DJANGO_SETTINGS_MODULE": "config.settings", **os.environ},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [
        "credentials_missing",
        200,
        "ann",
        ["ann", "bob"],
        200,
        [True],
        204,
        "credentials_missing",
    ]
