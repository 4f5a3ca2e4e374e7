"""What is read of a manager when metrics are scraped: how its parts stand at that moment.

Nothing here waits for a storage, a server or a URL. A figure that cannot be read is left out, and
the others stay.
"""

from __future__ import annotations

import logging
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from .. import __version__, implementation
from ..exact import is_instance
from ..keys import KeyFile, RemoteKeySet
from ..session import AsyncSessionManager, SessionManager

__all__ = ["FIGURES", "Figure", "Manager", "Sample", "read_figure", "read_figures"]

logger = logging.getLogger("tokenwheel")

Manager = SessionManager | AsyncSessionManager


class Sample(NamedTuple):
    """One value of a figure."""

    value: float
    labels: Mapping[str, str] = {}


class Figure(NamedTuple):
    """A figure, and how it is read of a manager."""

    name: str
    """Words joined by ``_``, without the library's name and the unit."""
    unit: str
    """``seconds``, ``bytes``, ``entries``, or nothing."""
    kind: Literal["gauge", "counter", "info"]
    help: str
    read: Callable[[Manager], Iterator[Sample]]
    """Yields the samples; none where the manager has no such part."""
    labels: tuple[str, ...] = ()
    of_workers: Literal["max", "min", "sum"] = "max"
    """What of a gauge's values in several worker processes says how the service stands."""


def read_figures(manager: Manager) -> Iterator[tuple[Figure, list[Sample]]]:
    """Yield each figure that the manager has, with its samples. This raises nothing."""
    for figure in FIGURES:
        samples = read_figure(figure, manager)
        if samples:
            yield figure, samples


def read_figure(figure: Figure, manager: Manager) -> list[Sample]:
    """Return the samples of a figure, and none where it cannot be read. This raises nothing."""
    try:
        return list(figure.read(manager))
    except Exception:
        logger.debug("the figure %s could not be read", figure.name, exc_info=True)
        return []


def _revocations(manager: Manager) -> Iterator[Sample]:
    yield Sample(manager.revocations.stats().entries)


def _revocations_bytes(manager: Manager) -> Iterator[Sample]:
    yield Sample(manager.revocations.stats().nbytes)


def _of_feed(name: str) -> Callable[[Manager], Iterator[Sample]]:
    def read(manager: Manager) -> Iterator[Sample]:
        stats = getattr(manager.revocations.feed, "stats", None)
        if stats is not None:  # A feed of somebody else's may have none.
            yield Sample(getattr(stats(), name))

    return read


def _keys(manager: Manager) -> Iterator[Sample]:
    yield from (
        Sample(number, {"state": state}) for state, number in key_states(manager._keys).items()
    )


def key_states(keys: Any) -> Mapping[str, int]:
    """Return how many keys of a set sign, wait for their time to sign, or verify alone."""
    signing = keys.signing
    waiting: set[tuple[str | None, str]] = set()
    if is_instance(keys, KeyFile):
        now = keys._clock()
        waiting = {
            (each.key.kid, each.key.algorithm)
            for each in keys._listed.keys
            if (each.signs_from or 0) > now
        }
    states = Counter({"signing": 0, "verifying": 0, "waiting": 0})
    for key in keys._keys:  # Not through its iterator, which raises where a URL gave none.
        if key is signing:
            states["signing"] += 1
        else:
            states["waiting" if (key.kid, key.algorithm) in waiting else "verifying"] += 1
    return states


def _of_key_file(name: str) -> Callable[[Manager], Iterator[Sample]]:
    def read(manager: Manager) -> Iterator[Sample]:
        keys = manager._keys
        if is_instance(keys, KeyFile):
            value = getattr(keys.stats(), name)
            if value is not None:
                yield Sample(value)

    return read


def _of_jwks(name: str) -> Callable[[Manager], Iterator[Sample]]:
    def read(manager: Manager) -> Iterator[Sample]:
        keys = manager._keys
        if is_instance(keys, RemoteKeySet):
            value = getattr(keys.stats(), name)
            if value is not None:
                yield Sample(value)

    return read


def _of_verifier(name: str) -> Callable[[Manager], Iterator[Sample]]:
    def read(manager: Manager) -> Iterator[Sample]:
        yield Sample(getattr(manager._flow._tokens.verifier, name))

    return read


def _broken_records(manager: Manager) -> Iterator[Sample]:
    yield Sample(manager.broken_records)


def _build_info(manager: Manager) -> Iterator[Sample]:
    yield Sample(
        1,
        {
            "version": __version__,
            "implementation": implementation,
            "python": platform.python_version(),
        },
    )


FIGURES = (
    Figure(
        "revocations",
        "",
        "gauge",
        "Sessions some of whose access tokens this process refuses.",
        _revocations,
    ),
    Figure(
        "revocations",
        "bytes",
        "gauge",
        "Memory that revocations take in this process.",
        _revocations_bytes,
        of_workers="sum",
    ),
    Figure(
        "feed_lag",
        "entries",
        "gauge",
        "Entries of the feed that this process had yet to take in; +Inf where nobody knows.",
        _of_feed("lag"),
    ),
    Figure(
        "feed_staleness",
        "seconds",
        "gauge",
        "Seconds since this process was last sure to have missed no revocation.",
        _of_feed("staleness"),
    ),
    Figure(
        "feed_reconnects",
        "",
        "counter",
        "Attempts of this process to connect to the feed anew.",
        _of_feed("reconnects"),
    ),
    Figure(
        "feed_entries",
        "",
        "counter",
        "Entries of the feed that this process has taken in.",
        _of_feed("entries"),
    ),
    Figure(
        "feed_replays",
        "",
        "counter",
        "Times that this process had to read the feed again from its start.",
        _of_feed("replays"),
    ),
    Figure(
        "keys",
        "",
        "gauge",
        "Keys that sign, that wait for their time to sign, and that verify alone.",
        _keys,
        ("state",),
    ),
    Figure(
        "jwks_age",
        "seconds",
        "gauge",
        "Seconds since the URL of the keys last said what they are.",
        _of_jwks("age"),
    ),
    Figure(
        "jwks_failures",
        "",
        "gauge",
        "Fetches of the keys that have failed since the last that has not.",
        _of_jwks("failures"),
    ),
    Figure(
        "jwks_fetches",
        "",
        "counter",
        "Fetches of the keys that have begun.",
        _of_jwks("fetches"),
    ),
    Figure(
        "key_file_taken",
        "timestamp_seconds",
        "gauge",
        "When the key file was last taken over, in Unix seconds.",
        _of_key_file("taken_at"),
        of_workers="min",
    ),
    Figure(
        "key_file_failures",
        "",
        "counter",
        "Times that the key file could not be used as it was.",
        _of_key_file("failures"),
    ),
    Figure(
        "verified_tokens",
        "",
        "gauge",
        "Verified access tokens that this process remembers.",
        _of_verifier("remembered"),
        of_workers="sum",
    ),
    Figure(
        "verified_tokens",
        "bytes",
        "gauge",
        "Memory that remembered access tokens take in this process.",
        _of_verifier("remembered_bytes"),
        of_workers="sum",
    ),
    Figure(
        "broken_records",
        "",
        "counter",
        "Records in the storage that were not believed, as no storage_key had sealed them.",
        _broken_records,
    ),
    Figure(
        "build",
        "",
        "info",
        "The release of tokenwheel, its implementation, and the version of Python.",
        _build_info,
        ("implementation", "python", "version"),
    ),
)
