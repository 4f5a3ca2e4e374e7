"""docs/howto/fastapi.md, flask.md and django.md: their programs, driven as browsers and others do.

Also the numbers of docs/faq.md that no block of it tries.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.howto_blocks import (
    HOWTO,
    block,
    run_shell,
    serving_the_page,
    write_files,
)
from tests.servers import free_port
from tokenwheel import Key, KeySet, SessionManager

pytestmark = pytest.mark.skipif(
    not HOWTO.exists(), reason="a wheel is tested without the pages beside it"
)

BROWSER = {"Sec-Fetch-Site": "same-origin"}
ANN = {"name": "ann", "password": "correct horse"}
BOB = {"name": "bob", "password": "correct horse"}


def module_of(page: str, containing: str) -> dict[str, Any]:
    """Return the names of a page's program, run as pasted."""
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(block(page, "python", containing), f"{page}.md", "exec"), names)
    return names


def test_the_fastapi_page_protects_its_routes_as_its_table_says() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    app = module_of("fastapi", "# app.py")["app"]

    def browser() -> Any:
        return testclient.TestClient(app, base_url="https://api.example", headers=BROWSER)

    ann, bob = browser(), browser()
    with ann:
        assert ann.get("/me").json()["code"] == "credentials_missing"
        assert ann.get("/greeting").json() == "Hello, stranger"
        assert ann.post("/login", json={**ANN, "password": "wrong"}).status_code == 401
        assert "access_token" not in ann.post("/login", json=ANN).json()
        assert ann.get("/me").json()["sub"] == "ann"
        assert ann.get("/greeting").json() == "Hello, ann"
        assert ann.get("/users").json() == ["ann", "bob"]
        bob.post("/login", json=BOB)
        assert bob.get("/users").json()["code"] == "insufficient_scope"
        browser().post("/login", json=ANN)
        assert ann.post("/password").json() == 1
        with ann.websocket_connect("wss://api.example/messages", headers=BROWSER) as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "ann: hello"
        other_site = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
        assert ann.post("/password", headers=other_site).json()["code"] == "cross_origin"
        assert ann.post("/demote/ann").status_code == 200
        assert ann.get("/users").json()["code"] == "access_token_revoked"
        assert ann.post("/session/refresh").status_code == 200
        assert ann.get("/users").json()["code"] == "insufficient_scope"
        assert ann.post("/session/logout").status_code == 204
        assert ann.get("/me").json()["code"] == "credentials_missing"


def test_a_socket_of_the_fastapi_page_closes_when_its_session_ends() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    app = module_of("fastapi", "# app.py")["app"]
    with testclient.TestClient(app) as client:
        tokens = client.post("/login", json=ANN).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        with client.websocket_connect("/messages", headers=bearer) as socket:
            assert client.post("/session/logout", headers=bearer).status_code == 204
            assert socket.receive()["code"] == 4401


def make_keys(page: str, folder: Path) -> None:
    commands = block(page, "sh", "keys new").partition("\n")[2]  # after pip install
    assert run_shell(commands, folder).returncode == 0


@pytest.fixture
def flask_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The names of the Flask page's program, run beside the keys that it asks for."""
    pytest.importorskip("flask")
    make_keys("flask", tmp_path)
    monkeypatch.chdir(tmp_path)
    names = module_of("flask", "# app.py")
    with names["sessions"]:
        yield names


def test_the_flask_page_protects_its_views_as_its_table_says(flask_page: dict[str, Any]) -> None:
    app = flask_page["app"]
    at = {"base_url": "https://api.example", "headers": BROWSER}
    ann, bob = app.test_client(), app.test_client()
    assert ann.get("/me", **at).json["code"] == "credentials_missing"
    assert ann.get("/greeting", **at).text == "Hello, stranger"
    assert ann.post("/login", data={**ANN, "password": "wrong"}, **at).status_code == 401
    assert "access_token" not in ann.post("/login", data=ANN, **at).json
    assert ann.get("/me", **at).json["sub"] == "ann"
    assert ann.get("/greeting", **at).text == "Hello, ann"
    assert ann.get("/users", **at).json == ["ann", "bob"]
    bob.post("/login", data=BOB, **at)
    assert bob.get("/users", **at).json["code"] == "insufficient_scope"
    app.test_client().post("/login", data=ANN, **at)
    assert ann.post("/password", **at).json == {"ended": 1}
    assert ann.post("/demote/ann", **at).status_code == 204
    assert ann.get("/users", **at).json["code"] == "access_token_revoked"
    assert ann.post("/session/refresh", **at).status_code == 200
    assert ann.get("/users", **at).json["code"] == "insufficient_scope"
    assert ann.post("/session/logout", **at).status_code == 204
    assert ann.get("/me", **at).json["code"] == "credentials_missing"


def test_the_events_of_the_flask_page_end_with_the_session(flask_page: dict[str, Any]) -> None:
    client = flask_page["app"].test_client()
    tokens = client.post("/login", data=ANN).json
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    events = client.get("/events", headers=bearer).response
    assert next(events) == b"data: tick\n\n"
    flask_page["sessions"].end(tokens["refresh_token"])
    assert next(events, None) is None


def test_the_blueprint_of_the_flask_page_lets_nobody_in_unknown(flask_page: dict[str, Any]) -> None:
    from flask import Flask

    names = module_of("flask", "# account.py")
    app = Flask("of the reader")
    names["auth"].init_app(app, flask_page["gate"])
    app.register_blueprint(names["account"])
    client = app.test_client()
    assert client.get("/account").json["code"] == "credentials_missing"
    tokens = flask_page["sessions"].create(subject="ann")
    bearer = {"Authorization": f"Bearer {tokens.access_token}"}
    assert client.get("/account", headers=bearer).json == {"name": "ann"}


def test_a_socket_of_the_flask_page_closes_when_its_session_ends() -> None:
    pytest.importorskip("flask_sock")
    simple_websocket = pytest.importorskip("simple_websocket")
    from werkzeug.serving import make_server

    names = module_of("flask", "# sockets.py")
    tokens = names["sessions"].create(subject="ann")
    server = make_server("127.0.0.1", 0, names["app"], threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        socket = simple_websocket.Client(
            f"ws://127.0.0.1:{server.port}/messages",
            subprotocols=["tokenwheel", f"bearer.{tokens.access_token}"],
        )
        socket.send("hello")
        assert socket.receive() == "ann: hello"
        names["sessions"].end(tokens.refresh_token)
        with pytest.raises(simple_websocket.ConnectionClosed) as closed:
            socket.receive()
        assert closed.value.reason == 4401
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_the_quart_program_signs_in_and_lets_go() -> None:
    pytest.importorskip("quart")
    app = module_of("flask", "# quart_app.py")["app"]

    async def drive() -> None:
        client = app.test_client()
        at = {"scheme": "https", "headers": {**BROWSER, "Host": "api.example"}}
        assert (await client.get("/me", **at)).status_code == 401
        tokens = await (await client.post("/login", form=ANN)).get_json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert (await (await client.get("/me", headers=bearer)).get_json())["sub"] == "ann"
        async with client.websocket("/messages", headers=bearer) as socket:
            await socket.send("hello")
            assert await socket.receive() == "ann: hello"
        assert (await client.post("/session/logout", headers=bearer)).status_code == 204
        assert (await client.get("/me", headers=bearer)).status_code == 401

    asyncio.run(drive())


@pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("curl") is None, reason="the commands are for a shell"
)
@pytest.mark.parametrize("page, program", [("fastapi", "uvicorn"), ("flask", "gunicorn")])
def test_the_commands_of_the_page_give_what_it_says(
    page: str, program: str, tmp_path: Path
) -> None:
    for needed in (program, page):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert "app.py" in write_files(page, tmp_path)
    if page == "flask":
        make_keys(page, tmp_path)
    port = free_port()
    with serving_the_page(page, f"{program} app:app", tmp_path, port):
        ran = run_shell(block(page, "sh", "curl").replace("8000", str(port)), tmp_path)
    codes = [line for line in ran.stdout.splitlines() if re.fullmatch(r"\d{3}", line)]
    assert codes == ["200", "204", "401"], ran


def test_the_sizes_of_tokens_in_the_faq_are_true() -> None:
    sizes = []
    for algorithm in ("HS256", "ES256", "EdDSA", "RS256"):
        with SessionManager(
            KeySet(Key.generate(algorithm)), issuer="auth.example", audience="api.example"
        ) as sessions:
            tokens = sessions.create({"scope": "admin"}, subject="ann")
        sizes.append(len(tokens.access_token))
    hs256, es256, eddsa, rs256 = sizes
    assert es256 == eddsa
    faq = " ".join((HOWTO.parent / "faq.md").read_text(encoding="utf-8").split())
    assert (
        f"an access token has {hs256} characters with `HS256`, {es256} with `ES256` or `EdDSA`, "
        f"and {rs256} with `RS256`. A refresh token has {len(tokens.refresh_token)}."
    ) in faq


DRIVE_DJANGO = f"""
import json

import django

django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0)
User.objects.create_user("ann", password="correct horse", is_staff=True)
User.objects.create_user("bob", password="correct horse")
at = {{"secure": True}}


def browser():
    return Client(
        headers={{**{BROWSER!r}, "Host": "api.example"}}, enforce_csrf_checks=True
    )


ann, bob, elsewhere = browser(), browser(), browser()
answers = [
    ann.get("/me", **at).json()["code"],
    ann.get("/profile", **at).json()["code"],
    ann.get("/greeting", **at).content.decode(),
    ann.post("/login", {{**{ANN!r}, "password": "wrong"}}, **at).status_code,
    "access_token" in ann.post("/login", {ANN!r}, **at).json(),
    ann.get("/me", **at).json()["name"],
    ann.get("/greeting", **at).content.decode(),
    ann.get("/users", **at).json()["users"],
    ann.get("/profile", **at).json()["name"],
    ann.get("/reports", **at).json(),
    bob.post("/login", {BOB!r}, **at).status_code,
    bob.get("/users", **at).json()["code"],
    bob.get("/reports", **at).json()["code"],
    elsewhere.post("/login", {ANN!r}, **at).status_code,
    ann.post("/password", {{"password": "new"}}, **at).json(),
    elsewhere.get("/me", **at).json()["code"],
    User.objects.filter(username="ann").update(is_staff=False),
    ann.post("/session/refresh", **at).status_code,
    ann.get("/users", **at).json()["code"],
    ann.post("/session/logout", **at).status_code,
    ann.get("/me", **at).json()["code"],
]
print(json.dumps(answers))
"""


@pytest.fixture
def django_page(tmp_path: Path) -> Path:
    """The folder with the project of the Django page, and the keys that it asks for."""
    for needed in ("django", "rest_framework"):
        pytest.importorskip(needed)
    (tmp_path / "config").mkdir()
    assert len(write_files("django", tmp_path)) == 6
    make_keys("django", tmp_path)
    return tmp_path


def test_the_django_page_protects_its_views_as_its_table_says(django_page: Path) -> None:
    (django_page / "drive.py").write_text(DRIVE_DJANGO)
    ran = subprocess.run(
        [sys.executable, "drive.py"],
        capture_output=True,
        text=True,
        cwd=django_page,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [
        "credentials_missing",
        "credentials_missing",
        "Hello, stranger",
        401,
        False,
        "ann",
        "Hello, ann",
        ["ann", "bob"],
        "ann",
        {"reports": []},
        200,
        "insufficient_scope",
        "insufficient_scope",
        200,
        {"ended": 1},
        "access_token_revoked",
        1,
        200,
        "insufficient_scope",
        204,
        "credentials_missing",
    ]


@pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("curl") is None, reason="the commands are for a shell"
)
def test_the_commands_of_the_django_page_give_what_it_says(
    django_page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gunicorn")
    made = run_shell(block("django", "sh", "migrate"), django_page)
    assert made.returncode == 0, made.stderr
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")
    port = free_port()
    with serving_the_page("django", "gunicorn config.wsgi", django_page, port):
        ran = run_shell(block("django", "sh", "curl").replace("8000", str(port)), django_page)
    codes = [line for line in ran.stdout.splitlines() if re.fullmatch(r"\d{3}", line)]
    assert codes == ["200", "204", "401"], ran
