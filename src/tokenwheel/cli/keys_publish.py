"""``tokenwheel keys publish``: the public keys of a file as a JWK Set, for whoever verifies."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import ConfigurationError
from ..keys import ALGORITHMS
from ..keys.file.file_text import read_key_text
from ..keys.forms.jwks import KeyList, write_jwks
from .key_documents import read_keys
from .private_files import locked_file, read_file, write_public
from .text import as_json, shown_path

__all__ = ["add_publish"]


def add_publish(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    publish = keys.add_parser(
        "publish", help="print the public keys of a file as a JWK Set, or write them to another"
    )
    publish.add_argument("file", metavar="FILE", type=Path, help="a JWK Set, a JWK or PEM")
    publish.add_argument(
        "--algorithm", choices=sorted(ALGORITHMS), help="of the key, where its file does not say"
    )
    publish.add_argument(
        "--out",
        type=Path,
        help="a file for it, of mode 0644, which replaces an older set that is there",
    )
    publish.set_defaults(command=_publish)


def _publish(arguments: argparse.Namespace) -> int:
    if arguments.out is None:
        keys = read_keys(read_file(arguments.file), arguments.algorithm)
        print(_public_text(keys))
        return 0
    # The lock keeps another command from putting its newer set there first.
    with locked_file(arguments.file) as file:
        keys = read_keys(file.content, arguments.algorithm)
        text = _public_text(keys)
        _check_target(arguments.out, keys, file.path)
        write_public(arguments.out, text.encode() + b"\n")
    print(
        f"tokenwheel: the public keys are in {shown_path(arguments.out)}, for everybody to read: "
        "serve it as application/jwk-set+json, and publish again after each rotate and retire",
        file=sys.stderr,
    )
    return 0


def _public_text(keys: KeyList) -> str:
    published = write_jwks(keys)
    if not published["keys"]:
        raise ConfigurationError(
            "the key file has shared secrets alone, which must not be published: whoever can "
            "verify by them can sign. Services that only verify need a key pair, as of `tokenwheel "
            "keys new --algorithm ES256`"
        )
    return as_json(published)


def _check_target(path: Path, keys: KeyList, source: Path) -> None:
    """Check that nothing is lost where the public keys are to be written.

    Raises:
        ConfigurationError: there is the key file itself, a private key, something that is no key,
            or a newer set.
    """
    if not os.path.lexists(path):
        return
    if path.exists() and path.samefile(source):
        raise ConfigurationError("--out names the key file itself: give another name")
    there: KeyList | None = None
    is_empty = False
    if path.is_file():
        content = read_file(path)
        is_empty = not content.strip()
        with suppress(ConfigurationError):
            there = read_key_text(content)
    if is_empty:
        return
    if there is None or any(listed.key.can_sign for listed in there.keys):
        raise ConfigurationError(
            "--out names something that holds no public keys, and would be lost: give a new name, "
            "or that of the set published before"
        )
    if (there.updated_at or 0) > (keys.updated_at or 0):
        raise ConfigurationError(
            "--out holds a newer set than the key file makes: the key file is an old copy"
        )
