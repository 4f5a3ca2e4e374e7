"""docs/howto/machines.md, followed to the letter over a real server, which is then stopped."""

from __future__ import annotations

import inspect
import json
import sys
import urllib.request
from pathlib import Path

import pytest
import redis

from tests.docs.howto_blocks import block, blocks, run_shell, serving_the_page, table, write_files
from tests.servers import Node, empty, free_port, needs_server, serving, until
from tokenwheel import RedisFeed, RedisStorage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell")


@needs_server
def test_the_application_of_the_page_obeys_a_logout_on_both_of_two_machines(
    server: Node, tmp_path: Path
) -> None:
    for needed in ("fastapi", "uvicorn"):
        pytest.importorskip(needed)
    empty(server)
    write_files("machines", tmp_path)
    app = tmp_path / "app.py"
    text = app.read_text(encoding="utf-8")
    assert "localhost:6379" in text
    app.write_text(text.replace("localhost:6379", f"127.0.0.1:{server.port}"), encoding="utf-8")
    run_shell(block("machines", "sh", "keys new").partition("\n")[2], tmp_path)
    ports = free_port(), free_port()
    with (
        serving_the_page("machines", "uvicorn app:app", tmp_path, ports[0]),
        serving_the_page("machines", "uvicorn app:app", tmp_path, ports[1]),
    ):
        login = urllib.request.Request(
            f"http://127.0.0.1:{ports[0]}/login",
            data=b'{"name": "ann", "password": "correct horse"}',
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(login) as answer:
            token = json.loads(answer.read())["access_token"]
        asked = f"curl -s -o answer -w '%{{http_code}}' -H 'Authorization: Bearer {token}' "

        def status(port: int, path: str = "/me", more: str = "") -> str:
            return run_shell(f"{asked} {more} http://127.0.0.1:{port}{path}", tmp_path).stdout

        assert [status(port) for port in ports] == ["200", "200"]
        assert status(ports[0], "/session/logout", "-X POST") == "204"
        until(lambda: [status(port) for port in ports * 3] == ["401"] * 6, interval=0.05)
        counted = run_shell(
            block("machines", "sh", "sessions count")
            .splitlines()[1]
            .replace("localhost:6379", f"127.0.0.1:{server.port}"),
            tmp_path,
        )
        assert counted.stdout.splitlines() == ["sessions: 0", "revocations: 1"]


@needs_server
def test_the_server_takes_the_user_and_the_settings_of_the_page(server: Node) -> None:
    (command,) = (text for text in blocks("machines", "") if text.startswith("ACL SETUSER"))
    with redis.Redis(port=server.port) as client:
        assert client.execute_command(*command.split())
        client.execute_command("ACL", "DELUSER", "app")
        for text in ("maxmemory-policy noeviction", "appendonly yes"):
            assert f"{text}\n" in blocks("machines", "")
            name, value = text.split()
            before = client.config_get(name)[name]
            assert client.config_set(name, value)
            client.config_set(name, before)


def test_each_default_of_the_page_is_that_of_the_code() -> None:
    said = {row[0]: row[1] for row in table("machines", "## Options")}

    def default(of: type, name: str) -> object:
        return inspect.signature(of).parameters[name].default

    assert said == {
        "`RedisStorage(client, timeout=)`": f"{default(RedisStorage, 'timeout'):g} seconds",
        "`RedisFeed(client, timeout=)`": f"{default(RedisFeed, 'timeout'):g} seconds",
        "`RedisFeed(client, max_staleness=)`": f"{default(RedisFeed, 'max_staleness'):g} seconds",
        "`RedisFeed(client, when_stale=)`": f'`"{default(RedisFeed, "when_stale")}"`',
        "`prefix=` of both": f'`"{default(RedisFeed, "prefix")}"`',
    }


@needs_server
def test_requests_go_on_and_logins_are_answered_503_while_the_server_is_down(
    tmp_path: Path,
) -> None:
    for needed in ("fastapi", "uvicorn"):
        pytest.importorskip(needed)
    folder = tmp_path / "server"
    folder.mkdir()
    port = free_port()
    with serving(folder) as server:
        write_files("machines", tmp_path)
        app = tmp_path / "app.py"
        text = app.read_text(encoding="utf-8")
        at = f"127.0.0.1:{server.port}"
        app.write_text(text.replace("localhost:6379", at), encoding="utf-8")
        run_shell(block("machines", "sh", "keys new").partition("\n")[2], tmp_path)
        login = (
            f"curl -s -o tokens.json -w '%{{http_code}}' http://127.0.0.1:{port}/login "
            """--json '{"name": "ann", "password": "correct horse"}'"""
        )
        with serving_the_page("machines", "uvicorn app:app", tmp_path, port):
            assert run_shell(login, tmp_path).stdout == "200"
            token = json.loads((tmp_path / "tokens.json").read_text())["access_token"]
            asked = (
                "curl -s -o answer -w '%{http_code}' "
                f"-H 'Authorization: Bearer {token}' http://127.0.0.1:{port}/me"
            )
            server.kill()
            log = tmp_path / "log"
            until(lambda: "the feed of revocations is cut off" in log.read_text())
            assert run_shell(login, tmp_path).stdout == "503"
            assert run_shell(asked, tmp_path).stdout == "200"
            server.start()
            until(lambda: "the feed of revocations is connected again" in log.read_text())
            until(lambda: run_shell(login, tmp_path).stdout == "200", interval=0.05)
