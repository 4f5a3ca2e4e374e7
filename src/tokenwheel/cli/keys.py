"""``tokenwheel keys new``: the private key into a file, the public one to standard output.

The file is new, and only its owner can read it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from ..errors import ConfigurationError
from ..keys import ALGORITHMS, HASH_BYTES, Key
from .text import as_json, refuse

__all__ = ["add_keys"]


def add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser("keys", help="make keys").add_subparsers(
        required=True, metavar="COMMAND"
    )
    new = keys.add_parser(
        "new", help="make a key: the private one into a new file, the public one to standard output"
    )
    new.add_argument(
        "--algorithm",
        required=True,
        choices=sorted(ALGORITHMS),
        help="HS256 makes a shared secret, which is also what storage_key takes (Key.from_jwk)",
    )
    new.add_argument("--format", choices=["jwk", "pem"], default="jwk")
    new.add_argument(
        "--kid", help="by default the public key's thumbprint (RFC 7638); for a shared secret none"
    )
    new.add_argument("--out", type=Path, help="the private key's file, which must not exist yet")
    new.set_defaults(command=_new_key)


def _new_key(arguments: argparse.Namespace) -> int:
    as_pem = arguments.format == "pem"
    if as_pem and arguments.algorithm in HASH_BYTES:
        return refuse(
            f"a shared secret has no PEM form: --format must be jwk for {arguments.algorithm}"
        )
    key = Key.generate(arguments.algorithm, kid=arguments.kid)
    private = (
        key.to_pem(private=True) if as_pem else as_json(key.to_jwk(private=True)).encode() + b"\n"
    )
    made_at = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    name = f"{arguments.algorithm.lower()}-{made_at}.{arguments.format}"
    path: Path = arguments.out or Path(name)
    _write_private(path, private)
    print(
        f"tokenwheel: the {key.algorithm} key is in {path}, readable by you alone", file=sys.stderr
    )
    if key._public is not None:
        print(key.to_pem().decode().rstrip() if as_pem else as_json(key.to_jwk()))
    return 0


def _write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, from its first byte on.

    It never takes the place of another file, and is never half written.
    """
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600
        )
    except OSError as error:  # Whose text holds the name, which may be a token given by mistake.
        raise ConfigurationError(
            f"the file for the private key cannot be made: {error.strerror}"
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
