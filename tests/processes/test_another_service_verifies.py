"""A login service and a resource server as two processes, which know each other by a URL only.

Keys are rotated and retired under load by the commands that an operator uses. Then the URL is out
of order in every way, while tokens are read: none is refused that was good before, and no read
waits.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes.publisher import FAULTS, Publisher, publishing
from tests.processes.resource_servers import (
    Served,
    kid_of,
    log_in,
    run_keys,
    serving,
)
from tests.servers import until
from tests.support import base64url
from tokenwheel import (
    InvalidAccessToken,
    Key,
    KeySet,
    RemoteKeySet,
    SessionManager,
    implementation,
)
from tokenwheel.seconds import steady_time

REQUESTS = 10_000
CLIENTS = 4
UNNAMED = "InvalidAccessToken: the access token names no key of this service"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="gunicorn forks, and tests kill")


@pytest.fixture(params=["asgi", "wsgi"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of a resource server: one event loop, or threads in two forked workers."""
    name: str = request.param
    return name


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    run_keys("new", "--algorithm", "ES256", "--out", path)
    return path


def jwks_url(login: Served) -> str:
    return f"http://127.0.0.1:{login.port}/.well-known/jwks.json"


class Load:
    """Clients that log in again and again, and use their tokens at both resource servers."""

    def __init__(self, login: Served, resources: Sequence[Served]) -> None:
        self.login, self.resources = login, resources
        self.requests = 0
        self.accepted: dict[str, str] = {}  # a token of each kid
        self.refused: list[tuple[int, str]] = []
        self.is_over = False
        self._lock = threading.Lock()

    def run(self) -> None:
        with ExitStack() as stack:
            login, *resources = (
                stack.enter_context(server.client()) for server in (self.login, *self.resources)
            )
            oldest = log_in(login)
            while not self.is_over:
                token = log_in(login)
                # What the first key has signed stays good while another one signs.
                answers = [
                    resource.ask("/me", used)
                    for used in (token, oldest, token)
                    for resource in resources
                ]
                with self._lock:
                    self.requests += 1 + len(answers)
                    self.refused += [answer for answer in answers if answer != (200, "ann")]
                    self.accepted.setdefault(kid_of(token), token)


def test_a_rotation_under_load_refuses_no_token_and_needs_no_restart(
    key_file: Path, tmp_path: Path
) -> None:
    with (
        serving("login", tmp_path, "--workers=2", KEYS=str(key_file)) as login,
        serving("asgi", tmp_path, KEYS_URL=jwks_url(login)) as asgi,
        serving("wsgi", tmp_path, KEYS_URL=jwks_url(login)) as wsgi,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        load = Load(login, [asgi, wsgi])
        clients = [threads.submit(load.run) for _ in range(CLIENTS)]
        try:
            wait_for(lambda: load.requests > REQUESTS / 10, clients, "the first requests")
            run_keys("rotate", key_file, "--after", "2s")
            wait_for(lambda: len(load.accepted) == 2, clients, "a token of the new key")
            for least in range(0, REQUESTS + 1, REQUESTS // 10):
                wait_for(lambda least=least: load.requests >= least, clients, "more requests")
        finally:
            load.is_over = True
        for client in clients:
            client.result()
        assert load.refused == []
        old, new = load.accepted.values()
        # A key may go once no token of it can live any more, which it takes a minute to be sure of.
        retired = run_keys("retire", key_file, "--access-ttl", "1s", later=120)
        assert f"removed: {kid_of(old)}" in retired, retired
        for resource in (asgi, wsgi):
            # Each of several processes follows by itself.
            until(lambda at=resource: each_refuses(at, old), "the refusal")
            assert resource.ask("/me", new) == (200, "ann")
        assert kid_of(log_in(login)) == kid_of(new)
        assert login.is_alive
        assert asgi.is_alive
        assert wsgi.is_alive


def wait_for(holds: Callable[[], bool], clients: Sequence[Future[None]], what: str) -> None:
    """Wait until something holds, or a client has failed."""
    until(lambda: holds() or any(client.done() for client in clients), what)


def each_refuses(resource: Served, token: str) -> bool:
    answers = resource.ask_each("/me", token)
    assert all(answer in {(200, "ann"), (401, UNNAMED)} for answer in answers), answers
    return answers.count((401, UNNAMED)) == len(answers)


def each_has_failed(resource: Served) -> bool:
    return all(stats["failures"] and stats["last_error"] for stats in resource.stats())


def each_accepts(resource: Served, token: str) -> bool:
    return all(answer == (200, "ann") for answer in resource.ask_each("/me", token))


class Site:
    """A resource server, and keys published by a server that may be out of order.

    Each token is signed by another key, of which the last one is not published yet.
    """

    def __init__(self, publisher: Publisher, resource: Served) -> None:
        self.publisher = publisher
        self.resource = resource
        self.tokens: list[str] = []
        self._keys: list[Key] = []

    def publish_another_key(self) -> None:
        """Publish one more key, and issue a token by it."""
        key = Key.generate("ES256")
        self._keys.append(key)
        self.tokens.append(
            SessionManager(KeySet(key), issuer="auth.example", audience="api.example")
            .create({}, subject="ann")
            .access_token
        )
        self.publisher.old_set = self.publisher.key_set
        self.publisher.key_set = {
            **KeySet(*self._keys).jwks(),
            "tokenwheel_updated_at": 1_700_000_000 + len(self._keys),
        }

    def check_tokens(self, times: int) -> None:
        """Check that no token is refused."""
        with self.resource.client() as client:
            for _ in range(times):
                for token in self.tokens:
                    assert client.ask("/me", token) == (200, "ann")

    def wait_until_last_is_accepted(self) -> None:
        until(lambda: each_accepts(self.resource, self.tokens[-1]), "the last key's arrival")


@pytest.fixture
def site(kind: str, tmp_path: Path) -> Iterator[Site]:
    with (
        publishing() as publisher,
        serving(kind, tmp_path, KEYS_URL=publisher.url) as resource,
    ):
        site = Site(publisher, resource)
        site.publish_another_key()
        yield site
        assert "Traceback" not in resource.log
        assert resource.is_alive


def test_a_url_out_of_order_refuses_no_token_that_was_good_and_lets_no_read_wait(
    site: Site,
) -> None:
    site.wait_until_last_is_accepted()
    for fault in FAULTS:
        site.publish_another_key()
        site.wait_until_last_is_accepted()
        publisher = site.publisher
        publisher.may_answer.clear()
        publisher.fault = fault
        publisher.wait_for_requests(3)
        if fault == "hangs":
            until(lambda: publisher.held, "a fetch that hangs")
            # They hang until the last read has been answered.
            site.check_tokens(10)
            assert publisher.held
        until(lambda: each_has_failed(site.resource), "a fetch that has failed")
        site.check_tokens(10)
        assert all(stats["last_error"] for stats in site.resource.stats())
        publisher.may_answer.set()
        publisher.fault = None
    site.publish_another_key()
    site.wait_until_last_is_accepted()
    site.check_tokens(1)
    assert all(stats["last_error"] is None for stats in site.resource.stats())


def test_a_login_service_may_start_after_the_resource_server_and_be_killed(
    kind: str, key_file: Path, tmp_path: Path
) -> None:
    login = Served("login", tmp_path, KEYS=str(key_file))
    with serving(kind, tmp_path, KEYS_URL=jwks_url(login)) as resource:
        foreign = (
            SessionManager(
                KeySet(Key.generate("ES256")), issuer="auth.example", audience="api.example"
            )
            .create({}, subject="ann")
            .access_token
        )
        status, text = resource.ask("/me", foreign)
        assert (status, text.partition(":")[0]) == (503, "StorageUnavailable")
        try:
            login.start()
            first = log_in(login)
            until(lambda: each_accepts(resource, first), "the keys")
            login.stop(signal.SIGKILL)
            until(lambda: each_has_failed(resource), "a fetch that fails")
            for _ in range(100):
                assert resource.ask("/me", first) == (200, "ann")
            run_keys("rotate", key_file, "--after", "0s")
            login.start()
            second = log_in(login)
            assert kid_of(second) != kid_of(first)
            until(lambda: each_accepts(resource, second), "the key")
            assert resource.ask("/me", first) == (200, "ann")
        finally:
            login.stop(signal.SIGKILL)


def test_a_million_tokens_with_invented_kids_cause_one_early_fetch_in_each_cooldown() -> None:
    key = Key.generate("ES256")
    count = 1_000_000 if implementation == "native" else 50_000
    cooldown = 1.0
    with publishing() as publisher:
        publisher.key_set = KeySet(key).jwks()
        issuer = SessionManager(KeySet(key), issuer="i", audience="a")
        good = issuer.create({}, subject="ann").access_token
        rest = good.partition(".")[2]
        with SessionManager(
            RemoteKeySet(publisher.url, cooldown=cooldown), issuer="i", audience="a"
        ) as manager:
            begun = steady_time()
            assert publisher.requests == 1
            for number in range(count):
                header = f'{{"alg":"ES256","typ":"at+jwt","kid":"{number}"}}'
                try:
                    manager.read(f"{base64url(header)}.{rest}")
                except InvalidAccessToken:
                    continue
                raise AssertionError("a token that names no key was accepted")
            fetches = publisher.requests - 1
            assert 1 <= fetches <= (steady_time() - begun) / cooldown + 1
            assert manager.read(good).subject == "ann"
