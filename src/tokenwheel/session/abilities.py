"""What a storage and a feed can do beyond what every one must, found out once.

That is when a manager is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..conformance import check_call, check_conforms, conforms, is_coroutine_function
from ..revocation.protocol import AwaitableFeed, ReplayingFeed, RevocationFeed, WaitingFeed
from ..storage.protocol import (
    AccessLifetimeStorage,
    AwaitableStorage,
    CheckedStorage,
    ClosingStorage,
    DurableStorage,
    PlacedStorage,
    PublishingStorage,
    SessionStorage,
    TimedStorage,
    WaitingStorage,
)
from .steps import Publisher

__all__ = ["Abilities", "abilities_of"]

_STORAGE_METHODS = ("insert", "read", "read_all", "replace", "delete")
_OF_LIFETIME = ("issuer", "seconds")
_AWAITED_OF_FEED = ("publish", "close")


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a manager may ask of its storage and its feed."""

    storage_is_async: bool
    """The storage's methods return awaitables."""
    storage_waits: bool
    """The storage's methods may wait, so that an event loop has them called from worker threads."""
    storage_timeout: float | None
    """Seconds for which a call of the storage may wait; None where it doesn't say."""
    storage_is_checked: bool
    """The storage itself tells which of its records are damaged."""
    storage_is_durable: bool
    """Others than this process may read or write what the storage keeps."""
    close_storage: Callable[[], Any] | None
    """Lets go of what the storage holds open, where it holds something."""
    publisher: Publisher | None
    """The storage and the feed, where the one publishes to the other as it changes a session."""
    keeps_access_lifetime: bool
    """The storage keeps how long access tokens live at most."""
    session_id_prefix: Callable[[str], bytes] | None
    """Gives the bytes with which the ids of a subject's sessions begin; None: they are random."""
    feed_is_async: bool
    """The feed's ``publish`` and ``close`` return awaitables."""
    feed_waits: bool
    """The feed's ``publish`` and ``close`` may wait."""
    replays: bool
    """What lives has to be awaited from the feed before anything else."""


def abilities_of(storage: object, feed: RevocationFeed | None) -> Abilities:
    """Return what a storage and a feed can do.

    Raises:
        ConfigurationError: the storage is none, is a class instead of an instance, or has a method
            that takes other arguments than its protocol says.
    """
    check_conforms("storage", storage, SessionStorage, _STORAGE_METHODS)
    session_id_prefix = None
    if conforms(storage, PlacedStorage):
        session_id_prefix = storage.session_id_prefix
        check_call("storage.session_id_prefix", session_id_prefix, ["subject"])
    close_storage = None
    if conforms(storage, ClosingStorage):
        close_storage = storage.close
        check_call("storage.close", close_storage, [])
    keeps_access_lifetime = conforms(storage, AccessLifetimeStorage)
    if conforms(storage, AccessLifetimeStorage):
        check_call("storage.keep_access_lifetime", storage.keep_access_lifetime, _OF_LIFETIME)
    feed_waits = conforms(feed, WaitingFeed) and feed.waits is True
    return Abilities(
        storage_is_async=(conforms(storage, AwaitableStorage) and storage.is_async is True)
        or any(is_coroutine_function(getattr(storage, name)) for name in _STORAGE_METHODS)
        or (close_storage is not None and is_coroutine_function(close_storage)),
        storage_waits=conforms(storage, WaitingStorage) and storage.waits is True,
        storage_timeout=_timeout_of(storage),
        storage_is_checked=conforms(storage, CheckedStorage) and storage.is_checked is True,
        storage_is_durable=conforms(storage, DurableStorage) and storage.is_durable is True,
        close_storage=close_storage,
        publisher=_publisher(storage, feed),
        keeps_access_lifetime=keeps_access_lifetime,
        session_id_prefix=session_id_prefix,
        feed_is_async=feed is not None
        and (
            (conforms(feed, AwaitableFeed) and feed.is_async is True)
            or any(is_coroutine_function(getattr(feed, name)) for name in _AWAITED_OF_FEED)
        ),
        feed_waits=feed_waits,
        # A feed that waits did so when the list was made.
        replays=conforms(feed, ReplayingFeed) and not feed_waits,
    )


def _timeout_of(storage: object) -> float | None:
    timeout: object = storage.timeout if conforms(storage, TimedStorage) else None
    return timeout if isinstance(timeout, int | float) else None


def _publisher(storage: object, feed: RevocationFeed | None) -> Publisher | None:
    if feed is None or not conforms(storage, PublishingStorage):
        return None
    check_call("storage.publishes_to", storage.publishes_to, ["feed"])
    if not storage.publishes_to(feed):
        return None
    check_call("storage.replace", storage.replace, ["record", "now", "feed", "revocations"])
    check_call("storage.delete", storage.delete, ["records", "now", "feed", "revocations"])
    return Publisher(storage, feed)
