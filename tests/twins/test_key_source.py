"""Keys that change by themselves: when the verifier asks what they come from, and what follows.

What is asked here, ``Source``, stands where a ``KeyFile`` or a ``RemoteKeySet`` does. It changes
the verifier's keys when a test says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import CLAIMS, FakeClock, base64url, forge, refused, secret_of, with_claims
from tokenwheel import (
    AccessTokenExpired,
    InvalidAccessToken,
    InvalidArgument,
    Key,
    StorageUnavailable,
)

OLD = Key.from_secret(secret_of("old"), kid="old")
NEW = Key.from_secret(secret_of("new"), kid="new")
BARE = Key.from_secret(secret_of("bare"))
SAME_KID = Key.from_secret(secret_of("another"), kid="old")
SAME_KID_LONGER = Key.from_secret(secret_of("longer", 64), "HS512", kid="old")
NOW = 1_800_000_000.0
YEAR = 31_557_600.0  # seconds
UNNAMED = "the access token names no key of this service"
OTHER_ALGORITHM = "the access token's 'alg' is not that of its key"


def nothing() -> None:
    """Leave the keys as they are."""


class Source:
    """What keys come from. It counts how often it is asked, and does then what a test says."""

    def __init__(self) -> None:
        self.looks = 0
        self.misses = 0
        self.at_look: Callable[[], object] = nothing
        self.at_miss: Callable[[], object] = nothing

    def look(self) -> None:
        self.looks += 1
        self.at_look()

    def miss(self) -> None:
        self.misses += 1
        self.at_miss()


def unavailable() -> None:
    raise StorageUnavailable("the keys are too old")


@pytest.fixture
def make(made: Any) -> Callable[..., Any]:
    """Return what makes a verifier of some keys, with its source and its clock."""

    def make(*keys: Key, **options: Any) -> Any:
        source, clock = Source(), FakeClock(NOW)
        verifier = made.Verifier(keys, **made.options(clock=clock, key_source=source, **options))
        return SimpleNamespace(
            verifier=verifier, read=verifier.verify, source=source, clock=clock, made=made
        )

    return make


@pytest.mark.parametrize("cache_size", [0, 9])
def test_keys_are_looked_after_before_the_first_token_and_then_often_enough_for_a_second(
    make: Callable[..., Any], cache_size: int
) -> None:
    service = make(OLD, cache_size=cache_size)
    token = forge(key=OLD)
    looks = []
    for elapsed in (0.0, 0.0, 0.5, 0.89, 0.91, 1.5, 1.8, 1.82, 1.82, 3.5, 4.25, 4.5):
        service.clock.now = NOW + elapsed
        assert service.read(token) == CLAIMS
        looks.append(service.source.looks)
    assert looks == [1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5]
    assert service.source.misses == 0


def test_a_fixed_set_is_never_asked_anything(made: Any) -> None:
    read = made.Verifier([OLD], **made.options()).verify
    assert read(forge(key=OLD)) == CLAIMS
    refused(read, forge(key=NEW), UNNAMED)


@pytest.mark.parametrize("jump", [-0.001, -1.0, -YEAR, -NOW, YEAR, 5e10])
def test_a_clock_that_jumps_leads_to_one_look_more(make: Callable[..., Any], jump: float) -> None:
    service = make(OLD)
    token = forge(with_claims(iat=0, exp=9e10), OLD)
    service.read(token, leeway=60)
    service.clock.now = max(NOW + jump, -59.0)
    for _ in range(3):
        service.read(token, leeway=60)
    assert service.source.looks == 2


def test_while_the_clock_stands_still_nobody_looks(make: Callable[..., Any]) -> None:
    service = make(OLD)
    for _ in range(1_000):
        service.read(forge(key=OLD))
    assert service.source.looks == 1


@pytest.mark.parametrize("answer", [float("inf"), float("-inf"), float("nan"), 2e11, None])
def test_a_clock_that_tells_no_time_is_refused_before_anybody_looks(
    make: Callable[..., Any], answer: Any
) -> None:
    service = make(OLD)
    service.clock.now = answer
    with pytest.raises(InvalidArgument, match="a clock must return a number of seconds"):
        service.read(forge(key=OLD))
    assert service.source.looks == 0
    service.clock.now = NOW
    assert service.read(forge(key=OLD)) == CLAIMS
    assert service.source.looks == 1


@pytest.mark.parametrize("error", [StorageUnavailable, RuntimeError, KeyboardInterrupt])
def test_what_a_look_raises_every_read_raises_until_a_look_succeeds(
    make: Callable[..., Any], error: type[BaseException]
) -> None:
    service = make(OLD)
    seen, unseen = forge(key=OLD), forge(with_claims(n=1), OLD)
    service.read(seen)

    def fail() -> None:
        raise error("no keys")

    service.source.at_look = fail
    service.clock.advance(1)
    for number, token in enumerate([seen, unseen, seen, forge(key=NEW), "nonsense", 5], 2):
        with pytest.raises(error, match="no keys"):
            service.read(token)
        assert service.source.looks == number
    assert service.source.misses == 0
    service.source.at_look = nothing
    assert service.read(unseen)["n"] == 1
    assert service.read(seen) == CLAIMS
    assert service.source.looks == 8


def test_nothing_is_accepted_before_the_first_look_succeeds(make: Callable[..., Any]) -> None:
    service = make(OLD)
    service.source.at_look = unavailable
    for _ in range(3):
        with pytest.raises(StorageUnavailable, match="too old"):
            service.read(forge(key=OLD))
    assert service.source.looks == 3
    assert service.verifier.remembered == 0


def test_a_key_that_a_look_removes_verifies_nothing_from_that_read_on(
    make: Callable[..., Any],
) -> None:
    service = make(OLD, NEW)
    seen = forge(key=OLD)
    service.read(seen)
    service.source.at_look = lambda: service.verifier.set_keys([NEW])
    assert service.read(seen) == CLAIMS
    service.clock.advance(1)
    refused(service.read, seen, UNNAMED)
    refused(service.read, forge(with_claims(n=1), OLD), UNNAMED)
    assert service.read(forge(key=NEW)) == CLAIMS
    assert service.source.looks == 2
    service.verifier._check()


@pytest.mark.parametrize("key", [NEW, SAME_KID, SAME_KID_LONGER, BARE])
def test_a_key_that_a_look_brings_verifies_in_that_read(make: Callable[..., Any], key: Key) -> None:
    service = make(OLD)
    service.read(forge(key=OLD))
    service.source.at_look = lambda: service.verifier.set_keys([key])
    service.clock.advance(1)
    assert service.read(forge(key=key)) == CLAIMS
    assert (service.source.looks, service.source.misses) == (2, 0)


@pytest.mark.parametrize("key", [NEW, SAME_KID_LONGER, BARE])
@pytest.mark.parametrize("cache_size", [0, 9])
def test_a_key_that_a_miss_brings_verifies_in_that_read(
    make: Callable[..., Any], key: Key, cache_size: int
) -> None:
    service = make(OLD, cache_size=cache_size)
    service.source.at_miss = lambda: service.verifier.set_keys([OLD, key])
    assert service.read(forge(key=key)) == CLAIMS
    assert service.read(forge(key=key)) == CLAIMS
    assert service.source.misses == 1
    assert service.verifier.remembered == min(cache_size, 1)
    service.verifier._check()
    service.verifier.set_keys([OLD])
    service.source.at_miss = nothing
    with pytest.raises(InvalidAccessToken):
        service.read(forge(key=key))


def test_a_token_is_refused_after_one_miss_even_where_other_keys_come_each_time(
    make: Callable[..., Any],
) -> None:
    service = make(OLD)
    service.source.at_miss = lambda: service.verifier.set_keys([OLD])
    refused(service.read, forge(key=NEW), UNNAMED)
    assert service.source.misses == 2  # once a read


@pytest.mark.parametrize(
    "header, reason",
    [
        ({"alg": "HS256", "typ": "at+jwt", "kid": "invented"}, UNNAMED),
        ({"alg": "HS256", "typ": "at+jwt"}, UNNAMED),
        ({"alg": "HS256", "typ": "at+jwt", "kid": None}, UNNAMED),
        ({"alg": "HS256", "typ": "at+jwt", "kid": 5}, UNNAMED),
        ({"alg": "HS256", "typ": "at+jwt", "kid": ["old"]}, UNNAMED),
        ({"alg": "HS256", "typ": "at+jwt", "kid": {"old": "old"}}, UNNAMED),
        ({"typ": "at+jwt", "kid": "invented", "crit": ["exp"]}, UNNAMED),
        ({"alg": "HS512", "typ": "at+jwt", "kid": "old"}, OTHER_ALGORITHM),
        ({"alg": "none", "typ": "at+jwt", "kid": "old"}, OTHER_ALGORITHM),
        ({"alg": ["HS256"], "typ": "at+jwt", "kid": "old"}, OTHER_ALGORITHM),
        ({"typ": "JWT", "kid": "old"}, OTHER_ALGORITHM),
    ],
)
def test_a_token_that_names_no_key_is_refused_as_by_a_fixed_set_after_one_miss(
    make: Callable[..., Any], header: dict[str, Any], reason: str
) -> None:
    token = forge(key=OLD, header=header)
    service = make(OLD)
    refused(service.read, token, reason)
    assert service.source.misses == 2  # once a read
    fixed = service.made.Verifier([OLD], **service.made.options())
    refused(fixed.verify, token, reason)


def test_a_token_that_names_a_key_is_no_miss_whatever_else_is_wrong_with_it(
    make: Callable[..., Any],
) -> None:
    good = forge(key=OLD)
    header, payload, signature = good.split(".")
    wrong = {
        "nonsense": "three parts",
        f"{header}.{payload}": "three parts",
        f"{header}.{payload}.{forge(key=SAME_KID).split('.')[2]}": "signature",
        f"{header}.{payload[:-1]}.{signature}": "base64url",
        f"{base64url('[]')}.{payload}.{signature}": "header",
        forge(key=OLD, typ="JWT"): "typ",
        forge(key=OLD, crit=["exp"]): "extension",
        forge(with_claims(iss="another"), OLD): "issuer",
        forge(with_claims(aud="another"), OLD): "audience",
    }
    service = make(OLD)
    for token, reason in wrong.items():
        with pytest.raises(InvalidAccessToken, match=reason):
            service.read(token)
    with pytest.raises(AccessTokenExpired):
        service.read(forge(with_claims(exp=NOW), OLD))
    assert service.read(good) == CLAIMS
    assert (service.source.looks, service.source.misses) == (1, 0)


def test_what_a_miss_raises_leaves_the_read(make: Callable[..., Any]) -> None:
    service = make(OLD)
    service.source.at_miss = unavailable
    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="too old"):
            service.read(forge(key=NEW))
    assert service.read(forge(key=OLD)) == CLAIMS
    assert (service.source.looks, service.source.misses) == (1, 2)


def test_one_kid_may_be_that_of_keys_for_several_algorithms(make: Callable[..., Any]) -> None:
    elliptic = Key.generate("ES256", kid="old")
    service = make(OLD, SAME_KID_LONGER, elliptic, NEW)
    for key in (OLD, SAME_KID_LONGER, elliptic, NEW):
        for header in (None, {"kid": key.kid, "typ": "at+jwt", "alg": key.algorithm}):
            assert service.read(forge(key=key, header=header)) == CLAIMS
    refused(service.read, forge(key=OLD, alg="HS512"), "signature")
    refused(service.read, forge(key=OLD, alg="HS384"), OTHER_ALGORITHM)


def test_of_two_keys_with_one_kid_and_algorithm_the_first_verifies(
    make: Callable[..., Any],
) -> None:
    service = make(OLD, SAME_KID)
    for header in (None, {"kid": "old", "typ": "at+jwt", "alg": "HS256"}):
        assert service.read(forge(key=OLD, header=header)) == CLAIMS
        refused(service.read, forge(key=SAME_KID, header=header), "signature")


def test_a_source_may_read_tokens_when_it_is_asked(make: Callable[..., Any]) -> None:
    service = make(OLD)
    token = forge(key=OLD)
    service.read(token)
    answers = []
    service.source.at_look = lambda: answers.append(service.read(token))
    service.source.at_miss = lambda: answers.append(service.read(token))
    service.clock.advance(1)
    assert service.read(token) == CLAIMS
    refused(service.read, forge(key=NEW), UNNAMED)
    assert answers == [CLAIMS] * 3
    assert service.source.looks == 2


def test_a_source_that_reads_and_fails_each_time_lets_no_token_through(
    make: Callable[..., Any],
) -> None:
    service = make(OLD)

    def read_and_fail() -> None:
        service.read(forge(key=OLD))
        unavailable()

    service.source.at_look = read_and_fail
    with pytest.raises((RecursionError, StorageUnavailable)):
        service.read(forge(key=OLD))
    service.source.at_look = nothing
    assert service.read(forge(key=OLD)) == CLAIMS


def test_only_the_first_to_find_a_look_too_old_waits_for_the_next(
    make: Callable[..., Any],
) -> None:
    service = make(OLD)
    token = forge(key=OLD)
    service.read(token)
    is_looking, may_go_on = threading.Event(), threading.Event()

    def wait() -> None:
        is_looking.set()
        may_go_on.wait(60)
        service.verifier.set_keys([NEW])

    service.source.at_look = wait
    service.clock.advance(1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(service.read, token)
        assert is_looking.wait(60)
        assert service.read(token) == CLAIMS
        may_go_on.set()
        with pytest.raises(InvalidAccessToken, match=UNNAMED):
            waiting.result()
    with pytest.raises(InvalidAccessToken, match=UNNAMED):
        service.read(token)


def test_after_a_look_that_failed_nobody_is_let_through_while_another_looks(
    make: Callable[..., Any],
) -> None:
    service = make(OLD)
    token = forge(key=OLD)
    is_looking, may_go_on = threading.Event(), threading.Event()

    def wait_and_fail() -> None:
        if threading.current_thread() is not threading.main_thread():
            is_looking.set()
            may_go_on.wait(60)
        unavailable()

    service.source.at_look = wait_and_fail
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(service.read, token)
        assert is_looking.wait(60)
        with pytest.raises(StorageUnavailable):
            service.read(token)
        may_go_on.set()
        with pytest.raises(StorageUnavailable):
            waiting.result()


@pytest.mark.parametrize("token", [forge(key=OLD), forge(key=NEW)], ids=["known", "unknown"])
def test_a_request_without_keys_is_no_anonymous_one(make: Callable[..., Any], token: str) -> None:
    """The caller asks again for a cookie, where it is told why there is no answer."""
    service = make(OLD)
    service.source.at_look = service.source.at_miss = unavailable
    bearer = [(b"authorization", f"Bearer {token}".encode())]
    cookie = [(b"cookie", f"access={token}".encode())]
    with pytest.raises(StorageUnavailable):
        service.verifier.verify_request(b"access", True, "GET", bearer)
    assert service.verifier.verify_request(b"access", True, "GET", cookie) is None
    with pytest.raises(StorageUnavailable):
        service.read(token)


def test_a_verifier_that_was_not_made_asks_nobody(made: Any) -> None:
    verifier = made.Verifier.__new__(made.Verifier)
    with pytest.raises(Exception, match="must be constructed before it is used"):
        verifier.verify(forge(key=OLD))


@pytest.mark.parametrize("cache_size", [0, 9])
def test_threads_read_by_what_the_last_look_has_found(
    make: Callable[..., Any], cache_size: int
) -> None:
    """A count that only grows is odd while NEW is missing, and negative in between."""
    service = make(OLD, NEW, cache_size=cache_size)
    lock, has_looked = threading.Lock(), threading.Event()
    count, is_over = 0, False
    keys: list[Key] = [OLD, NEW]

    def look() -> None:
        with lock:
            service.verifier.set_keys(keys)
            has_looked.set()

    def read_new() -> None:
        token = forge(key=NEW)
        while not is_over:
            before = count
            try:
                service.read(token)
                is_accepted = True
            except InvalidAccessToken:
                is_accepted = False
            if before == count >= 0:
                assert is_accepted == (before % 2 == 0)

    service.read(forge(key=OLD))
    service.source.at_look = look
    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(read_new) for _ in range(4)]
        try:
            for number in range(1, 301):
                count = -number
                with lock:
                    keys = [OLD] if number % 2 else [OLD, NEW]
                    has_looked.clear()
                service.clock.advance(1)
                while not has_looked.is_set():
                    service.read(forge(key=OLD))
                count = number
                service.read(forge(key=OLD))
                service.verifier._check()
        finally:
            is_over = True
        for reader in readers:
            reader.result()
