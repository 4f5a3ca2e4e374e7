"""A manager over the keys of a URL whose server does all that a server may do.

Whatever it does: no token is refused that was good before, no ``read`` waits, nothing crashes, and
the log and ``stats()`` say what is wrong.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from tests.keys.key_servers import Answer, KeyServer, http, jwks, raw
from tests.servers import LONGEST_WAIT, until
from tests.support import FakeClock
from tests.web.tls import make_certificate
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    InvalidAccessToken,
    Key,
    KeySet,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.exact import type_name_of
from tokenwheel.keys import KeyResponse, RemoteKeySet, RemoteKeysStats

OLD, NEW = Key.generate("ES256", kid="old"), Key.generate("ES256", kid="new")


class Login:
    """The service that signs."""

    def __init__(self) -> None:
        self.keys = KeySet(OLD)
        self.manager = SessionManager(self.keys, issuer="i", audience="a")

    def token(self) -> str:
        return self.manager.create(subject="ann").access_token

    def jwks(self, **members: Any) -> dict[str, Any]:
        return {**self.keys.jwks(), **members}


@pytest.fixture
def login() -> Login:
    return Login()


@pytest.fixture
def server(login: Login) -> Iterator[KeyServer]:
    with KeyServer(jwks(login.keys)) as made:
        yield made


@pytest.fixture
def timer() -> FakeClock:
    return FakeClock(1000.0)


def manager_of(keys: RemoteKeySet, **options: Any) -> SessionManager:
    return SessionManager(keys, issuer="i", audience="a", **options)


def fetch_again(keys: RemoteKeySet, timer: FakeClock, seconds: float = 300.0) -> RemoteKeysStats:
    """Let so much time pass that a fetch is due, and wait for its end."""
    ended = keys.stats()
    timer.advance(seconds)

    def has_ended() -> bool:
        keys.look()
        now = keys.stats()
        has_told = now.failures > ended.failures or now.age == 0.0
        return now.fetches > ended.fetches and has_told and not keys._crew.is_busy

    until(has_ended, "the end of another fetch")
    return keys.stats()


def test_the_keys_are_there_before_the_first_read(login: Login, server: KeyServer) -> None:
    keys = RemoteKeySet(server.url)
    assert server.requests == []
    with manager_of(keys) as manager:
        assert manager.read(login.token())["sub"] == "ann"
        assert len(server.requests) == 1
        assert "Accept: application/jwk-set+json, application/json" in server.requests[0]
        assert keys.stats()[1::2] == (0, 1)


def test_an_async_manager_awaits_the_keys(login: Login, server: KeyServer) -> None:
    async def serve() -> None:
        manager = AsyncSessionManager(RemoteKeySet(server.url), issuer="i", audience="a")
        with pytest.raises(StorageUnavailable, match="enter the manager with 'async with'"):
            manager.read(login.token())
        async with manager:
            assert manager.read(login.token())["sub"] == "ann"
            await manager.delete_one("ann", "A" * 16)
        assert len(server.requests) == 1

    asyncio.run(serve())


def test_a_method_of_an_async_manager_awaits_the_keys_as_well(
    login: Login, server: KeyServer
) -> None:
    async def serve() -> None:
        manager = AsyncSessionManager(RemoteKeySet(server.url), issuer="i", audience="a")
        await manager.delete_one("ann", "A" * 16)
        assert manager.read(login.token())["sub"] == "ann"
        await manager.close()

    asyncio.run(serve())


def test_no_thread_runs_before_the_keys_are_asked_for_and_after_they_are_closed(
    server: KeyServer,
) -> None:
    before = fetching_threads()
    keys = RemoteKeySet(server.url)
    assert fetching_threads() == before
    with manager_of(keys), manager_of(keys):
        assert len(fetching_threads() - before) == 1
    assert fetching_threads() == before
    keys.close()
    keys.close()


def fetching_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "tokenwheel-keys"}


def test_a_set_that_was_dropped_ends_its_thread(server: KeyServer) -> None:
    before = fetching_threads()
    keys = RemoteKeySet(server.url)
    keys.refresh()
    (thread,) = fetching_threads() - before
    reference = weakref.ref(keys)
    del keys
    gc.collect()
    assert reference() is None
    thread.join(LONGEST_WAIT)
    assert not thread.is_alive()


def test_a_set_that_was_dropped_after_failures_is_no_garbage_to_collect(
    server: KeyServer,
) -> None:
    server.answer = raw(b"")
    keys = RemoteKeySet(server.url)
    gc.collect()
    gc.disable()
    try:
        keys.start()
        reference = weakref.ref(keys)
        del keys
        until(lambda: reference() is None, "that the set is gone")
    finally:
        gc.enable()


def test_a_set_that_is_closed_keeps_nobody_waiting(server: KeyServer) -> None:
    server.answer = server.hang
    keys = RemoteKeySet(server.url, timeout=300)
    reasons: list[str] = []

    def refresh() -> None:
        with pytest.raises(StorageUnavailable) as caught:
            keys.refresh()
        reasons.append(str(caught.value).rpartition(": ")[2])

    waiting = [threading.Thread(target=keys.start), threading.Thread(target=refresh)]
    waiting[0].start()
    until(lambda: server.requests, "that a fetch goes on")
    waiting[1].start()
    until(lambda: keys._crew._waiting, "that somebody waits for the next one")
    keys.close()
    for thread in waiting:
        thread.join()
    assert reasons == ["the set was closed"]


def test_a_key_that_is_new_is_fetched_early_and_refused_meanwhile(
    login: Login, server: KeyServer
) -> None:
    keys = RemoteKeySet(server.url)
    with manager_of(keys) as manager:
        login.keys.add(NEW, sign=True)
        answered = threading.Event()

        def hold(connection: socket.socket, request: str) -> None:
            answered.wait(LONGEST_WAIT)
            jwks(login.keys)(connection, request)

        server.answer = hold
        token = login.token()
        for _ in range(100):  # Nobody waits while the server holds its answer back.
            with pytest.raises(InvalidAccessToken, match="names no key of this service"):
                manager.read(token)
        answered.set()
        until(lambda: "new" in keys, "that the new key is known")
        assert manager.read(token)["sub"] == "ann"
        assert len(server.requests) == 2


def test_a_hundred_thousand_invented_kids_cause_one_fetch(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    keys = RemoteKeySet(server.url, timer=timer)
    with manager_of(keys) as manager:
        forged = SessionManager(
            KeySet(Key.generate("ES256", kid="invented")), issuer="i", audience="a"
        )
        token = forged.create(subject="eve").access_token
        for _ in range(100_000):
            keys.miss()
        for _ in range(100):
            with pytest.raises(InvalidAccessToken, match="names no key of this service"):
                manager.read(token)
        until(lambda: keys.stats().fetches == 2 and keys.stats().next_try > 0)
        for _ in range(1000):
            keys.miss()
        assert keys.stats().next_try == 30  # the one that was asked for meanwhile
        timer.advance(29.9)
        keys.look()
        assert len(server.requests) == 2
        fetch_again(keys, timer, 0.2)
        assert len(server.requests) == 3
        assert manager.read(login.token())["sub"] == "ann"


def test_an_answer_that_has_not_changed_is_304(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    server.answer = jwks(login.keys, ETag='"7"', Cache_Control="max-age=900")
    keys = RemoteKeySet(server.url, timer=timer)
    told = []

    def hear() -> None:
        told.append(True)

    with manager_of(keys) as manager:
        token = login.token()
        manager.read(token)
        keys.subscribe(hear)
        server.answer = http(304)
        stats = fetch_again(keys, timer, 900.0)
        assert (stats.failures, stats.age, stats.next_try) == (0, 0.0, 900.0)
        assert 'If-None-Match: "7"' in server.requests[1]
        server.answer = jwks(login.keys)  # without an ETag
        fetch_again(keys, timer, 900.0)
        fetch_again(keys, timer)
        assert "If-None-Match" not in server.requests[3]
        assert manager.read(token)["sub"] == "ann"
        assert told == []


@pytest.mark.parametrize("etag", ["*", '"1", "2"', "1", '"1', '"é"', f'"{1025 * "1"}"', 'W/"a b"'])
def test_what_is_no_etag_is_not_asked_with(
    etag: str, login: Login, server: KeyServer, timer: FakeClock
) -> None:
    server.answer = jwks(login.keys, ETag=etag)
    keys = RemoteKeySet(server.url, timer=timer)
    with manager_of(keys):
        fetch_again(keys, timer)
        assert "If-None-Match" not in server.requests[1]
        server.answer = jwks(login.keys, ETag='W/"1"')
        fetch_again(keys, timer)
        fetch_again(keys, timer)
        assert 'If-None-Match: W/"1"' in server.requests[3]


def test_the_same_keys_in_another_order_are_told_to_nobody(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    login.keys.add(NEW)
    server.answer = jwks(login.keys)
    keys = RemoteKeySet(server.url, timer=timer)
    told = []

    def hear() -> None:
        told.append(True)

    with manager_of(keys) as manager:
        manager.read(login.token())
        keys.subscribe(hear)
        server.answer = jwks(KeySet(NEW, OLD))
        fetch_again(keys, timer)
        server.answer = jwks(KeySet(NEW, OLD, Key.generate("ES256", kid="third")))
        assert told == []
        fetch_again(keys, timer)
        until(lambda: told == [True], "that a new key was told of")


def test_a_subscriber_that_raises_keeps_nobody_from_following(
    login: Login, server: KeyServer, timer: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    login.keys.add(NEW)
    server.answer = jwks(login.keys)
    keys = RemoteKeySet(server.url, timer=timer, keep_missing=10)

    def broken() -> None:
        raise OSError("the subscriber's own")

    with manager_of(keys) as manager:
        keys.subscribe(broken)
        server.answer = jwks(KeySet(OLD, Key.generate("ES256", kid="third")))
        assert fetch_again(keys, timer).failures == 0
        assert "third" in keys
        timer.advance(10.0)
        keys.look()
        assert "new" not in keys
        assert manager.read(login.token())["sub"] == "ann"
        assert caplog.text.count("and then something failed") == 2


def test_304_counts_only_where_something_is_held(server: KeyServer) -> None:
    server.answer = http(304)
    keys = RemoteKeySet(server.url)
    with pytest.raises(StorageUnavailable, match="could not be fetched: it answered 304"):
        keys.refresh()
    keys.close()


DUPLICATE = json.dumps(KeySet(OLD).jwks())[:-1] + ', "keys": []}'
OTHER = {"kty": "EC", "use": "enc", "crv": "P-256", "x": "AA", "y": "AA", "kid": "e"}
BROKEN: dict[str, tuple[Answer, str]] = {
    "500": (http(500, "<html>"), "it answered 500"),
    "404": (http(404), "it answered 404"),
    "204": (http(204), "it answered 204"),
    "html": (http(200, "<html>keys</html>"), "no JSON object in UTF-8"),
    "nothing": (http(200, ""), "no JSON object in UTF-8"),
    "10 MiB": (http(200, b" " * 10_485_760), "more than 256 KiB"),
    "an object": (http(200, "{}"), "must have a member 'keys'"),
    "no keys": (http(200, '{"keys": []}'), "has no key"),
    "a list": (http(200, "[]"), "no JSON object"),
    "keys that are none": (http(200, '{"keys": [1, null, "x", {}]}'), "no key that can be used"),
    "others' keys": (jwks({"keys": [OTHER]}), "no key that can be used"),
    "too many keys": (http(200, '{"keys": [' + "1," * 256 + "1]}"), "more than 256 keys"),
    "half a body": (http(200, b'{"keys"', Content_Length=500), "ended in the midst"),
    "half of JSON": (raw(b'HTTP/1.1 200 OK\r\n\r\n{"keys": ['), "no JSON object"),
    "a redirect": (http(302, Location="https://evil.example/"), "another scheme, host or port"),
    "gzip": (http(200, b"\x1f\x8b", Content_Encoding="gzip"), "compressed"),
    "not UTF-8": (http(200, b'{"keys": ["\xff"]}'), "no JSON object in UTF-8"),
    "deep": (http(200, b"[" * 100_000), "nested too deeply"),
    "deep in a member": (
        http(200, b'{"keys": [], "x": ' + b"[" * 100 + b"]" * 100 + b"}"),
        "nested too deeply",
    ),
    "a member twice": (http(200, DUPLICATE), "has a member twice"),
    "a long number": (http(200, '{"keys": [' + "9" * 10_000 + "]}"), "no JSON object"),
    "a shared secret": (
        jwks({"keys": [{"kty": "oct", "k": "Vm2qk0hJw5tRzL8uPbN3cXyD1eVm2qk0hJw5tRzL8uP"}]}),
        "a shared secret, which anybody can read",
    ),
    "a private key": (
        jwks({"keys": [NEW.to_jwk(private=True)]}),
        "a private key, which anybody can read",
    ),
    "an old copy": (
        jwks({"keys": [NEW.to_jwk()], "tokenwheel_updated_at": 1_699_999_999}),
        "an old copy of the set",
    ),
    "hangs up": (raw(b""), "closed the connection without an answer"),
}


@pytest.mark.parametrize("what", [*BROKEN])
def test_no_answer_refuses_a_token_that_was_good_before(
    what: str,
    login: Login,
    server: KeyServer,
    timer: FakeClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer, reason = BROKEN[what]
    server.answer = jwks(login.jwks(tokenwheel_updated_at=1_700_000_000))
    keys = RemoteKeySet(server.url, timer=timer)
    with manager_of(keys, verified_cache_size=0) as manager:
        token = login.token()
        assert manager.read(token)["sub"] == "ann"
        server.answer = answer
        caplog.clear()
        for failures, pause in ((1, 300.0), (2, 30.0), (3, 30.0)):
            stats = fetch_again(keys, timer, pause)
            assert stats.failures == failures
            assert stats.last_error is not None
            assert reason in stats.last_error
            assert manager.read(token)["sub"] == "ann"
            assert [key.kid for key in keys] == ["old"]
        (record,) = caplog.records  # once, though it failed thrice
        assert reason in record.getMessage()
        assert "of-the-query" not in caplog.text
        server.answer = jwks(login.jwks(tokenwheel_updated_at=1_700_000_001))
        stats = fetch_again(keys, timer, 30.0)
        assert stats[1:] == (0, 300.0, 5, None)
        assert manager.read(token)["sub"] == "ann"


@pytest.mark.parametrize("what", ["hangs", "drips"])
def test_a_server_that_never_ends_keeps_no_read_waiting(
    what: str, login: Login, server: KeyServer, timer: FakeClock
) -> None:
    keys = RemoteKeySet(server.url, timer=timer, timeout=0.2)
    with manager_of(keys, verified_cache_size=0) as manager:
        token = login.token()
        began = threading.Event()

        def answer(connection: socket.socket, request: str) -> None:
            began.set()
            (server.hang if what == "hangs" else server.drip(b"HTTP/1.1 "))(connection, request)

        server.answer = answer
        timer.advance(300.0)
        keys.look()
        assert began.wait(LONGEST_WAIT)
        reads = 0
        while keys.stats().failures == 0:
            assert manager.read(token)["sub"] == "ann"
            reads += 1
        assert reads > 10
        assert keys.stats().last_error == "no whole answer came within 0.2 seconds"


def test_a_certificate_that_nobody_trusts_is_told(
    login: Login, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    with (
        KeyServer(jwks(login.keys), certificate) as server,
        manager_of(RemoteKeySet(server.url)) as manager,
    ):
        with pytest.raises(
            StorageUnavailable, match=r"have not been fetched yet.*certificate is not trusted"
        ):
            manager.read(login.token())
        assert caplog.text.count("its certificate is not trusted") == 1


def test_a_login_service_may_start_later(
    login: Login, server: KeyServer, timer: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    good, server.answer = server.answer, http(503)
    keys = RemoteKeySet(server.url, timer=timer)
    with manager_of(keys) as manager:
        assert "could not be fetched: it answered 503" in caplog.text
        with pytest.raises(StorageUnavailable, match=r"not for 0 seconds \(it answered 503\)"):
            manager.read(login.token())
        server.answer = good
        timer.advance(1.0)
        with pytest.raises(StorageUnavailable, match=r"not for 1 seconds \(it answered 503\)"):
            keys.look()
        until(lambda: len(keys) == 1, "that the keys have come")
        assert manager.read(login.token())["sub"] == "ann"


def test_keys_are_good_until_they_are_too_old(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    keys = RemoteKeySet(server.url, timer=timer, max_age=1000)
    with manager_of(keys):
        server.answer = http(500)
        fetch_again(keys, timer, 750.0)
        timer.advance(249.0)
        keys.look()
        timer.advance(2.0)
        for call in (keys.look, keys.miss):
            with pytest.raises(
                StorageUnavailable,
                match=r"the keys are too old: http://localhost:\d+/jwks.json has given none for "
                r"1001 seconds \(it answered 500\)",
            ):
                call()
        server.answer = jwks(login.keys)
        until(lambda: not raises(keys), "that the keys are good again")


def raises(keys: RemoteKeySet) -> bool:
    try:
        keys.look()
    except StorageUnavailable:
        return True
    return False


def test_keys_are_published_while_they_can_be_relied_on(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    server.answer = http(500)
    keys = RemoteKeySet(server.url, timer=timer)
    with manager_of(keys) as manager:
        with pytest.raises(StorageUnavailable, match="have not been fetched yet"):
            manager.jwks()
        server.answer = jwks(login.keys)
        keys.refresh()
        assert manager.jwks() == login.keys.jwks()
        server.answer = http(500)
        timer.advance(86_400.0)
        with pytest.raises(StorageUnavailable, match="too old"):
            manager.jwks()


def test_a_backup_that_was_put_back_is_taken_over_before_the_keys_are_too_old(
    login: Login, server: KeyServer, timer: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = jwks(login.jwks(tokenwheel_updated_at=1_700_000_000))
    keys = RemoteKeySet(server.url, timer=timer, max_age=1000)
    with manager_of(keys):
        server.answer = jwks({"keys": [NEW.to_jwk()], "tokenwheel_updated_at": 1_600_000_000})
        fetch_again(keys, timer, 300.0)
        assert "new" not in keys
        while "new" not in keys:
            fetch_again(keys, timer, keys.stats().next_try)
        assert "a backup seems to have been put back" in caplog.text
        assert timer.now < 2000.0
        timer.advance(300.0)
        keys.look()
        assert [key.kid for key in keys] == ["new"]


def test_a_missing_key_goes_without_a_fetch(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    login.keys.add(NEW)
    server.answer = jwks(login.keys)
    keys = RemoteKeySet(server.url, timer=timer, keep_missing=100)
    with manager_of(keys) as manager:
        token = login.token()
        server.answer = jwks(KeySet(NEW))
        fetch_again(keys, timer)
        assert manager.read(token)["sub"] == "ann"
        server.answer = http(500)
        timer.advance(100.0)
        keys.look()
        with pytest.raises(InvalidAccessToken, match="names no key of this service"):
            manager.read(token)


def test_what_is_passed_over_is_told_once(
    login: Login, server: KeyServer, timer: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = {"kty": "oct", "kid": "s", "k": "Vm2qk0hJw5tRzL8uPbN3cXyD1eVm2qk0hJw5tRzL8uP"}
    server.answer = jwks(login.jwks(keys=[OLD.to_jwk(), NEW.to_jwk(private=True), secret]))
    keys = RemoteKeySet(server.url, timer=timer)
    with manager_of(keys) as manager:
        fetch_again(keys, timer)
        fetch_again(keys, timer)
        assert manager.read(login.token())["sub"] == "ann"
        assert [key.kid for key in keys] == ["old"]
        assert sorted(record.getMessage().partition(": ")[2] for record in caplog.records) == [
            "new is passed over: a private key, which anybody can read there: make another",
            "s is passed over: a shared secret, which anybody can read there: make another",
        ]
        assert secret["k"] not in caplog.text


def test_the_algorithms_that_are_taken_can_be_named(server: KeyServer) -> None:
    server.answer = jwks(KeySet(OLD, Key.generate("ES384", kid="other")))
    keys = RemoteKeySet(server.url, algorithms=["ES384"])
    keys.refresh()
    assert [key.kid for key in keys] == ["other"]
    keys.close()


def test_a_refresh_says_why_it_failed(server: KeyServer) -> None:
    keys = RemoteKeySet(server.url)
    keys.refresh()
    keys.refresh()
    assert len(server.requests) == 2
    server.answer = http(500)
    reason = r"the keys of http://localhost:\d+/jwks.json could not be fetched: it answered 500"
    with pytest.raises(StorageUnavailable, match=reason):
        keys.refresh()
    assert len(keys) == 1
    keys.close()


def test_a_set_that_was_closed_is_read_until_it_is_too_old_and_can_be_followed_again(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    keys = RemoteKeySet(server.url, timer=timer)
    manager = manager_of(keys)
    manager.close()
    before = fetching_threads()
    assert manager.read(login.token())["sub"] == "ann"
    timer.advance(86_399.0)
    keys.look()
    keys.miss()
    timer.advance(1.0)
    with pytest.raises(StorageUnavailable, match="too old"):
        keys.look()
    assert fetching_threads() == before
    assert len(server.requests) == 1
    with manager_of(keys) as again:
        assert again.read(login.token())["sub"] == "ann"
        assert len(server.requests) == 2


def test_a_manager_that_closes_while_another_is_made_leaves_it_its_keys(
    login: Login, server: KeyServer, timer: FakeClock
) -> None:
    keys = RemoteKeySet(server.url, timer=timer)
    old = manager_of(keys)
    keys.close()  # so that the next manager has to wait for its keys

    def answer(connection: socket.socket, request: str) -> None:
        old.close()
        jwks(login.keys)(connection, request)

    server.answer = answer
    with manager_of(keys):
        server.answer = jwks(login.keys)
        timer.advance(300.0)
        keys.look()
        until(lambda: len(server.requests) == 3, "that the keys are fetched again")


def test_two_sets_of_one_url_are_independent(login: Login, server: KeyServer) -> None:
    first, second = RemoteKeySet(server.url), RemoteKeySet(server.url)
    with manager_of(first), manager_of(second) as manager:
        first.close()
        login.keys.add(NEW, sign=True)
        server.answer = jwks(login.keys)
        second.refresh()
        assert manager.read(login.token())["sub"] == "ann"
        assert "new" not in first


def test_a_manager_over_public_keys_signs_nothing(server: KeyServer) -> None:
    with (
        manager_of(RemoteKeySet(server.url)) as manager,
        pytest.raises(ConfigurationError, match="keys has only public keys"),
    ):
        manager.create(subject="ann")


# Clients of the caller's.


def test_a_client_of_the_callers_is_called_with_the_url_and_headers(login: Login) -> None:
    calls: list[Any] = []

    def fetch(url: str, *, headers: dict[str, str]) -> KeyResponse:
        calls.append((url, headers["Accept"], threading.current_thread().name))
        return KeyResponse(200, {"ETAG": '"1"'}, json.dumps(login.jwks()).encode())

    keys = RemoteKeySet("https://login.example/jwks.json?a=b", fetch=fetch)
    with manager_of(keys) as manager:
        assert manager.read(login.token())["sub"] == "ann"
    assert calls == [
        (
            "https://login.example/jwks.json?a=b",
            "application/jwk-set+json, application/json",
            "tokenwheel-keys",
        )
    ]


def test_a_client_may_change_the_headers_it_is_given(login: Login) -> None:
    def fetch(url: str, *, headers: dict[str, str]) -> KeyResponse:
        accepted.append(headers["Accept"])
        headers.clear()
        return KeyResponse(200, {}, json.dumps(login.jwks()).encode())

    accepted: list[str] = []
    for _ in range(2):
        keys = RemoteKeySet("https://login.example/jwks.json", fetch=fetch)
        keys.refresh()
        keys.close()
    assert accepted == 2 * ["application/jwk-set+json, application/json"]


class Strange:
    """A response with an attribute that raises."""

    status_code = 200
    headers = None

    @property
    def content(self) -> bytes:
        raise OSError("secret of the client")


async def later(url: str, headers: dict[str, str]) -> None:
    """Be awaited."""


def promising(url: str, headers: dict[str, str]) -> Any:
    return later(url, headers)


def raising(url: str, headers: dict[str, str]) -> None:
    raise OSError(f"cannot reach {url}")


@pytest.mark.parametrize(
    "fetch, reason",
    [
        (lambda url, headers: None, "must return a response with status_code, .*, not NoneType"),
        (lambda url, headers: Strange(), "must return a response with status_code, .* not Strange"),
        (lambda url, headers: KeyResponse(200, {}, "text"), "content as bytes, not str"),  # type: ignore[arg-type]
        (lambda url, headers: KeyResponse("200", {}, b"{}"), "it answered no status"),  # type: ignore[arg-type]
        (lambda url, headers: KeyResponse(200, None, b"{}"), "must have a member 'keys'"),  # type: ignore[arg-type]
        (promising, "write it as an 'async def'"),
        (lambda url: None, "fetch= raised TypeError"),
        (raising, "fetch= raised OSError"),
    ],
)
def test_a_client_that_answers_nonsense_fails_with_the_reason(
    fetch: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = RemoteKeySet("https://login.example/?secret=of-the-query", fetch=fetch)
    with pytest.raises(StorageUnavailable, match=reason):
        keys.refresh()
    assert "of-the-query" not in caplog.text
    keys.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_response_that_ends_the_thread_is_a_failure_and_tried_again_in_time(
    timer: FakeClock,
) -> None:
    class Ending(Strange):
        @property
        def content(self) -> bytes:
            raise SystemExit

    before = fetching_threads()
    keys = RemoteKeySet("https://login.example/", fetch=lambda url, headers: Ending(), timer=timer)
    with manager_of(keys):
        until(lambda: fetching_threads() == before, "that the thread has ended")
        for _ in range(3):
            with pytest.raises(StorageUnavailable, match="SystemExit was raised"):
                keys.look()
        assert keys.stats() == RemoteKeysStats(None, 1, 1.0, 1, "SystemExit was raised")


def test_a_blocking_manager_refuses_an_async_client(server: KeyServer) -> None:
    keys = RemoteKeySet(server.url, fetch=later)
    with pytest.raises(ConfigurationError, match="fetch must not be async in a SessionManager"):
        manager_of(keys)
    with pytest.raises(ConfigurationError, match=r"await refresh_async\(\)"):
        keys.refresh()


def test_a_client_that_never_returns_is_replaced_three_times_at_most(
    login: Login, timer: FakeClock
) -> None:
    let_go = threading.Event()
    begun: list[int] = []

    def fetch(url: str, *, headers: dict[str, str]) -> KeyResponse:
        begun.append(1)
        if len(begun) > 1:
            let_go.wait(LONGEST_WAIT)
        return KeyResponse(200, {}, json.dumps(login.jwks()).encode())

    before = fetching_threads()
    keys = RemoteKeySet("https://login.example/", fetch=fetch, timer=timer, timeout=1)
    with manager_of(keys) as manager:
        token = login.token()
        for count in range(2, 6):
            timer.advance(300.0)
            keys.look()  # finds out, and begins another thread
            timer.advance(30.0)
            keys.look()
            until(lambda: len(begun) == count, "that another thread fetches")
        for _ in range(3):
            timer.advance(300.0)
            keys.look()
            assert manager.read(token)["sub"] == "ann"
        assert len(begun) == 5
        assert len(fetching_threads() - before) == 4
        assert keys.stats().last_error == "a fetch has not returned within 1 seconds"
        let_go.set()
        until(lambda: keys.stats().failures == 0, "that the last one was heard")
        until(lambda: len(fetching_threads() - before) == 1, "that the others have ended")


def test_a_system_without_room_for_a_thread_is_told_and_asked_again(
    login: Login,
    server: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "tokenwheel-keys":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    keys = RemoteKeySet(server.url)
    with manager_of(keys) as manager:
        for _ in range(3):
            with pytest.raises(StorageUnavailable, match="no fetch has ended"):
                manager.read(login.token())
        assert caplog.text.count("cannot be fetched at the moment: can't start new thread") == 1
        monkeypatch.undo()
        until(lambda: not raises(keys), "that a thread fetches")
        assert manager.read(login.token())["sub"] == "ann"


OPTIONS = {
    "min_refresh": "min_refresh must be a number of seconds from 0.1",
    "max_refresh": "max_refresh must be a number of seconds from 0.1",
    "cooldown": "cooldown must be a number of seconds from 0.1",
    "max_age": "max_age must be a number of seconds from 1",
    "keep_missing": "keep_missing must be a number of seconds from 0",
    "timeout": "timeout must be a number of seconds from 0.1",
    "algorithms": "algorithms must be a list of names|algorithm must be one of",
    "fetch": "fetch must be",
    "allow_http": "allow_http must be a bool",
    "timer": "timer must be a callable",
    "clock": "clock must be a callable",
}


@pytest.mark.parametrize("option", [*OPTIONS])
@pytest.mark.parametrize("value", [-1, "x", float("nan"), [], object()], ids=type_name_of)
def test_an_option_that_makes_no_sense_is_named(option: str, value: Any) -> None:
    if option == "algorithms" and value == []:
        value = ()
    with pytest.raises(ConfigurationError, match=OPTIONS[option]):
        RemoteKeySet("https://login.example/", **{option: value})


def test_the_bounds_of_intervals_belong_together() -> None:
    with pytest.raises(ConfigurationError, match="max_refresh must not be less than min_refresh"):
        RemoteKeySet("https://login.example/", min_refresh=10, max_refresh=9)


def test_the_set_is_changed_by_nobody_else_and_shows_no_query() -> None:
    keys = RemoteKeySet("https://login.example/a?secret=of-the-query")
    assert repr(keys) == "<RemoteKeySet https://login.example/a>"
    assert keys.stats() == (None, 0, 0.0, 0, None)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "tokenwheel")
