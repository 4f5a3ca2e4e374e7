"""The command line: ``tokenwheel`` and its commands. Without a command it prints its help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from .. import __version__, demo
from ..errors import TokenwheelError
from ..hidden import clears_locals
from ..session.operator_text import hide_dash
from .doctor import add_doctor
from .inspect import add_inspect
from .keys import add_keys
from .parser import Parser, has_token
from .sessions import add_sessions
from .text import DOCUMENTATION, refuse

__all__ = ["main"]


@clears_locals
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Return its exit status.

    It is 0 where all is done, 1 for what was refused or is not good, 2 for what was not understood,
    and 130 where somebody interrupted it.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if has_token(words):
        return refuse(
            "a token is no argument, since every user of this machine can see those: "
            "`tokenwheel inspect` reads it from standard input"
        )
    parser = _parser()
    if not words:
        parser.print_help()
        return 0
    parsed = parser.parse_args([hide_dash(word) for word in words])
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except KeyboardInterrupt:
        print("tokenwheel: interrupted", file=sys.stderr)
        return 130  # as shells have it: 128, and the number of the signal
    except TokenwheelError as error:
        print(f"tokenwheel: {error}", file=sys.stderr)
    except OSError as error:  # Whose text holds the name of a file, as it was given.
        reason = error.strerror or type(error).__name__
        print(f"tokenwheel: a file could not be used: {reason}", file=sys.stderr)
    except ValueError as error:  # Whose text may hold whatever was given.
        print(
            f"tokenwheel: an argument could not be used ({type(error).__name__})", file=sys.stderr
        )
    return 1


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = Parser(
        prog="tokenwheel",
        description="JWT user sessions for high-throughput Python API servers.",
        epilog=f"`tokenwheel COMMAND --help` explains a command. Documentation: {DOCUMENTATION}",
    )
    parser.add_argument("--version", action="version", version=f"tokenwheel {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser(
        "demo",
        help="open, verify, refresh, steal and end sessions, and see what happens "
        "and how long it takes",
    )
    show.set_defaults(command=_demo)
    add_keys(commands)
    add_inspect(commands)
    add_sessions(commands)
    add_doctor(commands)
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    return demo.run()
