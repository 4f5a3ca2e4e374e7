"""``tokenwheel demo``: the life of a session before your eyes, each step checked and timed.

Everything runs in this process's memory, on keys made for the occasion. The timings of compiled and
pure code stand side by side. No token and no secret is printed.
"""

from __future__ import annotations

import sys

from .. import __version__
from .._impl import implementation
from ..errors import TokenwheelError
from .story import BrokenPromise, tell
from .terminal import Terminal
from .timings import measure_both, table

__all__ = ["run"]

_NAMES = {"native": "compiled", "pure": "pure-Python"}

_NEXT = (
    ("a tutorial", "https://tokenwheel.github.io/tokenwheel/tutorial.html"),
    ("a key of your own", "tokenwheel keys new --algorithm ES256 --out keys.json"),
    ("what is installed", "tokenwheel doctor"),
    ("all commands", "tokenwheel --help"),
)


def run() -> int:
    """Tell the story, then show the timings. Return 0 if everything behaved as promised, else 1."""
    terminal = Terminal()
    terminal.say(
        f"{terminal.styled(f'tokenwheel {__version__}', 'bold')}, {_NAMES[implementation]} "
        f"implementation, Python {sys.version.split()[0]}\n"
    )
    try:
        for what_happened in tell():
            terminal.step(what_happened)
    except (BrokenPromise, TokenwheelError) as broken:
        terminal.say()
        print(f"NOT AS PROMISED: {broken}", file=sys.stderr)
        return 1
    terminal.say(f"\n{terminal.styled('Everything behaved as promised.', 'green')}\n")
    native, pure = measure_both(terminal.progress)
    terminal.say(
        f"{terminal.styled('How long each step takes', 'bold')}, in microseconds "
        "(the middle of 200 times)\n"
    )
    for line in table(native, pure):
        terminal.say(line)
    if native is None:
        terminal.say(
            "\n  This installation has no compiled extension; `tokenwheel doctor` says why."
        )
    terminal.say(f"\n{terminal.styled('What to do next', 'bold')}\n")
    for what, how in _NEXT:
        terminal.say(f"  {what:<20}{terminal.styled(how, 'cyan')}")
    return 0
