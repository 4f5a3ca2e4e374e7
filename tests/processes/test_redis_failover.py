"""The primary dies and its replica takes over, under Sentinel or by hand.

What was revoked stays refused, by nodes that come later as well, and where the replica had not
heard of it yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers import (
    Node,
    Proxy,
    needs_server,
    no_retry,
    proxied,
    replicated,
    serving,
    wait_for_replica,
)
from tokenwheel.redis.scripts import APPEND, DELETE, INSERT, LOOK, READ_ALL, REPLACE

from .support import Service, refuses

OPTIONS: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2}

pytestmark = needs_server


def test_a_logout_holds_before_and_after_a_failover_on_every_node(
    library: Any, tmp_path: Path
) -> None:
    with (
        replicated(tmp_path) as (primary, replica, sentinel),
        under_sentinel(library, sentinel) as service,
    ):
        nodes = [service.join() for _ in range(3)]
        first, second, third = nodes
        before, after, kept, restricted = (first.create(subject="ann") for _ in range(4))
        for node in nodes:
            assert {
                node.read(tokens.access_token)["sub"]
                for tokens in (before, after, kept, restricted)
            } == {"ann"}
        assert first.delete_one("ann", before.session_id) is True
        wait_for_replica(primary)
        with replica.client() as client:
            assert not any(
                client.script_exists(
                    *(script.sha for script in (INSERT, READ_ALL, REPLACE, DELETE, APPEND, LOOK))
                )
            )

        primary.kill()
        for node in nodes:  # `read` needs no server.
            assert node.read(kept.access_token)["sid"] == kept.session_id
        assert service.insist(lambda: second.delete_one("ann", after.session_id)) is True
        service.insist(lambda: third.restrict_one({"sub": "ann", "sid": restricted.session_id}))
        refused = [tokens.access_token for tokens in (before, after, restricted)]
        for node in nodes:
            service.wait_until(
                lambda: all(refuses(node, token) for token in refused), "that every node has heard"
            )
        good = [
            service.insist(call)
            for call in (
                lambda: first.update(restricted.refresh_token),
                lambda: first.create(subject="ann"),
            )
        ]
        nodes.append(service.join())
        for node in nodes:
            assert all(refuses(node, token) for token in refused)
            assert [node.read(tokens.access_token)["sid"] for tokens in good] == [
                tokens.session_id for tokens in good
            ]
        assert service.insist(lambda: second.read_all("ann")).keys() == {
            tokens.session_id for tokens in (kept, *good)
        }


def test_nodes_put_back_what_the_new_primary_never_got(library: Any, tmp_path: Path) -> None:
    with two_servers(tmp_path) as (primary, replica, proxy), over(library, proxy) as service:
        nodes = [service.join() for _ in range(2)]
        kept, ended, lost = (nodes[0].create(subject="ann") for _ in range(3))
        for node in nodes:
            assert not any(refuses(node, tokens.access_token) for tokens in (kept, ended, lost))
        nodes[0].delete_one("ann", ended.session_id)
        with falling_behind(primary, replica, proxy):
            nodes[1].delete_one("ann", lost.session_id)
            nodes[1].restrict_one({"sub": "ann", "sid": kept.session_id})
            refused = [tokens.access_token for tokens in (ended, lost, kept)]
            for node in nodes:
                service.wait_until(
                    lambda: all(refuses(node, token) for token in refused),
                    "that every node has heard",
                )
        nodes.append(service.insist(service.join))
        for node in nodes:
            service.wait_until(
                lambda: all(refuses(node, token) for token in refused),
                "that they put back what they know",
            )
        assert all(refuses(service.join(), token) for token in refused)


def test_a_node_that_only_ends_sessions_puts_back_what_nobody_else_had_heard(
    library: Any, tmp_path: Path
) -> None:
    with two_servers(tmp_path) as (primary, replica, proxy), over(library, proxy) as service:
        node = service.join()
        lost = node.create(subject="ann")
        with falling_behind(primary, replica, proxy):
            assert node.delete_one("ann", lost.session_id) is True
        late = service.insist(service.join)
        service.wait_until(
            lambda: refuses(late, lost.access_token), "that the node puts back what it knows"
        )
        assert refuses(service.join(), lost.access_token)


@contextmanager
def under_sentinel(library: Any, node: Node) -> Iterator[Service]:
    """Nodes which ask the sentinel who the primary is."""
    sentinel = library.sentinel.Sentinel([("127.0.0.1", node.port)], **OPTIONS)
    with Service(
        lambda: sentinel.master_for("service", retry=no_retry(library), **OPTIONS)
    ) as service:
        for client in sentinel.sentinels:
            service.close_later(client)
        yield service


def over(library: Any, proxy: Proxy) -> Service:
    return Service(lambda: library.Redis(port=proxy.port, retry=no_retry(library), **OPTIONS))


@contextmanager
def two_servers(folder: Path) -> Iterator[tuple[Node, Node, Proxy]]:
    """Start a primary, its replica, and the way to whichever is in charge."""
    with (
        serving(folder / "primary", "--repl-diskless-sync-delay", "0") as primary,
        serving(folder / "replica", "--replicaof", f"127.0.0.1 {primary.port}") as replica,
        proxied(primary.port) as proxy,
    ):
        wait_for_replica(primary)
        yield primary, replica, proxy


@contextmanager
def falling_behind(primary: Node, replica: Node, proxy: Proxy) -> Iterator[None]:
    """Let only the primary know what is done meanwhile, then kill it.

    The replica takes over with what it had before.
    """
    wait_for_replica(primary)
    with replica.client() as client:
        client.save()
    replica.kill()
    yield
    primary.kill()
    replica.start()
    with replica.client() as client:
        client.replicaof("NO", "ONE")
    proxy.lead_to(replica.port)
