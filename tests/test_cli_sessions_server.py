"""``tokenwheel sessions`` on a Redis or Valkey server and on a cluster, each named by its URL.

The service runs meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import Node, empty, free_port, needs_server, serving, until
from tests.support import SECRET
from tokenwheel import (
    AccessTokenRevoked,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionContext,
    SessionManager,
)
from tokenwheel.cli import main

pytestmark = needs_server


def over(client: Any, **options: Any) -> SessionManager:
    revocations = RevocationList(RedisFeed(client, **options))
    return SessionManager(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client, **options),
        revocations=revocations,
    )


@pytest.fixture(params=["server", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    servers: Node | Sequence[Node] = request.getfixturevalue(request.param)
    nodes = [servers] if isinstance(servers, Node) else servers
    empty(*nodes)
    return nodes[0].url


@pytest.fixture
def service(url: str, request: pytest.FixtureRequest) -> Iterator[SessionManager]:
    kind: Any = (
        redis.RedisCluster if "cluster" in request.node.callspec.params.values() else redis.Redis
    )
    client = kind.from_url(url)
    with over(client) as manager:
        yield manager
    client.close()


def run(url: str, *arguments: str) -> int:
    return main(["sessions", *arguments, "--database", url])


def is_refused(service: SessionManager, token: str) -> bool:
    try:
        service.read(token)
    except AccessTokenRevoked:
        return True
    return False


def test_the_sessions_of_a_running_service_are_listed_ended_and_counted(
    service: SessionManager, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "ann}:*"
    first, second = (
        service.create(subject=hostile, context=SessionContext("203.0.113.7")) for _ in range(2)
    )
    other = service.create(subject="bob")
    assert run(url, "list", hostile, "--json") == 0
    assert [session["id"] for session in json.loads(capsys.readouterr().out)] == [
        first.session_id,
        second.session_id,
    ]
    assert run(url, "count") == 0
    assert capsys.readouterr() == ("sessions: 3\nrevocations: 0\n", "")

    assert run(url, "end", "bob", first.session_id) == 1
    assert run(url, "end", hostile, first.session_id) == 0
    until(lambda: is_refused(service, first.access_token))
    service.read(second.access_token)
    assert run(url, "end", hostile, "--all") == 0
    until(lambda: is_refused(service, second.access_token))
    service.read(other.access_token)
    capsys.readouterr()
    assert run(url, "count", "--json") == 0
    assert json.loads(capsys.readouterr().out)["sessions"] == 1
    assert service.read_all(hostile) == {}


def test_services_that_share_a_server_are_told_apart_by_their_prefix(
    server: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    empty(server)
    with (
        server.client() as client,
        over(client, prefix="shop") as shop,
        over(client, prefix="forum") as forum,
    ):
        ours, theirs = shop.create(subject="ann"), forum.create(subject="ann")
        assert run(server.url, "end", "ann", "--all", "--prefix", "shop") == 0
        until(lambda: is_refused(shop, ours.access_token))
        forum.read(theirs.access_token)
        assert list(forum.read_all("ann")) == [theirs.session_id]
        assert run(server.url, "list", "ann") == 0
        assert capsys.readouterr().out.endswith("the subject has no session\n")


def test_a_server_that_is_not_there_is_said_and_nothing_seems_to_have_worked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in (["list", "ann"], ["end", "ann", "--all"], ["count"]):
        assert run(f"redis://127.0.0.1:{free_port()}/0", *arguments) == 1
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "server could not be reached" in shown.err


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/0", "redis://127.0.0.1:port/0", "redis://127.0.0.1:99999999/0"]
)
def test_what_is_no_url_of_a_server_is_refused(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(url, "count") == 1
    assert "URL" in capsys.readouterr().err


def test_a_password_comes_from_the_environment_and_is_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as node, node.client() as client:
        client.config_set("requirepass", "correct-horse")
        assert run(node.url, "count") == 1
        assert "AuthenticationError" in capsys.readouterr().err
        monkeypatch.setenv("REDISCLI_AUTH", "correct-horse")
        assert run(node.url, "count") == 0
        assert capsys.readouterr() == ("sessions: 0\nrevocations: 0\n", "")
        monkeypatch.setenv("REDISCLI_AUTH", "wrong")
        assert run(node.url, "count") == 1
        assert run(node.url.replace("redis://", "redis://:correct-horse@"), "count") == 0
        shown = capsys.readouterr()
        assert "keeps it out of sight" in shown.err
        assert "correct-horse" not in shown.out + shown.err
        client.config_set("requirepass", "")
