"""A parser of command lines that repeats nothing of what it was given.

A token may be anywhere in a command that is mistyped, and what a command prints ends in logs and
bug reports. argparse quotes what it doesn't understand.
"""

from __future__ import annotations

import argparse
import re
from base64 import urlsafe_b64decode
from typing import NoReturn

__all__ = ["Parser", "has_token"]

_NAME = r"argument [A-Za-z/|, -]+"
# What argparse says without a word of the command line.
_HARMLESS = re.compile(
    rf"(?:{_NAME}: (?:expected (?:one|at least one|at most one|\d+) arguments?"
    rf"|not allowed with {_NAME})"
    r"|the following arguments are required: [A-Za-z/|, -]+"
    r"|one of the arguments [A-Za-z -]+ is required)"
)
_CHOICE = re.compile(rf"({_NAME}): invalid choice: ")
_EXPLICIT = re.compile(rf"({_NAME}): ignored explicit argument ")
_MAY_BE_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{9,}")  # base64url of {" and more
_JSON_OBJECT = re.compile(rb'\{"[A-Za-z0-9_]+":')


class Parser(argparse.ArgumentParser):
    """Parse a command line. Its errors name options, and never what was given for them."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and how the command is used, and exit with status 2."""
        if _HARMLESS.fullmatch(message):
            said = message
        elif choice := _CHOICE.match(message):
            said = f"{choice[1]}: it is none of the choices that --help shows"
        elif explicit := _EXPLICIT.match(message):
            said = f"{explicit[1]}: it takes no value"
        else:
            said = "there is an argument that this command doesn't have; --help shows those it has"
        super().error(said)


def has_token(words: list[str]) -> bool:
    """Return True where a JWT, its header or its claims are in a command line."""
    return any(
        _JSON_OBJECT.match(urlsafe_b64decode(part[: len(part) // 4 * 4]))
        for word in words
        for part in _MAY_BE_TOKEN.findall(word)
    )
