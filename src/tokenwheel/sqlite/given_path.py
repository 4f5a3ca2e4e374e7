"""What a caller gives as the path of a database: looked at once, and refused where it is none.

A path is a name in the file system. What other libraries take is refused in words that say so: a
URL, a URI of SQLite's, a folder. To go on with it would make a file of that name somewhere. Nothing
here opens a file.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..conformance import check_instance
from ..errors import ConfigurationError
from ..exact import named, text_of

__all__ = ["given_path"]

_RULE = "path must be the path of a file, a name in the file system"
# Two letters at least, since a drive of Windows has one. A Path makes one slash of several.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|(?:file|sqlite|jdbc:sqlite):", re.IGNORECASE)
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def given_path(path: object) -> str:
    """Return the name of a file as a plain text. There may be no file yet.

    Args:
        path: a ``str`` or an ``os.PathLike`` of one.

    Raises:
        ConfigurationError: it is something else, a URL, or the name of what cannot be a database
            file; or the folder is not there.
    """
    check_instance("path", path)
    name = _text_in(path)
    if name in ("", ":memory:"):
        raise ConfigurationError(f"{_RULE}; for sessions in memory there is MemoryStorage")
    if _URL.match(name):
        raise ConfigurationError(
            f"{_RULE}, not a URL or a URI: sessions.db, say, instead of sqlite:///sessions.db "
            "or file:sessions.db?mode=rwc"
        )
    if "\0" in name or not _has_bytes(name):
        raise ConfigurationError(f"{_RULE}, without NUL or a character that no file's name has")
    if name.endswith(_SEPARATORS):
        raise ConfigurationError(f"{_RULE}, and ends with that name, not with a separator")
    try:
        _check_place(name)
    except OSError:  # Whoever opens it meets the same, and says so.
        pass
    return name


def _text_in(path: object) -> str:
    given = path
    if not issubclass(type(path), str | bytes):
        try:
            given = os.fspath(path)  # type: ignore[call-overload]
        except Exception as error:
            raise ConfigurationError(
                f"{_RULE}: a str or an os.PathLike, not {named(path)}"
            ) from error
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


def _check_place(name: str) -> None:
    """Check that a database file is there, or that one can be made there.

    Raises:
        ConfigurationError: it cannot be.
        OSError: nothing can be known of the place.
    """
    real = Path(os.path.realpath(name))
    mode = _mode_of(real)
    if mode is not None and stat.S_ISDIR(mode):
        raise ConfigurationError(
            f"{_RULE}, and is the name of a folder: a file's name belongs behind it, "
            "as in folder/sessions.db"
        )
    if mode is not None and not stat.S_ISREG(mode):
        raise ConfigurationError(f"{_RULE}, and names no regular file: a device, pipe or socket")
    if mode is not None:
        return
    is_home = name.startswith("~") and _mode_of(Path(re.split(r"[/\\]", name)[0])) is None
    if is_home:
        raise ConfigurationError(f"{_RULE}, in which ~ is no folder: os.path.expanduser expands it")
    folder = _mode_of(real.parent)
    if folder is None:
        raise ConfigurationError(f"{_RULE}, and its folder must be there: the file alone is made")
    if not stat.S_ISDIR(folder):
        raise ConfigurationError(f"{_RULE}, and what should be its folder is a file")


def _mode_of(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
