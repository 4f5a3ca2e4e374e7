"""What is said in the log of a key file: its state, who signs, and who else can read it.

That others can read it is said and not refused: Kubernetes mounts secrets with the mode 0644, and a
service may share its file with a group on purpose. Only POSIX has such modes.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Sequence

from ..forms.jwks import ListedKey
from ..key import Key

__all__ = [
    "is_open_to_others",
    "tell_of_early_key",
    "tell_of_mode",
    "tell_of_signing",
    "tell_of_state",
]

logger = logging.getLogger("tokenwheel")

_READ, _WRITE = 0o044, 0o022


def tell_of_state(path: str, trouble: str | None) -> None:
    """Log that the file cannot be used, or that it can be used again.

    Args:
        path: its name.
        trouble: what is wrong, as what is said of the file; None where it is good again.
    """
    if trouble is None:
        logger.warning("the key file %r can be used again", path)
    else:
        logger.warning("the key file %r %s; the keys that it had stay in use", path, trouble)


def tell_of_signing(path: str, before: Key | None, now: Key | None, keys: Sequence[Key]) -> None:
    """Log that another key signs.

    Args:
        path: the name of the file.
        before: the key that signed, or None.
        now: the one that signs, or None.
        keys: the keys of the file.
    """
    if before is not None and now is None:
        logger.warning("the key file %r has only public keys now: nothing can be signed", path)
    elif before is not None and now is not None and before not in keys:
        logger.warning(
            "%s, which signed, has left the key file %r: its tokens are refused, and %s signs now",
            _named(before),
            path,
            _named(now),
        )
    elif now is not None:
        logger.info("of the key file %r %s signs now", path, _named(now))


def tell_of_early_key(path: str, chosen: ListedKey) -> None:
    """Log that a key signs before its time."""
    logger.warning(
        "no key of the key file %r may sign yet: %s does, though its 'tokenwheel_signs_from' is %s",
        path,
        _named(chosen.key),
        chosen.signs_from,
    )


def is_open_to_others(mode: int, holds_secrets: bool) -> bool:
    """Return True where others than its owner can read a file with secrets, or write any.

    Args:
        mode: the type and permissions of the file.
        holds_secrets: whether it has private keys or shared secrets.
    """
    return os.name == "posix" and bool(mode & (_WRITE | (_READ if holds_secrets else 0)))


def tell_of_mode(path: str, mode: int) -> None:
    """Log that others than its owner can read or write the file.

    Args:
        path: its name.
        mode: its type and permissions.
    """
    logger.warning(
        "the key file %r has the mode %04o, so %s can %s it: chmod 600 makes it its owner's alone",
        path,
        stat.S_IMODE(mode),
        "every user of this machine" if mode & 0o006 else "its group",
        "write" if mode & _WRITE else "read",
    )


def _named(key: Key) -> str:
    return "the key without a kid" if key.kid is None else f"the key {key.kid!r}"
