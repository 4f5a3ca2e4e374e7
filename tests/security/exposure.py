"""Look for secrets wherever an error reporter does: in the frames and attributes of errors.

Reported is where one stands, never the secret itself. The tests' own frames know the secrets and
are left out, as an application's would be.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

TESTS = str(Path(__file__).parent.parent)
_PIECE = 12  # characters of a secret that would be too many
_BYTES = 8  # of raw bytes


class Secrets:
    """What must be shown nowhere, in every spelling that a repr may have."""

    def __init__(self, *secrets: str | bytes) -> None:
        self._pieces: set[str] = set()
        self.add(*secrets)

    def add(self, *secrets: str | bytes) -> None:
        for secret in secrets:
            if isinstance(secret, str):
                self._add_text(secret)
                self._add_bytes(secret.encode("utf-8", "surrogatepass"))
            else:
                self._add_bytes(secret)

    def add_refresh_token(self, text: str) -> None:
        """Take in a refresh token; the first 16 characters are the session's public id."""
        secret_part = text[16:]
        self._add_text(secret_part)
        self.add(base64.urlsafe_b64decode(secret_part + "=" * (-len(secret_part) % 4)))

    def add_access_token(self, text: str) -> None:
        for part in text.split(".")[1:]:
            self._add_text(part)

    def _add_bytes(self, raw: bytes) -> None:
        for spelling in (
            raw.hex(),
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        ):
            self._add_text(spelling)
        for start in range(max(len(raw) - _BYTES, 0) + 1):
            self._pieces.add(repr(raw[start : start + _BYTES])[2:-1])

    def _add_text(self, text: str) -> None:
        for start in range(max(len(text) - _PIECE, 0) + 1):
            self._pieces.add(text[start : start + _PIECE])

    def are_in(self, text: str) -> bool:
        return any(piece in text for piece in self._pieces)


def exposed_by(error: BaseException, secrets: Secrets) -> list[str]:
    """Return where the error, or one that it was raised from or during, shows a secret."""
    places = []
    for link in _chain(error):
        name = type(link).__name__
        places += [
            f"{name}.{attribute}"
            for attribute, value in _attributes(link)
            if _shows(value, secrets)
        ]
        traceback = link.__traceback__
        while traceback is not None:
            places += exposed_in(traceback.tb_frame, secrets)
            traceback = traceback.tb_next
    return places


def exposed_in(frame: FrameType, secrets: Secrets) -> list[str]:
    """Return which locals of a frame show a secret, as the names of function and local."""
    code = frame.f_code
    if code.co_filename.startswith(TESTS):
        return []
    return [
        f"{Path(code.co_filename).name}: {code.co_qualname}: {name}"
        for name, value in frame.f_locals.items()
        if _shows(value, secrets)
    ]


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        link = pending.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            pending += [link.__cause__, link.__context__]
            yield link


def _attributes(error: BaseException) -> Iterator[tuple[str, Any]]:
    yield "args", error.args
    yield "str", str(error)
    yield from vars(error).items()
    for name in ("doc", "object", "filename", "value", "name"):
        yield name, getattr(error, name, None)


def _shows(value: Any, secrets: Secrets, depth: int = 5) -> bool:
    try:
        shown = repr(value)
    except Exception:  # Of an object that is half made. A reporter passes it over.
        return False
    if secrets.are_in(shown):
        return True
    if depth == 0:
        return False
    items: Sequence[Any] = ()
    if isinstance(value, Mapping):
        items = [item for pair in value.items() for item in pair]
    elif isinstance(value, list | tuple | AbstractSet):
        items = list(value)
    elif is_dataclass(value) and not isinstance(value, type):
        items = [getattr(value, field.name) for field in fields(value)]
    return any(_shows(item, secrets, depth - 1) for item in items)
