"""``tokenwheel keys remove``: a key leaves a file at once, since it leaked or was a mistake."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..keys.file.file_changes import without_key
from .key_documents import KeyDocument
from .keys_written import add_mode, write_keys
from .private_files import locked_file
from .text import shown_kid, shown_path

__all__ = ["add_remove"]


def add_remove(keys: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    remove = keys.add_parser(
        "remove",
        help="remove a key from a file at once: one that leaked, or that is not to sign after all",
    )
    remove.add_argument("file", metavar="FILE", type=Path, help="a JWK Set, or a JWK")
    remove.add_argument(
        "--kid",
        required=True,
        help="that of the key, as `keys list` shows it; '' where it has none",
    )
    remove.add_argument(
        "--force", action="store_true", help="though tokens that it signed may be alive"
    )
    add_mode(remove)
    remove.set_defaults(command=_remove)


def _remove(arguments: argparse.Namespace) -> int:
    # A kid that begins with a dash comes with a space before it.
    kid = arguments.kid.removeprefix(" ") or None
    with locked_file(arguments.file) as file:
        document = KeyDocument(file.content)
        remaining = without_key(document.keys, kid, time.time(), force=arguments.force)
        write_keys(arguments.file, file, document.edited(remaining), arguments.mode)
    path = shown_path(arguments.file)
    print(
        f"tokenwheel: {shown_kid(kid)} is removed. Processes that follow {path} refuse what it "
        "signed within a second, and resource servers once they refresh: restart those that must "
        "not wait",
        file=sys.stderr,
    )
    return 0
