"""A user of the server with the commands that docs/howto/machines.md lists, and a prefix's keys."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.processes.support import refuses
from tests.servers import LONGEST_WAIT, Node, needs_server, serving, until
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionManager,
)
from tokenwheel.cli import main

pytestmark = needs_server

# What a service needs, and `tokenwheel sessions list` and `end`.
COMMANDS = [
    *("eval", "evalsha", "get", "set", "del", "exists", "getrange", "time", "pttl", "pexpireat"),
    *("zadd", "zrem", "zcount", "zrange", "zrangebyscore", "zremrangebyscore", "zscore"),
    *("xadd", "xdel", "xrange", "xread", "xinfo|stream"),
]
# What `tokenwheel sessions count` needs besides.
COUNTING = ["scan"]
PASSWORD = "correct-horse"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with serving(tmp_path) as node:
        allow(node, COMMANDS)
        yield node


def allow(node: Node, commands: list[str]) -> None:
    """Let the user do these commands, and nothing else."""
    with node.client() as client:
        client.execute_command("ACL", "DELUSER", "app")
        client.execute_command(
            *("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "~tokenwheel:*", "resetchannels"),
            *("-@all", *(f"+{command}" for command in commands)),
        )
        client.execute_command("ACL", "LOG", "RESET")


def refused_commands(node: Node) -> set[str]:
    """Return which commands were refused, beside the name that client libraries give first."""
    with node.client(decode_responses=True) as client:
        log = client.execute_command("ACL", "LOG")
        # Where RESP2 is the client's default, an entry is a list of names and values in turn.
        entries = [
            entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))
            for entry in log
        ]
        return {entry["object"] for entry in entries} - {"client|setinfo"}


def client_of(node: Node, library: Any = redis) -> Any:
    return library.Redis(port=node.port, username="app", password=PASSWORD)


def manager_over(client: Any, kind: Any = SessionManager, **options: Any) -> Any:
    return kind(
        SECRET,
        issuer="i",
        audience="a",
        storage=RedisStorage(client),
        revocations=RevocationList(RedisFeed(client)),
        **options,
    )


async def until_refused(manager: Any, token: str) -> None:
    while True:
        if refuses(manager, token):
            return
        await asyncio.sleep(0.001)


def use_all(node: Node) -> None:
    """Do everything that a service does, on two nodes."""
    with client_of(node) as client, client_of(node) as other:
        here = manager_over(client, max_sessions=2, when_full="evict_oldest")
        there = manager_over(other)
        evicted, first, second = (here.create(subject="ann") for _ in range(3))
        assert not any(there.read(tokens.access_token) is None for tokens in (first, second))
        until(lambda: refuses(there, evicted.access_token))
        fresh = here.update(first.refresh_token)
        here.restrict_all("ann")
        until(lambda: refuses(there, second.access_token))
        assert here.read_all("ann").keys() == {first.session_id, second.session_id}
        assert here.delete_one("ann", second.session_id) is True
        assert here.delete_all("ann") == 1
        until(lambda: refuses(there, fresh.access_token))
        RevocationList(RedisFeed(client)).close()
        for manager in (here, there):
            manager.close()


def test_a_blocking_service_needs_what_is_listed_and_nothing_more(node: Node) -> None:
    use_all(node)
    assert refused_commands(node) == set()


def test_an_asyncio_service_needs_no_more(node: Node) -> None:
    async def use() -> None:
        async with (
            client_of(node, redis.asyncio) as client,
            client_of(node, redis.asyncio) as other,
            manager_over(client, AsyncSessionManager) as here,
            manager_over(other, AsyncSessionManager) as there,
        ):
            first, second = [await here.create(subject="ann") for _ in range(2)]
            fresh = await here.update(first.refresh_token)
            await here.restrict_all("ann")
            assert len(await here.read_all("ann")) == 2
            assert await here.delete_all("ann") == 2
            for tokens in (fresh, second):
                await until_refused(there, tokens.access_token)

    asyncio.run(asyncio.wait_for(use(), LONGEST_WAIT))
    assert refused_commands(node) == set()


def test_a_stream_whose_head_is_over_is_trimmed_by_this_user(node: Node) -> None:
    with client_of(node) as client:
        feed = RedisFeed(client)
        old = RevocationList(feed)
        with node.client() as admin:
            admin.xadd("tokenwheel:revocations", {"r": b"", "e": "1"})
        old.revoke("A" * 16, time.time() + 900)
        with node.client() as admin:
            assert admin.xlen("tokenwheel:revocations") == 1
        old.close()
    assert refused_commands(node) == set()


def test_operators_need_no_more_to_list_and_end_and_one_command_to_count(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDISCLI_AUTH", PASSWORD)
    place = ("--database", f"redis://app@127.0.0.1:{node.port}/0")
    with client_of(node) as client, manager_over(client) as manager:
        tokens = manager.create(subject="ann")
        assert main(["sessions", "list", "ann", *place]) == 0
        assert tokens.session_id in capsys.readouterr().out
        assert main(["sessions", "count", *place]) == 1
        assert refused_commands(node) == {"scan"}
        allow(node, [*COMMANDS, *COUNTING])
        assert main(["sessions", "count", *place]) == 0
        assert "sessions: 1" in capsys.readouterr().out
        assert main(["sessions", "end", "ann", "--all", *place]) == 0
        until(lambda: refuses(manager, tokens.access_token))
    assert refused_commands(node) == set()


def test_what_a_prefix_does_not_begin_is_out_of_reach(node: Node) -> None:
    with client_of(node) as client:
        other = RedisStorage(client, prefix="elsewhere")
        with pytest.raises(redis.exceptions.NoPermissionError):
            other.read("A" * 16, time.time())
        other.close()


def test_the_page_on_several_machines_lists_these_commands() -> None:
    page = (Path(__file__).parents[2] / "docs/howto/machines.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ACL SETUSER.*?(?=^```)", page, flags=re.MULTILINE | re.DOTALL)
    assert sorted(re.findall(r"\+(\S+)", line)) == sorted(COMMANDS)
    assert all(f"`+{command}`" in page for command in COUNTING)
