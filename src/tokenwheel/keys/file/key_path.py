"""What a caller gives as the path of a key file: looked at once, and refused where it is none.

It may be a key itself, or a secret, that was given by mistake. So no message shows it. Nothing here
opens a file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ...conformance import check_instance
from ...errors import ConfigurationError
from ...exact import named, text_of

__all__ = ["given_key_path"]

_RULE = "path must be the path of a key file, a name in the file system"
_KEY = re.compile(r"\s*[\[{]|.*-----BEGIN ", re.DOTALL)
_URL = re.compile(r"(?:https?|file):", re.IGNORECASE)


def given_key_path(path: object) -> str:
    """Return the absolute name of a file as a plain text. Links in it are left as they are.

    Args:
        path: a ``str`` or an ``os.PathLike`` of one.

    Raises:
        ConfigurationError: it is something else: a URL, or the text of a key.
    """
    check_instance("path", path)
    name = _text_in(path)
    if _KEY.match(name):
        raise ConfigurationError(
            f"{_RULE}, not the text of a key: Key.from_pem, Key.from_jwk and KeySet.from_jwks take "
            "that"
        )
    if _URL.match(name):
        raise ConfigurationError(f"{_RULE}, not a URL: RemoteKeySet(url) follows one")
    if not name or "\0" in name or not _has_bytes(name):
        raise ConfigurationError(f"{_RULE}, without NUL or a character that no file's name has")
    try:
        return str(Path(name).absolute())
    except OSError as error:
        raise ConfigurationError(
            "path is relative, and the working directory is not there: an absolute one needs none"
        ) from error


def _text_in(path: object) -> str:
    given = path
    if not issubclass(type(path), str | bytes):
        try:
            given = os.fspath(path)  # type: ignore[call-overload]
        except Exception:  # any: the path is the caller's own
            given = None
        if given is None:
            raise ConfigurationError(f"{_RULE}: a str or an os.PathLike, not {named(path)}")
    name = text_of(given)
    if name is None:
        raise ConfigurationError(f"{_RULE}: a str, which os.fsdecode makes of bytes")
    return name


def _has_bytes(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True
