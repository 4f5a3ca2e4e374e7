"""The command line: ``tokenwheel`` with ``demo``, ``keys``, ``inspect`` and ``sessions``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from .. import __version__, demo
from ..errors import TokenwheelError
from .inspect import add_inspect
from .keys import add_keys
from .sessions import add_sessions, hide_dash

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Return its exit status: 0 done, 1 refused or not good, 2 not understood."""
    words = sys.argv[1:] if arguments is None else arguments
    parsed = _parser().parse_args([hide_dash(word) for word in words])
    command: Callable[[argparse.Namespace], int] = parsed.command
    try:
        return command(parsed)
    except (TokenwheelError, OSError) as error:
        print(f"tokenwheel: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tokenwheel", description="JWT user sessions for high-throughput Python API servers."
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
    return parser


def _demo(arguments: argparse.Namespace) -> int:
    return demo.run()
