"""Random, URL-safe texts of 24 bytes, or as many characters as those take."""

from __future__ import annotations

import secrets
from collections.abc import Callable


def tokenwheel() -> Callable[[int], str]:
    from tokenwheel import new_token

    return new_token


def nanoid() -> Callable[[int], str]:
    from nanoid import generate

    return lambda _: generate(size=32)


GENERATORS: dict[str, Callable[[], Callable[[int], str]]] = {
    "tokenwheel": tokenwheel,
    "tokenwheel_pure": tokenwheel,
    "released": tokenwheel,
    "secrets": lambda: secrets.token_urlsafe,
    "nanoid_python": nanoid,
}
