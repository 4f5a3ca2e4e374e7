"""Keys: a key has one algorithm; in a set, one key signs and all verify.

``key`` holds what a key does, ``forms`` how keys are read and written, and ``checks`` and ``unfit``
what makes one unfit. ``keyset`` says how keys are replaced while in use, and ``living`` what is
common to sets that follow a file (``file``) or a URL (``remote``).
``storage_secret`` is of no token: records in a storage are authenticated with it. None of the
cryptography is ours: it is that of the package ``cryptography``, through PyJWT's algorithm objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .checks import ALGORITHMS, HASH_BYTES
from .key import Key
from .keyset import KeySet
from .living import LivingKeySet
from .storage_secret import storage_secret

if TYPE_CHECKING:
    from .file import KeyFile, KeyFileStats
    from .remote import KeyResponse, RemoteKeySet, RemoteKeysStats

__all__ = [
    "ALGORITHMS",
    "HASH_BYTES",
    "Key",
    "KeyFile",
    "KeyFileStats",
    "KeyResponse",
    "KeySet",
    "LivingKeySet",
    "RemoteKeySet",
    "RemoteKeysStats",
    "storage_secret",
]


def __getattr__(name: str) -> object:
    """Return what is imported when it is first used."""
    if name in ("KeyFile", "KeyFileStats"):
        from . import file

        return getattr(file, name)
    if name in ("KeyResponse", "RemoteKeySet", "RemoteKeysStats"):
        from . import remote

        return getattr(remote, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
