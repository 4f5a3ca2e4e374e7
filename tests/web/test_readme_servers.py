"""The servers of the README do what it says, as pasted: login, claims, scopes, logout, keys."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import jwt
import pytest

from tests.servers import free_port, until
from tests.web import servers

README = Path(__file__).resolve().parent.parent.parent / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="a wheel is tested without the README")

BROWSER = {"Sec-Fetch-Site": "same-origin"}
LOGIN = {"name": "ann", "password": "correct horse"}


def blocks_of(section: str, language: str = "python") -> list[str]:
    page = README.read_text(encoding="utf-8")
    text = page.partition(f"\n### {section}\n")[2].partition("\n### ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


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


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_fastapi_server_answers_the_curl_commands_as_pasted(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    (program,) = blocks_of("FastAPI")
    (tmp_path / "app.py").write_text(program)
    (commands,) = (block for block in blocks_of("FastAPI", "sh") if "curl" in block)
    port = free_port()
    with servers.serving(servers.uvicorn, "app:app", tmp_path, port=port):
        ran = subprocess.run(
            ["bash", "-c", commands.replace(":8000", f":{port}")],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "no_proxy": "127.0.0.1",
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    signed_in, refused = re.findall(r"\{.*?\}", ran.stdout)
    assert json.loads(signed_in)["sub"] == "ann"
    assert json.loads(refused)["code"] == "access_token_revoked"


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


class Service(NamedTuple):
    """The login service and the resource server, each a process of its own."""

    folder: Path
    login_service: Any
    resource_server: Any

    def log_in(self) -> dict[str, str]:
        answer = self.login_service.post("/login", json=LOGIN)
        assert answer.status_code == 200
        return dict(answer.json())

    def status_of(self, tokens: dict[str, str]) -> int:
        """Return how the resource server answers to an access token."""
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        status: int = self.resource_server.get("/me", headers=bearer).status_code
        return status

    def log_out(self, tokens: dict[str, str]) -> None:
        answer = self.login_service.post(
            "/session/logout", json={"refresh_token": tokens["refresh_token"]}
        )
        assert answer.status_code == 204

    def keys(self, *arguments: str) -> None:
        run_keys(self.folder, *arguments)


def run_keys(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "tokenwheel", "keys", *arguments]
    subprocess.run(command, capture_output=True, cwd=folder, check=True)


@contextmanager
def two_services(folder: Path, more: str = "") -> Iterator[Service]:
    """Run the two programs of "Another service verifies".

    Args:
        folder: where they and their files lie.
        more: further options for both managers.
    """
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    page = README.read_text(encoding="utf-8")
    section = page.partition("\n## Another service verifies\n")[2].partition("\n## ")[0]
    ports = {"login_service.py": free_port(), "resource_server.py": free_port()}
    for block in re.findall(r"^```python\n(# \w.*?)^```$", section, re.MULTILINE | re.DOTALL):
        program = block.replace(":8000/", f":{ports['login_service.py']}/")
        program = program.replace('audience="api.example"', f'audience="api.example", {more}')
        path = folder / block.partition("\n")[0].removeprefix("# ")
        path.write_text("import tokenwheel\n" + program)
        assert path.name in ports
    (command,) = re.findall(r"^tokenwheel (keys new .*)$", section, re.MULTILINE)
    run_keys(folder, *command.split()[1:])
    with (
        servers.serving(
            servers.uvicorn, "login_service:app", folder, port=ports["login_service.py"]
        ) as login_service,
        servers.serving(
            servers.uvicorn, "resource_server:app", folder, port=ports["resource_server.py"]
        ) as resource_server,
        httpx.Client(base_url=login_service.origin(), trust_env=False) as to_login_service,
        httpx.Client(base_url=resource_server.origin(), trust_env=False) as to_resource_server,
    ):
        yield Service(folder, to_login_service, to_resource_server)


def test_another_service_verifies_across_a_rotation_without_a_restart(tmp_path: Path) -> None:
    with two_services(tmp_path) as service:
        before = service.log_in()
        assert service.status_of(before) == 200
        service.keys("rotate", "keys.json", "--after", "0s")
        after = until(
            lambda: has_other_kid(tokens := service.log_in(), before) and tokens,
            "the new key signs",
            interval=0.05,
        )
        until(lambda: service.status_of(after) == 200, "the new key is fetched", interval=0.05)
        assert service.status_of(before) == 200
        forged = jwt.encode({"sub": "ann"}, "x" * 32, "HS256", {"kid": "?", "typ": "at+jwt"})
        assert service.status_of({"access_token": forged}) == 401


def has_other_kid(tokens: dict[str, str], before: dict[str, str]) -> bool:
    return (
        jwt.get_unverified_header(tokens["access_token"])["kid"]
        != (jwt.get_unverified_header(before["access_token"])["kid"])
    )


def test_a_resource_server_without_the_feed_accepts_a_token_whose_session_was_ended(
    tmp_path: Path,
) -> None:
    with two_services(tmp_path) as service:
        tokens = service.log_in()
        service.log_out(tokens)
        assert service.status_of(tokens) == 200


def test_a_resource_server_beside_the_feed_hears_of_a_logout_at_once(tmp_path: Path) -> None:
    more = (
        "revocations=tokenwheel.RevocationList(tokenwheel.SqliteFeed('sessions.db')), "
        "storage=tokenwheel.SqliteStorage('sessions.db'), "
        "storage_key=open('storage.jwk').read()"
    )
    run_keys(tmp_path, "new", "--algorithm", "HS256", "--out", "storage.jwk")
    with two_services(tmp_path, more) as service:
        tokens = service.log_in()
        assert service.status_of(tokens) == 200
        service.log_out(tokens)
        assert service.status_of(tokens) == 401
