"""Attacks by who can write to a storage, who has a dump of it, and who shares it.

The attacker has all that the storage has, and may be a user with sessions of his own. The service
has a ``storage_key``, which is in no storage. Each attack is tried on each storage.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.servers import Node, empty, needs_server, serving
from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    ConfigurationError,
    Key,
    MemoryStorage,
    RefreshTokenReused,
    SessionManager,
    SessionNotFound,
    TooManySessions,
)
from tokenwheel._impl import digest
from tokenwheel.models import Device, SessionContext, SessionRecord
from tokenwheel.redis import RedisStorage
from tokenwheel.session.refresh_tokens import parse_refresh_token, successor
from tokenwheel.sqlite import SqliteStorage
from tokenwheel.storage.protocol import SessionStorage

STORAGE_KEY = secrets.token_bytes(32)
OTHER_KEY = secrets.token_bytes(32)
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with serving(tmp_path_factory.mktemp("server")) as node:
        yield node


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=needs_server)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionStorage]:
    if request.param == "memory":
        yield MemoryStorage()
    elif request.param == "sqlite":
        in_file = SqliteStorage(tmp_path / "sessions.db", synchronous="NORMAL")
        yield in_file
        in_file.close()
    else:
        node = request.getfixturevalue("node")
        empty(node)
        with redis.Redis(port=node.port) as client:
            on_server = RedisStorage(client)
            yield on_server
            on_server.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def make(storage: SessionStorage, clock: FakeClock) -> Callable[..., SessionManager]:
    """Return what makes a manager of the bank, where its options don't say otherwise."""

    def make_manager(**options: Any) -> SessionManager:
        given = {"issuer": "bank", "audience": "a", "storage_key": STORAGE_KEY, **options}
        return SessionManager(SECRET, clock=clock, storage=storage, **given)

    return make_manager


def written(storage: SessionStorage, record: SessionRecord, **changes: Any) -> SessionRecord:
    """Write a record into the storage as an attacker would, with these fields changed."""
    forged = record._replace(version=record.version + 1, **changes)
    assert storage.delete([record], NOW)
    assert storage.insert(forged, None, NOW)
    return forged


def stored(storage: SessionStorage, session_id: str) -> SessionRecord:
    record = storage.read(session_id, NOW)
    assert record is not None
    return record


def opens_nothing(manager: SessionManager, refresh_token: str) -> None:
    with pytest.raises(SessionNotFound, match="no session is open") as caught:
        manager.update(refresh_token)
    assert not isinstance(caught.value, RefreshTokenReused)


CHANGES: dict[str, Callable[[SessionRecord], dict[str, Any]]] = {
    "its subject": lambda record: {"subject": "admin"},
    "its end": lambda record: {"expires_at": record.expires_at + 10**8},
    "its idle end": lambda record: {"ends_at": record.ends_at - 1},
    "its birth": lambda record: {"created_at": record.created_at - 1},
    "its last use": lambda record: {"last_used_at": record.last_used_at + 1},
    "its generation": lambda record: {"generation": record.generation + 1},
    "when its access tokens end": lambda record: {"access_expires_at": 1},
    "its device": lambda record: {
        "context": SessionContext(device=Device("Pixel", "phone", {"a": 1}))
    },
    "its device's rest": lambda record: {
        "context": SessionContext(device=Device("Mac", "laptop", {"a": 2}))
    },
    "its address": lambda record: {"context": record.context.__class__("10.0.0.1")},
    "the rotating secret": lambda record: {"secret_hash": digest(b"chosen")},
    "the secret before": lambda record: {"previous_hash": digest(b"chosen"), "salt": bytes(16)},
    "the grace": lambda record: {"rotated_at": NOW + 10**6},
    "that nobody sealed it": lambda record: {"mac": None},
    "its MAC": lambda record: {"mac": bytes(16)},
    "nothing but its version": lambda record: {},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
def test_a_record_changed_by_who_can_write_to_the_storage_serves_and_ends_no_session(
    make: Callable[..., SessionManager],
    storage: SessionStorage,
    changes: Callable[[SessionRecord], dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = make()
    tokens = manager.create(
        subject="ann", context=SessionContext(device=Device("Mac", "laptop", {"a": 1}))
    )
    record = stored(storage, tokens.session_id)
    forged = written(storage, record, **changes(record))
    opens_nothing(manager, tokens.refresh_token)
    assert manager.read_all("ann") == manager.read_all(forged.subject) == {}
    assert manager.delete_all(forged.subject) == 0
    assert manager.delete_one(forged.subject, tokens.session_id) is False
    assert manager.delete_one(forged.subject, tokens.refresh_token) is False
    manager.restrict_all(forged.subject)
    assert manager.read(tokens.access_token).subject == "ann"
    assert stored(storage, tokens.session_id) == forged
    assert manager.broken_records >= 4
    assert "without the storage_key" in caplog.text
    assert tokens.refresh_token[16:] not in caplog.text


def test_a_session_forged_by_who_can_write_to_the_storage_opens_no_account(
    make: Callable[..., SessionManager], storage: SessionStorage
) -> None:
    """The attacker takes his own session's record, whose secrets he knows, as a model."""
    own = make().create(subject="mallory")
    record = stored(storage, own.session_id)
    storage.delete([record], NOW)
    storage.insert(record._replace(subject="ann"), None, NOW)
    opens_nothing(make(), own.refresh_token)
    storage.delete([record], NOW)
    storage.insert(record._replace(subject="ann", mac=None), None, NOW)
    opens_nothing(make(), own.refresh_token)


def test_a_record_under_the_id_of_another_session_opens_nothing_and_logs_nobody_out(
    make: Callable[..., SessionManager], storage: SessionStorage
) -> None:
    manager = make()
    ann, mallory = manager.create(subject="ann"), manager.create(subject="mallory")
    hers, his = stored(storage, ann.session_id), stored(storage, mallory.session_id)
    storage.delete([hers], NOW)
    storage.insert(his._replace(id=hers.id), None, NOW)
    opens_nothing(manager, ann.session_id + mallory.refresh_token[16:])
    assert manager.delete_all("mallory") == 1
    assert manager.delete_one("mallory", ann.session_id) is False
    assert manager.read(ann.access_token).subject == "ann"


def test_who_was_logged_in_before_there_was_a_key_logs_in_once_more(
    make: Callable[..., SessionManager],
) -> None:
    before = make(storage_key=None).create(subject="ann")
    opens_nothing(make(), before.refresh_token)


@pytest.mark.parametrize("when_full", ["reject", "evict_oldest"])
def test_sessions_from_before_there_was_a_key_keep_nobody_from_logging_in(
    make: Callable[..., SessionManager], when_full: str
) -> None:
    options: dict[str, Any] = {"max_sessions": 2, "when_full": when_full}
    for _ in range(2):
        make(storage_key=None, **options).create(subject="ann")
    manager = make(**options)
    opened = {manager.create(subject="ann").session_id for _ in range(2)}
    assert set(manager.read_all("ann")) == opened
    if when_full == "reject":
        with pytest.raises(TooManySessions):
            manager.create(subject="ann")


def test_a_manager_without_the_key_changes_no_sealed_session_and_says_so(
    make: Callable[..., SessionManager],
) -> None:
    sealing, keyless = make(), make(storage_key=None)
    tokens = sealing.create(subject="ann")
    for change in (
        lambda: keyless.update(tokens.refresh_token),
        lambda: keyless.restrict_all("ann"),
    ):
        with pytest.raises(ConfigurationError, match="must be given it"):
            change()
    assert sealing.update(tokens.refresh_token).session_id == tokens.session_id
    assert list(keyless.read_all("ann")) == [tokens.session_id]
    assert keyless.delete_all("ann") == 1
    opens_nothing(sealing, tokens.refresh_token)


def test_a_dump_and_the_refresh_token_before_the_current_one_do_not_give_the_current_one(
    make: Callable[..., SessionManager], storage: SessionStorage
) -> None:
    manager = make()
    old = manager.create(subject="ann")
    current = manager.update(old.refresh_token)
    presented = parse_refresh_token(old.refresh_token)
    record = stored(storage, old.session_id)
    assert presented is not None
    assert record.salt is not None
    derived = successor(presented.secret, record.salt, len(presented.secret))
    assert digest(derived) != record.secret_hash
    assert presented.followed_by(derived) != current.refresh_token


def test_a_retry_gets_the_same_successor_from_every_worker_with_the_key(
    make: Callable[..., SessionManager],
) -> None:
    for length in (24, 64):
        manager = make(refresh_token_length=length)
        first = manager.create(subject="ann")
        second = manager.update(first.refresh_token)
        assert make().update(first.refresh_token).refresh_token == second.refresh_token


def test_a_key_is_replaced_while_nobody_is_logged_out(make: Callable[..., SessionManager]) -> None:
    old, ready, both, new = (
        make(storage_key=keys)
        for keys in (
            STORAGE_KEY,
            [STORAGE_KEY, OTHER_KEY],
            [OTHER_KEY, STORAGE_KEY],
            [OTHER_KEY],
        )
    )
    first = old.create(subject="ann")
    second = old.update(first.refresh_token)
    opens_nothing(new, second.refresh_token)
    # While both orders are in use, each opens what the other has sealed.
    elsewhere = ready.create(subject="ann")
    elsewhere = ready.update(both.update(elsewhere.refresh_token).refresh_token)
    assert both.update(elsewhere.refresh_token).session_id == elsewhere.session_id
    # Retried where the new key came first: the old one has derived what was handed out.
    assert both.update(first.refresh_token).refresh_token == second.refresh_token
    third = both.update(second.refresh_token)
    assert new.update(third.refresh_token).session_id == first.session_id
    opens_nothing(old, third.refresh_token)


def test_a_retry_whose_key_has_gone_meanwhile_opens_nothing_and_ends_nothing(
    make: Callable[..., SessionManager],
) -> None:
    old, both, new = (
        make(storage_key=keys) for keys in (STORAGE_KEY, [OTHER_KEY, STORAGE_KEY], [OTHER_KEY])
    )
    first = old.create(subject="ann")
    second = old.update(first.refresh_token)
    both.restrict_all("ann")
    opens_nothing(new, first.refresh_token)
    assert new.update(second.refresh_token).session_id == first.session_id


@pytest.mark.parametrize("storage_key", [None, STORAGE_KEY], ids=["without", "with"])
def test_a_refresh_token_of_a_neighbour_on_the_same_storage_opens_nothing(
    make: Callable[..., SessionManager], storage_key: bytes | None
) -> None:
    forum = make(issuer="forum", storage_key=storage_key)
    bank = make(issuer="bank", storage_key=storage_key)
    token = forum.create(subject="ann").refresh_token
    opens_nothing(bank, token)
    # Nor does it there what a replaced one would do.
    forum.update(forum.update(token).refresh_token)
    opens_nothing(bank, token)
    assert bank.broken_records == 0


@pytest.mark.parametrize("storage_key", [None, STORAGE_KEY], ids=["without", "with"])
def test_a_neighbour_on_the_same_storage_neither_sees_nor_counts_nor_ends_others_sessions(
    make: Callable[..., SessionManager], storage_key: bytes | None
) -> None:
    def options(issuer: str) -> dict[str, Any]:
        return {"issuer": issuer, "storage_key": storage_key, "max_sessions": 2}

    forum, bank = make(**options("forum")), make(**options("bank"))
    at_bank = [bank.create(subject="ann") for _ in range(2)]
    at_forum = [forum.create(subject="ann") for _ in range(2)]
    with pytest.raises(TooManySessions):
        forum.create(subject="ann")
    assert set(forum.read_all("ann")) == {tokens.session_id for tokens in at_forum}
    assert forum.delete_one("ann", at_bank[0].session_id) is False
    assert forum.delete_one("ann", at_bank[0].refresh_token) is False
    forum.restrict_all("ann")
    assert forum.delete_all("ann") == 2
    for tokens in at_bank:
        assert bank.read(tokens.access_token).subject == "ann"
    assert set(bank.read_all("ann")) == {tokens.session_id for tokens in at_bank}
    with pytest.raises(AccessTokenRevoked):
        forum.read(at_forum[0].access_token)


def test_a_login_with_a_neighbour_evicts_none_of_others_sessions(
    make: Callable[..., SessionManager], clock: FakeClock
) -> None:
    options: dict[str, Any] = {"max_sessions": 2, "when_full": "evict_oldest"}
    forum, bank = make(issuer="forum", **options), make(issuer="bank", **options)
    at_bank = [bank.create(subject="ann").session_id for _ in range(2)]
    at_forum = []
    for _ in range(5):
        clock.advance(1)
        at_forum.append(forum.create(subject="ann").session_id)
    assert set(bank.read_all("ann")) == set(at_bank)
    assert set(forum.read_all("ann")) == set(at_forum[-2:])


def test_a_session_from_before_there_were_issuers_goes_on_with_the_one_that_refreshes_it(
    make: Callable[..., SessionManager], storage: SessionStorage
) -> None:
    forum, bank = (make(issuer=issuer, storage_key=None) for issuer in ("forum", "bank"))
    tokens = bank.create(subject="ann")
    written(storage, stored(storage, tokens.session_id), issuer="")
    assert list(bank.read_all("ann")) == [tokens.session_id]
    refreshed = bank.update(tokens.refresh_token)
    assert stored(storage, tokens.session_id).issuer == "bank"
    opens_nothing(forum, refreshed.refresh_token)


def test_a_durable_storage_without_a_key_is_said_once_in_the_log(
    make: Callable[..., SessionManager], storage: SessionStorage, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tokenwheel"):
        make()
        assert "not sealed" not in caplog.text
        make(storage_key=None)
        make(storage_key=None)
    is_durable = not isinstance(storage, MemoryStorage)
    assert caplog.text.count("are not sealed") == int(is_durable)
    assert caplog.text.count("storage_key") == int(is_durable)


@pytest.mark.parametrize(
    "storage_key, reason",
    [
        (secrets.token_bytes(31), "at least 32 random bytes"),
        ("", "storage_key is empty"),
        ([], "at least one secret"),
        ([OTHER_KEY, secrets.token_bytes(31)], "at least 32 random bytes"),
        ([OTHER_KEY, OTHER_KEY], "the same secret twice"),
        (32, "must be random bytes"),
        ([None], "must be random bytes"),
        (bytearray(32), "must be random bytes"),
        (Key.generate("ES256"), "must be a shared secret"),
        (Key.generate("ES256").public(), "must be a shared secret"),
        (Key.generate("ES256").to_pem(), "PEM"),
    ],
    ids=lambda value: "key" if not isinstance(value, str) else None,
)
def test_a_storage_key_that_is_no_secret_refuses_to_start(storage_key: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        SessionManager(SECRET, issuer="bank", audience="a", storage_key=storage_key)
    assert "storage_key" in str(caught.value)


def test_a_storage_key_may_be_what_is_in_a_key_file(make: Callable[..., SessionManager]) -> None:
    key = Key.from_secret(STORAGE_KEY)
    text = (
        '{"kty":"oct","k":"%s","alg":"HS256"}' % key.to_jwk(private=True)["k"]  # noqa: UP031
    )
    tokens = make().create(subject="ann")
    for same in (key, text, text.encode() + b"\n", [OTHER_KEY, key]):
        tokens = make(storage_key=same).update(tokens.refresh_token)
        tokens = make(storage_key=[STORAGE_KEY, OTHER_KEY]).update(tokens.refresh_token)


def test_a_session_of_before_1970_is_sealed_like_any_other(
    make: Callable[..., SessionManager], clock: FakeClock
) -> None:
    clock.now = -5e9
    tokens = make().create(subject="ann")
    assert make().update(tokens.refresh_token).session_id == tokens.session_id


@pytest.mark.parametrize("issuer", ["", "i" * 1025, "bank\ud800"], ids=["none", "long", "half"])
def test_an_issuer_that_no_record_has_room_for_refuses_to_start(issuer: str) -> None:
    with pytest.raises(ConfigurationError, match="issuer must be a non-empty str of at most 1024"):
        SessionManager(SECRET, issuer=issuer, audience="a", storage_key=STORAGE_KEY)
