"""docs/howto/fastapi.md, flask.md and django.md: their programs, driven as browsers and others do.

Also the numbers of docs/faq.md that no block of it tries.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.docs.howto_blocks import (
    HOWTO,
    block,
    blocks,
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


@pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("curl") is None, reason="the commands are for a shell"
)
def test_the_commands_of_the_fastapi_page_give_what_it_says(tmp_path: Path) -> None:
    for needed in ("uvicorn", "fastapi"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    assert write_files("fastapi", tmp_path) == ["app.py"]
    port = free_port()
    with serving_the_page("fastapi", "uvicorn app:app", tmp_path, port):
        ran = run_shell(block("fastapi", "sh", "curl").replace("8000", str(port)), tmp_path)
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
