"""``tokenwheel keys``: keys made, listed, replaced and published by an operator.

What each command does is in a module of its own. No command prints anything of a private key or of
a shared secret. What a program may read goes to standard output, and what to do next to standard
error.
"""

from __future__ import annotations

import argparse

from .keys_list import add_list
from .keys_new import add_convert, add_new
from .keys_publish import add_publish
from .keys_remove import add_remove
from .keys_retire import add_retire
from .keys_rotate import add_rotate

__all__ = ["add_keys"]


def add_keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    keys = commands.add_parser(
        "keys", help="make, list, rotate, retire, remove and publish keys"
    ).add_subparsers(required=True, metavar="COMMAND")
    for add in (add_new, add_convert, add_list, add_rotate, add_retire, add_remove, add_publish):
        add(keys)
