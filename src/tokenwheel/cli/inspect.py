"""``tokenwheel inspect``: what a token says, and whether a key signed it.

The token is read from standard input, never from an argument, which every user of a machine could
see; it is never printed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .._impl import MAX_TOKEN_LENGTH, decode
from ..errors import ConfigurationError
from ..keys import ALGORITHMS, KeySet
from .text import as_json, in_words, is_number, refuse

__all__ = ["add_inspect"]

_DATES = ("exp", "nbf", "iat")


def add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    inspect = commands.add_parser("inspect", help="show what the token on standard input says")
    inspect.add_argument(
        "--key", type=Path, help="verify the signature by this file: PEM, JWK or JWKS"
    )
    inspect.add_argument(
        "--algorithm", choices=sorted(ALGORITHMS), help="of the key, where its file does not say"
    )
    inspect.set_defaults(command=_inspect)


def _inspect(arguments: argparse.Namespace) -> int:
    keys = None if arguments.key is None else _read_keys(arguments.key, arguments.algorithm)
    text = sys.stdin.buffer.read(MAX_TOKEN_LENGTH + 2).strip()
    if len(text) > MAX_TOKEN_LENGTH:
        return refuse(f"the token has more than {MAX_TOKEN_LENGTH} bytes")
    parts = text.decode("ascii", "replace").split(".")
    if len(parts) != 3:
        return refuse(
            "standard input holds no token: a token has three parts with dots between them"
        )
    header, claims = (_read_part(part) for part in parts[:2])
    if header is None or claims is None:
        return refuse(
            "the token is malformed: its header and claims must be JSON objects in base64url"
        )
    try:
        lines = [*_shown("Header", header), *_shown("Claims", claims)]
    except RecursionError:
        return refuse("the token is malformed: its header or claims are nested too deeply")
    print(*lines, sep="\n")
    if keys is None:
        print(
            "\nNOTHING WAS VERIFIED: anybody can make a token that says this. "
            "Give --key FILE to verify its signature."
        )
        return 0
    return _judge(header, claims, keys, *text.rsplit(b".", 1))


def _judge(
    header: Mapping[str, Any],
    claims: Mapping[str, Any],
    keys: KeySet,
    signed: bytes,
    signature: bytes,
) -> int:
    try:
        raw = decode(signature.decode("ascii", "replace"))
    except ValueError:
        raw = b""
    # Any key of the file will do, whatever it is called: a PEM file does not say under which kid a
    # service uses its key.
    if not any(key.verify(signed, raw) for key in keys if key.algorithm == header.get("alg")):
        print("\nTHE SIGNATURE IS NOT GOOD: it is not by this key, or the token was changed.")
        return 1
    print("\nThe signature is good. Issuer, audience and revocation were not checked.")
    expires_at = claims.get("exp")
    if not is_number(expires_at):
        print("The token says NO TIME at which it expires.")
        return 1
    if expires_at > time.time():
        print("The token has not expired.")
        return 0
    print("The token has EXPIRED.")
    return 1


def _read_keys(path: Path, algorithm: str | None) -> KeySet:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read()
    except OSError as error:  # Whose text holds the name, which may be a token given by mistake.
        raise ConfigurationError(
            f"the file given for --key cannot be read: {error.strerror}"
        ) from None
    keys = _parse_keys(text, algorithm)
    _warn_of_mode(mode, is_private=any(key.can_sign for key in keys))
    return keys


def _warn_of_mode(mode: int, *, is_private: bool) -> None:
    """Say where others than its owner can read a private key, or put another key in its place."""
    if os.name != "posix":
        return
    if mode & 0o022:
        print(
            f"tokenwheel: others can write the file given for --key (mode {mode & 0o7777:04o}), "
            "and so choose by which key a token is good; chmod go-w keeps them out",
            file=sys.stderr,
        )
    if is_private and mode & 0o044:
        print(
            f"tokenwheel: others can read the private key given for --key (mode "
            f"{mode & 0o7777:04o}), and sign with it; chmod 600 keeps them out",
            file=sys.stderr,
        )


def _parse_keys(text: bytes, algorithm: str | None) -> KeySet:
    if text.lstrip().startswith(b"{"):
        if b'"keys"' in text:
            return KeySet.from_jwks(text)
        return KeySet.from_jwk(text, algorithm)
    if algorithm is None:
        raise ConfigurationError("--algorithm must be given for a key in PEM form")
    return KeySet.from_pem(text, algorithm)


def _read_part(part: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(decode(part).decode())
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _shown(title: str, members: Mapping[str, Any]) -> Iterator[str]:
    yield f"{title}:"
    for name, value in members.items():
        words = f"  ({in_words(value)})" if name in _DATES and title == "Claims" else ""
        yield f"  {as_json(name)[1:-1]}: {as_json(value)}{words}"
