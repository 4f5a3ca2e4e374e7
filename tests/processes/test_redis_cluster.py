"""A service on a cluster.

Every node hears of the whole life of the sessions of many subjects. Slots move to another server
meanwhile, and servers are started again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.crc import key_slot

from tests.servers import Node, clustered, empty, needs_server, until
from tokenwheel import RefreshTokenReused, SessionNotFound, StorageUnavailable
from tokenwheel.redis.key_names import PREFIX, KeyNames, slot_of_subject

from .support import Service, refuses

HOSTILE = [
    "a",
    "a@b",
    "a:*",
    "*",
    "?",
    "[a]",
    "{a}",
    "{}a",
    "}{",
    "a b",
    " a",
    "A",
    "'; --",
    "a\n",
    "ä",
    "a\u0308",
    "😀",
    "é" * 255,
]
SUBJECTS = [*HOSTILE, *(f"subject {number}" for number in range(30))]
NAMES = KeyNames(PREFIX)

pytestmark = needs_server


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[Node]]:
    """Start a cluster whose slots may lie anywhere, and which keeps what it was told."""
    with clustered(
        tmp_path_factory.mktemp("moved"), "--appendonly", "yes", "--appendfsync", "always"
    ) as nodes:
        yield nodes


def over(library: Any, nodes: Sequence[Node]) -> Service:
    empty(*nodes)
    return Service(lambda: library.RedisCluster(host="127.0.0.1", port=nodes[0].port))


def test_the_sessions_of_many_subjects_live_and_end_on_every_node(
    library: Any, cluster: Sequence[Node]
) -> None:
    with over(library, cluster) as service:
        nodes = [service.join() for _ in range(3)]
        refused, good, live = [], [], {}
        for turn, subject in enumerate(SUBJECTS):
            ended, kept = live_and_end(subject, *(nodes[(turn + place) % 3] for place in range(3)))
            refused += ended
            good.append(kept.access_token)
            live[subject] = {kept.session_id}
        for node in nodes:
            service.wait_until(
                lambda: all(refuses(node, token) for token in refused), "that every node has heard"
            )
            assert not any(refuses(node, token) for token in good)
            assert {subject: set(node.read_all(subject)) for subject in SUBJECTS} == live
        late = service.join()
        assert all(refuses(late, token) for token in refused)
        assert not any(refuses(late, token) for token in good)


def live_and_end(subject: str, here: Any, there: Any, elsewhere: Any) -> tuple[list[str], Any]:
    """Do to sessions all that can be done, each step on another node.

    Return the tokens that are refused in the end, and the tokens of the session that is left.
    """
    stolen, restricted, kept = (here.create({"n": 1}, subject=subject) for _ in range(3))
    for node in (here, there, elsewhere):
        assert [
            node.read(tokens.access_token).subject for tokens in (stolen, restricted, kept)
        ] == [subject] * 3
        assert node.read_all(subject).keys() == {
            tokens.session_id for tokens in (stolen, restricted, kept)
        }

    second = there.update(stolen.refresh_token)
    retried = elsewhere.update(stolen.refresh_token, subject=subject)
    assert retried.refresh_token == second.refresh_token
    fourth = here.update(retried.refresh_token)
    with pytest.raises(RefreshTokenReused):
        elsewhere.update(stolen.refresh_token)
    with pytest.raises(SessionNotFound, match="no session is open"):
        there.update(fourth.refresh_token)
    refused = [tokens.access_token for tokens in (stolen, second, retried, fourth)]

    there.restrict_one(here.read(restricted.access_token))
    refreshed = elsewhere.update(restricted.refresh_token)
    assert [node.read(refreshed.access_token).session_id for node in (here, there, elsewhere)] == [
        restricted.session_id
    ] * 3
    here.restrict_all(subject)
    anew = elsewhere.update(kept.refresh_token)
    assert elsewhere.delete_one(subject, restricted.session_id) is True
    assert there.delete_one(subject, restricted.session_id) is False
    assert there.delete_all(subject) == 1
    refused += [tokens.access_token for tokens in (restricted, refreshed, kept, anew)]
    return refused, here.create(subject=subject)


@pytest.mark.parametrize("first", ["index", "session"])
def test_no_session_is_overlooked_while_a_slot_moves(
    library: Any, first: str, moved: Sequence[Node]
) -> None:
    with over(library, moved) as service:
        here, there, elsewhere = (service.join() for _ in range(3))
        opened = {
            tokens.session_id: tokens for tokens in (here.create(subject="ann") for _ in range(4))
        }
        with moving(moved, slot_of_subject("ann"), early=first_key(first, opened)):
            assert ids_or_failure(there) in (opened.keys(), None)
            # A session that may be here or there is found in either place.
            for tokens in opened.values():
                assert elsewhere.read(tokens.access_token).session_id == tokens.session_id
        assert service.insist(lambda: elsewhere.read_all("ann")).keys() == opened.keys()
        assert service.insist(lambda: here.delete_all("ann")) == len(opened)


@pytest.mark.parametrize("first", ["index", "session"])
def test_a_logout_everywhere_ends_every_session_while_a_slot_moves(
    library: Any, first: str, moved: Sequence[Node]
) -> None:
    with over(library, moved) as service:
        here, there, elsewhere = nodes = [service.join() for _ in range(3)]
        opened = {
            tokens.session_id: tokens for tokens in (here.create(subject="ann") for _ in range(4))
        }
        has_returned = False
        with (
            moving(moved, slot_of_subject("ann"), early=first_key(first, opened)),
            suppress(StorageUnavailable),
        ):
            there.delete_all("ann")
            has_returned = True
        if not has_returned:
            service.insist(lambda: there.delete_all("ann"))
        for node in nodes:
            service.wait_until(
                lambda: all(refuses(node, tokens.access_token) for tokens in opened.values()),
                "that every node has heard",
            )
        for tokens in opened.values():
            with pytest.raises(SessionNotFound, match="no session is open"):
                service.insist(lambda: elsewhere.update(tokens.refresh_token))


def test_logouts_are_heard_while_and_after_the_stream_moves(
    library: Any, moved: Sequence[Node]
) -> None:
    with over(library, moved) as service:
        nodes = [service.join() for _ in range(3)]
        before, meanwhile, after = (
            nodes[0].create(subject=subject) for subject in ("ann", "bob", "cid")
        )
        for node in nodes:
            assert not any(
                refuses(node, tokens.access_token) for tokens in (before, meanwhile, after)
            )
        nodes[0].delete_one("ann", before.session_id)
        with moving(moved, key_slot(NAMES.stream.encode())):
            service.insist(lambda: nodes[1].delete_one("bob", meanwhile.session_id))
        service.insist(lambda: nodes[2].delete_one("cid", after.session_id))
        for node in (*nodes, service.insist(service.join)):
            for tokens in (before, meanwhile, after):
                service.wait_until(
                    lambda: refuses(node, tokens.access_token), "that every node has heard"
                )


def test_sessions_and_revocations_outlive_a_server_of_the_cluster_that_is_killed_and_started_again(
    library: Any, moved: Sequence[Node]
) -> None:
    with over(library, moved) as service:
        nodes = [service.join() for _ in range(3)]
        opened = {subject: nodes[0].create(subject=subject) for subject in SUBJECTS}
        refused = []

        def end_some() -> None:
            for node in nodes:
                subject, tokens = opened.popitem()
                assert service.insist(lambda: node.delete_one(subject, tokens.session_id)) is True
                refused.append(tokens.access_token)
            for node in nodes:
                service.wait_until(
                    lambda: all(refuses(node, token) for token in refused),
                    "that every node has heard",
                )

        end_some()
        keeper = owner_of(key_slot(NAMES.stream.encode()), moved)
        keeper.kill()
        keeper.start()
        until(lambda: all(is_whole(server) for server in moved), "the cluster")
        end_some()
        nodes.append(service.insist(service.join))
        for subject, tokens in opened.items():
            assert service.insist(lambda: nodes[-1].read_all(subject)).keys() == {tokens.session_id}
        for node in nodes:
            assert all(refuses(node, token) for token in refused)
            assert not any(refuses(node, tokens.access_token) for tokens in opened.values())


def first_key(kind: str, opened: Mapping[str, Any]) -> bytes:
    return NAMES.index("ann") if kind == "index" else NAMES.session(next(iter(opened))).encode()


def ids_or_failure(node: Any) -> Collection[str] | None:
    try:
        return node.read_all("ann").keys()
    except StorageUnavailable:
        return None


def is_whole(server: Node) -> bool:
    with server.client() as client:
        return "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO"))


@contextmanager
def moving(servers: Sequence[Node], slot: int, *, early: bytes | None = None) -> Iterator[None]:
    """Hold a slot half moved for a while.

    One of its keys is where the slot goes, or all are, and the cluster does not say so yet.
    """
    owner = owner_of(slot, servers)
    ordered = [owner, *(server for server in servers if server is not owner)]
    with ExitStack() as stack:
        source, target, *others = (stack.enter_context(server.client()) for server in ordered)
        from_id, to_id = (client.execute_command("CLUSTER", "MYID") for client in (source, target))

        def migrate(*keys: Any) -> None:
            if keys:
                source.execute_command(
                    "MIGRATE", "127.0.0.1", ordered[1].port, "", 0, 5_000, "KEYS", *keys
                )

        target.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", from_id)
        source.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", to_id)
        migrate(
            *(
                source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100)
                if early is None
                else [early]
            )
        )
        try:
            yield
        finally:
            migrate(*source.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100))
            for client in (target, source, *others):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", to_id)


def owner_of(slot: int, servers: Sequence[Node]) -> Node:
    with redis.RedisCluster(host="127.0.0.1", port=servers[0].port) as cluster:
        port = cluster.nodes_manager.get_node_from_slot(slot).port
    return next(server for server in servers if server.port == port)
