"""``tokenwheel keys new`` and ``convert``: a private key in a new file, which is its owner's alone.

The public key goes to standard output.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..keys import ALGORITHMS, HASH_BYTES, Key
from ..keys.forms.jwks import read_jwks, write_jwks
from .key_documents import read_keys
from .private_files import create_private, read_file
from .text import as_json, refuse, shown_kid, shown_path

__all__ = ["add_convert", "add_new"]


def add_new(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
    new.set_defaults(command=_new)


def add_convert(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    convert = keys.add_parser(
        "convert",
        help="write the keys of a PEM or JWK file as a JWK Set, which rotate takes, to a new file",
    )
    convert.add_argument("file", metavar="FILE", type=Path, help="it stays as it is")
    convert.add_argument(
        "--algorithm", choices=sorted(ALGORITHMS), help="of the key, where its file does not say"
    )
    convert.add_argument(
        "--kid",
        help="the kid under which tokens name the only key, where the service gave it one; by "
        "default what the file says, else the public key's thumbprint",
    )
    convert.add_argument(
        "--out", type=Path, required=True, help="the new file, which must not exist yet"
    )
    convert.set_defaults(command=_convert)


def _new(arguments: argparse.Namespace) -> int:
    as_pem = arguments.format == "pem"
    if as_pem and arguments.algorithm in HASH_BYTES:
        return refuse(
            f"a shared secret has no PEM form: --format must be jwk for {arguments.algorithm}"
        )
    # A kid that begins with a dash comes with a space before it.
    kid = None if arguments.kid is None else arguments.kid.removeprefix(" ")
    key = Key.generate(arguments.algorithm, kid=kid)
    now = int(time.time())
    made = {"iat": now}
    # Without its time a resource server could not tell the file from one that comes after it.
    written = key.to_jwk(private=True) | made | {"tokenwheel_updated_at": now}
    private = key.to_pem(private=True) if as_pem else as_json(written).encode() + b"\n"
    moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    path: Path = arguments.out or Path(f"{arguments.algorithm.lower()}-{moment}.{arguments.format}")
    create_private(path, private)
    print(
        f"tokenwheel: the {key.algorithm} key is in {shown_path(path)}, readable by you alone",
        file=sys.stderr,
    )
    if key._public is not None:
        print(key.to_pem().decode().rstrip() if as_pem else as_json(key.to_jwk() | made))
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    keys = read_keys(read_file(arguments.file), arguments.algorithm)
    members = write_jwks(keys, private=True)
    if arguments.kid is not None:
        if len(keys.keys) > 1:
            return refuse("--kid names one key, and the file has several")
        members["keys"][0]["kid"] = arguments.kid.removeprefix(" ")
    members.setdefault("tokenwheel_updated_at", int(time.time()))
    converted = read_jwks(members)
    create_private(arguments.out, as_json(members).encode() + b"\n")
    path = shown_path(arguments.out)
    kids = ", ".join(shown_kid(listed.key.kid) for listed in converted.keys)
    print(
        f"tokenwheel: {path} is a JWK Set of the keys in {shown_path(arguments.file)}, readable by "
        f"you alone. Tokens must name them as it does ({kids}; --kid gives another name)\n"
        f"tokenwheel: next: let the service read it, by KeyFile, then `tokenwheel keys rotate "
        f"{path}`",
        file=sys.stderr,
    )
    return 0
