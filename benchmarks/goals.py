"""What was to be reached, each threshold once, and whether it was.

That is computed from the results and never written down.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .contenders import EXPIRING_CACHES, FORGETFUL
from .results import Results

ASYMMETRIC = ["ES256", "RS256", "EdDSA"]
MILLION, TEN_MILLION, TEN_THOUSAND = 1_000_000, 10_000_000, 10_000
SAME = 1.1
"""Up to this ratio, two times are called equal: the machine's noise between two races."""


class Check(NamedTuple):
    """A comparison: ``reached`` must not be more than ``limit``.

    ``reached`` is None where one of the two sides was not measured.
    """

    what: str
    reached: float | None
    limit: float
    unit: str = "times"

    @property
    def met(self) -> bool | None:
        return None if self.reached is None else self.reached <= self.limit

    @property
    def share(self) -> float:
        """How much of what is allowed was taken."""
        if self.reached is None:
            return 0
        return (
            self.reached / self.limit
            if self.limit
            else self.reached * math.inf
            if self.reached
            else 0
        )


class Goal(NamedTuple):
    title: str
    goal: str
    checks: Callable[[Results], Iterator[Check]]
    unmeasured: str = "not part of this run"


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or not theirs else ours / theirs


def read_seen(results: Results) -> Iterator[Check]:
    def seconds(contender: str) -> float | None:
        return results.seconds("test_read_seen", contender, algorithm="HS256")

    ours = seconds("tokenwheel")
    yield Check("of PyJWT 2.15", ratio(ours, seconds("pyjwt")), 1 / 150)
    yield Check("of PyJWT 2.12", ratio(ours, seconds("pyjwt_2_12")), 1 / 60)
    yield Check("of fast-jwt, cache on", ratio(ours, seconds("fast_jwt_cached")), 1 / 8)
    yield Check("of the last release", ratio(ours, seconds("released")), 76 / 82)
    for algorithm in ASYMMETRIC:
        theirs, shared = (
            results.seconds("test_read_seen_each", "tokenwheel", name)
            for name in (algorithm, "HS256")
        )
        yield Check(f"{algorithm} of HS256", ratio(theirs, shared), SAME)


def read_beside_revocations(results: Results) -> Iterator[Check]:
    for operation in ("the same token", "a thousand in turn"):
        alone, million, ten_million = (
            results.seconds("test_read_beside_revocations", contender, operation)
            for contender in ("tokenwheel", "tokenwheel_million", "tokenwheel_ten_million")
        )
        yield Check(f"{operation}, beside a million, of beside none", ratio(million, alone), SAME)
        yield Check(
            f"{operation}, beside ten million, of beside none", ratio(ten_million, alone), SAME
        )


def read_unseen(results: Results) -> Iterator[Check]:
    def seconds(contender: str) -> float | None:
        return results.seconds("test_read_unseen", contender, algorithm="HS256")

    yield Check("of PyJWT 2.15", ratio(seconds("tokenwheel"), seconds("pyjwt")), 1 / 20)
    yield Check("of ryjwt", ratio(seconds("tokenwheel"), seconds("ryjwt")), 0.6)


def read_unseen_claim(results: Results) -> Iterator[Check]:
    ours, theirs = (
        results.seconds("test_read_unseen_claim", contender)
        for contender in ("tokenwheel", "ryjwt")
    )
    yield Check("of ryjwt", ratio(ours, theirs), 0.95)


def remembered(results: Results) -> Iterator[Check]:
    yield Check(
        "a token",
        results.fact("bytes_per_token", "test_remembered", "tokenwheel_roomy"),
        650,
        "bytes",
    )


def read_unseen_asymmetric(results: Results) -> Iterator[Check]:
    for algorithm, limit in {"ES256": 1.1, "RS256": 1.08, "EdDSA": 1.1}.items():
        ours, bare = (
            results.seconds("test_read_unseen", contender, algorithm=algorithm)
            for contender in ("tokenwheel", "cryptography")
        )
        yield Check(f"{algorithm} of the bare signature", ratio(ours, bare), limit)


def zipf(results: Results) -> Iterator[Check]:
    ours = results.seconds("test_read_zipf", "tokenwheel")
    for peer in [*FORGETFUL, "fast_jwt_cached"]:
        yield Check(f"of {peer}", ratio(ours, results.seconds("test_read_zipf", peer)), 1)
    yield Check(
        "of the same reads with all seen before",
        ratio(ours, results.seconds("test_read_zipf", "tokenwheel_roomy")),
        2,
    )


def issue(results: Results) -> Iterator[Check]:
    for call in ("create", "update"):
        yield Check(
            f"{call} of one PyJWT encode",
            ratio(results.seconds("test_issue", call), results.seconds("test_issue", "pyjwt")),
            1 / 2,
        )


def new_token(results: Results) -> Iterator[Check]:
    ours, theirs, released = (
        results.seconds("test_new_token", contender)
        for contender in ("tokenwheel", "secrets", "released")
    )
    yield Check("of secrets.token_urlsafe", ratio(ours, theirs), 1 / 8)
    yield Check("of the last release", ratio(ours, released), 0.88)


def revocations(results: Results) -> Iterator[Check]:
    for operation in ("hit", "miss"):
        ours, theirs = (
            results.seconds("test_revocations", contender, operation, size=TEN_MILLION)
            for contender in ("tokenwheel", "dict")
        )
        yield Check(f"{operation} of a dict's", ratio(ours, theirs), 1)
    yield Check(
        "an entry",
        results.fact("bytes_per_entry", "test_revocations", "tokenwheel", size=TEN_MILLION),
        48,
        "bytes",
    )


def cache_against_peers(results: Results) -> Iterator[Check]:
    for size in (MILLION, TEN_THOUSAND):
        for operation in ("set", "hit", "miss", "delete"):
            ours = results.seconds("test_cache", "tokenwheel", operation, size=size)
            for peer in EXPIRING_CACHES:
                theirs = results.seconds("test_cache", peer, operation, size=size)
                yield Check(f"{operation} among {size:,} of {peer}'s", ratio(ours, theirs), 1)


def cache_against_dict(results: Results) -> Iterator[Check]:
    for operation, limit in {"hit": 1.15, "delete": 1.2, "set": 1.5}.items():
        ours, theirs = (
            results.seconds("test_cache", contender, operation, size=MILLION)
            for contender in ("tokenwheel", "dict")
        )
        yield Check(f"{operation} of a dict's", ratio(ours, theirs), limit)
    ours, theirs = (
        results.find("test_cache", contender, size=MILLION) for contender in ("tokenwheel", "dict")
    )
    measured = ours is not None and theirs is not None
    yield Check("an entry", ours.facts["bytes_per_entry"] if measured else None, 160, "bytes")
    longer = 1e3 * (ours.facts["gc_collect"] - theirs.facts["gc_collect"]) if measured else None
    yield Check("`gc.collect()` longer than beside a dict", longer, 0.1, "ms")


def falling_due(results: Results) -> Iterator[Check]:
    row, emptied = (
        results.find("test_falling_due", contender, "cpu")
        for contender in ("tokenwheel", "dict_emptied")
    )
    # What else the machine does only ever adds to the slowest of a million calls, so the calmest
    # life tells most of the cache itself.
    yield Check(
        "the longest wait of the longest `del` of a dict's million, each in its calmest life",
        ratio(row and row.least, emptied and emptied.least),
        1 / 2,
    )
    yield Check(
        "served past their time", None if row is None else max(row.facts["late"]), 0, "entries"
    )
    yield Check(
        "memory not given back",
        None if row is None else 1 - statistics.median(row.facts["given_back"]),
        0.5,
        "of it",
    )


def scale(results: Results) -> Iterator[Check]:
    for operation in ("set", "hit", "miss", "delete"):
        few, many = (
            ratio(
                *(
                    results.seconds("test_scale", contender, operation, size=size)
                    for contender in ("tokenwheel", "dict")
                )
            )
            for size in (TEN_THOUSAND, TEN_MILLION)
        )
        yield Check(f"{operation}: growth, of a dict's growth", ratio(many, few), SAME)


def pure(results: Results) -> Iterator[Check]:
    def compare(
        what: str,
        case: str,
        theirs: str,
        ours: str = "tokenwheel_pure",
        operation: str | None = None,
        **race: object,
    ) -> Check:
        return Check(
            what,
            ratio(
                results.seconds(case, ours, operation, **race),
                results.seconds(case, theirs, operation, **race),
            ),
            1,
        )

    yield compare("read, seen", "test_read_seen", "pyjwt_dict", algorithm="HS256")
    for algorithm in ("HS256", *ASYMMETRIC):
        yield compare(
            f"read, unseen, {algorithm}", "test_read_unseen", "pyjwt", algorithm=algorithm
        )
    yield compare("read, Zipf", "test_read_zipf", "pyjwt_dict")
    for call in ("create", "update"):
        yield compare(call, "test_issue", "pyjwt_dict", f"{call}_pure")
    yield compare("new_token", "test_new_token", "secrets")
    for operation in ("hit", "miss"):
        yield compare(
            f"RevocationList, {operation}",
            "test_revocations",
            "dict_by_hand",
            operation=operation,
            size=MILLION,
        )
    for operation in ("set", "hit", "miss", "delete"):
        yield compare(
            f"ExpiringCache, {operation}",
            "test_cache",
            "dict_by_hand",
            operation=operation,
            size=MILLION,
        )


def feed(results: Results) -> Iterator[Check]:
    fed, alone = (
        results.seconds("test_read_fed", contender)
        for contender in ("tokenwheel_fed", "tokenwheel")
    )
    yield Check("`read` beside SqliteFeed of one without", ratio(fed, alone), 1.03)
    for contender, name in {
        "redis_fed": "RedisFeed",
        "redis_fed_refusing": "RedisFeed, refusing when stale,",
        "sql_fed": "SqlFeed",
    }.items():
        yield Check(
            f"`read` beside {name} of one without",
            ratio(results.seconds("test_read_fed", contender), alone),
            1.03,
        )
    yield Check("a million replayed", results.seconds("test_replay", "tokenwheel_fed"), 1.25, "s")


def followed(results: Results) -> Iterator[Check]:
    fixed = results.seconds("test_read_followed", "tokenwheel")
    for contender, name in {"key_file": "KeyFile", "remote_keys": "RemoteKeySet"}.items():
        yield Check(
            f"`read` with {name} of one with KeySet",
            ratio(results.seconds("test_read_followed", contender), fixed),
            1.03,
        )


def logout(results: Results) -> Iterator[Check]:
    for contender, name, limit in (("redis", "RedisFeed", 5), ("sql_postgres", "SqlFeed", 20)):
        wait = results.seconds("test_logout", contender, "p99")
        milliseconds = None if wait is None else wait * 1e3
        yield Check(f"p99 of the time until all refuse, with {name}", milliseconds, limit, "ms")


def imported(results: Results) -> Iterator[Check]:
    ours, theirs = (
        results.seconds("test_import", contender) for contender in ("tokenwheel", "pyjwt")
    )
    longer = None if ours is None or theirs is None else 1e3 * (ours - theirs)
    yield Check("longer than PyJWT alone", longer, 40, "ms")


GOALS = [
    Goal(
        "`read`, a token seen before",
        (
            "1/150 of PyJWT 2.15 (1/60 of 2.12), 1/8 of fast-jwt with its cache on; "
            "0.93 times the last release; each algorithm costs the same"
        ),
        read_seen,
    ),
    Goal(
        "`read`, a token seen before, beside a million and ten million revocations",
        "no slower than beside none",
        read_beside_revocations,
    ),
    Goal("`read`, a token never seen, HS256", "1/20 of PyJWT, 0.6 times ryjwt", read_unseen),
    Goal("`read`, a token never seen, and one claim of it", "0.95 times ryjwt", read_unseen_claim),
    Goal(
        "`read`, a token never seen, ES256, RS256, EdDSA",
        "1.1 times the bare signature check of `cryptography`, RS256 1.08 times",
        read_unseen_asymmetric,
    ),
    Goal("a remembered token of 300 characters", "650 bytes, its text included", remembered),
    Goal(
        "`read`, 100,000 tokens in Zipf order",
        "faster than every peer, within 2 times of the same with all seen before",
        zipf,
    ),
    Goal("`create`, `update`", "1/2 of one PyJWT `encode`", issue),
    Goal(
        "`new_token(24)`",
        "1/8 of `secrets.token_urlsafe(24)`; 0.88 times the last release",
        new_token,
    ),
    Goal("`RevocationList` of 10 million", "no slower than a dict; 48 bytes an entry", revocations),
    Goal(
        "`ExpiringCache` against every TTL cache",
        "each operation faster, at 10 thousand and at a million entries",
        cache_against_peers,
    ),
    Goal(
        "`ExpiringCache` against a dict, a million",
        "hit 1.15, delete 1.2, set 1.5 times; 160 bytes an entry; `gc.collect()` no longer",
        cache_against_dict,
    ),
    Goal(
        "a million entries due in the same second",
        (
            "half the longest wait of who deletes them from a dict, nothing served late, most of "
            "the memory given back"
        ),
        falling_due,
    ),
    Goal(
        "10 thousand to 10 million entries",
        "flat, but for the processor's caches: grows no more than a dict does",
        scale,
    ),
    Goal(
        "a feed for the processes of a machine, or of many",
        "costs a `read` 3% at most; a million revocations replayed from SQLite in about a second",
        feed,
    ),
    Goal(
        "keys that are followed, in a file or by a URL",
        "cost a `read` 3% at most",
        followed,
    ),
    Goal(
        "a logout on one of eight nodes under load",
        "by all in 99 of 100 cases, on loopback: within 5 ms with RedisFeed, 20 ms with SqlFeed",
        logout,
    ),
    Goal("`import tokenwheel`", "40 ms more than PyJWT alone", imported),
    Goal("the pure fallback", "no slower than PyJWT and a dict by hand, in any of these", pure),
]
