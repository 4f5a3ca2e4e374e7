"""What holds many entries: how each is made, and the statements by which it is used.

The statements are timed exactly as written. ``c`` is the container, ``k`` the key, ``v`` the value,
``t`` the entry's own lifetime, which those without one ignore.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple


class Container(NamedTuple):
    make: Callable[[int, float], Any]
    """Takes the largest number of entries, and the lifetime in seconds of those without their own.
    """
    set: str
    hit: str
    delete: str | None
    lifetime: Callable[[float], Any] = float
    """An entry's lifetime, in seconds, as the container wants it."""
    slow_delete: bool = False
    """Deleting is O(n): a few are timed, not hundreds."""


class DictByHand:
    """The least that expires: a dict of values with their ends, looked at when asked.

    What is never asked for again stays for ever.
    """

    def __init__(self) -> None:
        self.entries: dict[Any, tuple[Any, float]] = {}

    def set(self, key: Any, value: Any, ttl: float) -> None:
        self.entries[key] = (value, time.monotonic() + ttl)

    def get(self, key: Any) -> Any:
        entry = self.entries.get(key)
        return None if entry is None or entry[1] <= time.monotonic() else entry[0]

    def delete(self, key: Any) -> None:
        del self.entries[key]


def make_tokenwheel(size: int, lifetime: float) -> Any:
    from tokenwheel import ExpiringCache

    return ExpiringCache()


def make_revocation_list(size: int, lifetime: float) -> Any:
    from tokenwheel import RevocationList

    return RevocationList()


def make_vttl(size: int, lifetime: float) -> Any:
    from cachebox import VTTLCache

    return VTTLCache(0)


def make_cachebox_ttl(size: int, lifetime: float) -> Any:
    from cachebox import TTLCache

    return TTLCache(0, lifetime)


def make_rust_py_cache(size: int, lifetime: float) -> Any:
    from rust_py_cache import Cache

    return Cache()


def make_moka(size: int, lifetime: float) -> Any:
    from moka_py import Moka

    return Moka(4 * size)


def make_cachetools_ttl(size: int, lifetime: float) -> Any:
    from cachetools import TTLCache

    return TTLCache(4 * size, lifetime)


def make_cachetools_tlru(size: int, lifetime: float) -> Any:
    from cachetools import TLRUCache

    return TLRUCache(4 * size, ttu=lambda key, value, now: now + lifetime)


def make_theine(size: int, lifetime: float) -> Any:
    from theine import Cache

    return Cache(4 * size)


EXPIRING_CACHE = Container(make_tokenwheel, "c.set(k, v, t)", "c.get(k)", "del c[k]")
REVOCATION_LIST = Container(make_revocation_list, "c.revoke(k, t)", "c.is_revoked(k)", None)
DICT = Container(lambda size, lifetime: {}, "c[k] = v", "c.get(k)", "del c[k]")
BY_HAND = Container(
    lambda size, lifetime: DictByHand(), "c.set(k, v, t)", "c.get(k)", "c.delete(k)"
)

CACHES: dict[str, Container] = {
    "tokenwheel": EXPIRING_CACHE,
    "tokenwheel_pure": EXPIRING_CACHE,
    "released": EXPIRING_CACHE,
    "dict": DICT,
    "dict_emptied": DICT,
    "dict_by_hand": BY_HAND,
    "cachebox_vttl": Container(make_vttl, "c.insert(k, v, t)", "c.get(k)", "del c[k]"),
    "cachebox_ttl": Container(
        make_cachebox_ttl, "c[k] = v", "c.get(k)", "del c[k]", slow_delete=True
    ),
    "rust_py_cache": Container(make_rust_py_cache, "c.set(k, v, t)", "c.get(k)", "c.delete(k)"),
    "moka": Container(make_moka, "c.set(k, v, t)", "c.get(k)", "c.remove(k)"),
    "cachetools_ttl": Container(make_cachetools_ttl, "c[k] = v", "c.get(k)", "del c[k]"),
    "cachetools_tlru": Container(make_cachetools_tlru, "c[k] = v", "c.get(k)", "del c[k]"),
    "theine": Container(
        make_theine,
        "c.set(k, v, t)",
        "c.get(k)[0]",
        "c.delete(k)",
        lambda seconds: timedelta(seconds=seconds),
    ),
}
REVOCATION_LISTS: dict[str, Container] = {
    "tokenwheel": REVOCATION_LIST,
    "tokenwheel_pure": REVOCATION_LIST,
    "dict": DICT._replace(set="c[k] = t", hit="k in c", delete=None),
    "dict_by_hand": BY_HAND._replace(delete=None),
}
