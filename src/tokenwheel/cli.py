"""The command line: ``tokenwheel demo``, ``tokenwheel keys new``, ``tokenwheel inspect``.

A token is read from standard input, never from an argument, which every user of a machine could see; it is never printed. What a
token says is escaped before it is shown, since whoever made it may have put terminal commands into it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeGuard

from . import __version__, demo
from ._impl import MAX_TOKEN_LENGTH, decode
from .errors import ConfigurationError, TokenwheelError
from .keys import ALGORITHMS, HASH_BYTES, Key, KeySet

__all__ = ["main"]

_DATES = ("exp", "nbf", "iat")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; its exit status: 0 done, 1 refused or not good, 2 not understood."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except (TokenwheelError, OSError) as error:
        print(f"tokenwheel: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tokenwheel", description="JWT user sessions for high-throughput Python API servers.")
    parser.add_argument("--version", action="version", version=f"tokenwheel {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("demo", help="open, verify, refresh, steal and end sessions, and see what happens and how long it takes")
    show.set_defaults(command=_demo)

    keys = commands.add_parser("keys", help="make keys").add_subparsers(required=True, metavar="COMMAND")
    new = keys.add_parser("new", help="make a key: the private one into a new file, the public one to standard output")
    new.add_argument("--algorithm", required=True, choices=sorted(ALGORITHMS))
    new.add_argument("--format", choices=["jwk", "pem"], default="jwk")
    new.add_argument("--kid", help="by default the public key's thumbprint (RFC 7638); for a shared secret none")
    new.add_argument("--out", type=Path, help="the private key's file, which must not exist yet")
    new.set_defaults(command=_new_key)

    inspect = commands.add_parser("inspect", help="show what the token on standard input says")
    inspect.add_argument("--key", type=Path, help="verify the signature by this file: PEM, JWK or JWKS")
    inspect.add_argument("--algorithm", choices=sorted(ALGORITHMS), help="of the key, where its file does not say")
    inspect.set_defaults(command=_inspect)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    return demo.run()


def _new_key(arguments: argparse.Namespace) -> int:
    as_pem = arguments.format == "pem"
    if as_pem and arguments.algorithm in HASH_BYTES:
        return _refuse(f"a shared secret has no PEM form: --format must be jwk for {arguments.algorithm}")
    key = Key.generate(arguments.algorithm, kid=arguments.kid)
    private = key.to_pem(private=True) if as_pem else _json(key.to_jwk(private=True)).encode() + b"\n"
    path: Path = arguments.out or Path(f"{arguments.algorithm.lower()}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.{arguments.format}")
    _write_private(path, private)
    print(f"tokenwheel: the {key.algorithm} key is in {path}, readable by you alone", file=sys.stderr)
    if key._public is not None:
        print(key.to_pem().decode().rstrip() if as_pem else _json(key.to_jwk()))
    return 0


def _write_private(path: Path, content: bytes) -> None:
    """Writes a file only its owner can read, from its first byte on; never over another, never half."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _inspect(arguments: argparse.Namespace) -> int:
    keys = None if arguments.key is None else _read_keys(arguments.key, arguments.algorithm)
    text = sys.stdin.buffer.read(MAX_TOKEN_LENGTH + 2).strip()
    if len(text) > MAX_TOKEN_LENGTH:
        return _refuse(f"the token has more than {MAX_TOKEN_LENGTH} bytes")
    parts = text.decode("ascii", "replace").split(".")
    if len(parts) != 3:
        return _refuse("standard input holds no token: a token has three parts with dots between them")
    header, claims = (_read_part(part) for part in parts[:2])
    if header is None or claims is None:
        return _refuse("the token is malformed: its header and claims must be JSON objects in base64url")
    try:
        lines = [*_shown("Header", header), *_shown("Claims", claims)]
    except RecursionError:
        return _refuse("the token is malformed: its header or claims are nested too deeply")
    print(*lines, sep="\n")
    if keys is None:
        print("\nNOTHING WAS VERIFIED: anybody can make a token that says this. Give --key FILE to verify its signature.")
        return 0
    return _judge(header, claims, keys, *text.rsplit(b".", 1))


def _judge(header: Mapping[str, Any], claims: Mapping[str, Any], keys: KeySet, signed: bytes, signature: bytes) -> int:
    try:
        raw = decode(signature.decode("ascii", "replace"))
    except ValueError:
        raw = b""
    # Any key of the file will do, whatever it is called: a PEM file does not say under which kid a service uses its key.
    if not any(key.verify(signed, raw) for key in keys if key.algorithm == header.get("alg")):
        print("\nTHE SIGNATURE IS NOT GOOD: it is not by this key, or the token was changed.")
        return 1
    print("\nThe signature is good. Issuer, audience and revocation were not checked.")
    expires_at = claims.get("exp")
    if not _is_number(expires_at):
        print("The token says NO TIME at which it expires.")
        return 1
    if expires_at > time.time():
        print("The token has not expired.")
        return 0
    print("The token has EXPIRED.")
    return 1


def _read_keys(path: Path, algorithm: str | None) -> KeySet:
    text = path.read_bytes()
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
        words = f"  ({_in_words(value)})" if name in _DATES and title == "Claims" else ""
        yield f"  {_json(name)[1:-1]}: {_json(value)}{words}"


def _json(value: Any) -> str:
    """JSON in printable ASCII: everything by which a terminal could be told to do something is escaped."""
    return json.dumps(value, ensure_ascii=True)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_words(date: object) -> str:
    """A NumericDate (RFC 7519, section 2) as a person says it: when, and how far from now."""
    if not _is_number(date):
        return "not a date"
    try:
        moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=date)
    except (ValueError, OverflowError):
        return "not a date"
    seconds = round(date - time.time())
    distance = _distance(abs(seconds))
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {f'in {distance}' if seconds >= 0 else f'{distance} ago'}"


def _distance(seconds: int) -> str:
    """In the largest unit of which there are two, so that what is cut off is never much."""
    for size, name in ((31_557_600, "years"), (86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


def _refuse(reason: str) -> int:
    print(f"tokenwheel: {reason}", file=sys.stderr)
    return 2
