"""How the demo writes: colours and progress where the terminal has them, lines of 80 columns."""

from __future__ import annotations

import os
import sys
import textwrap

__all__ = ["WIDTH", "Terminal"]

WIDTH = 80

_CODES = {"bold": "1", "dim": "2", "green": "32", "cyan": "36"}


class Terminal:
    """Write to standard output.

    Colours are used on a terminal, unless ``NO_COLOR`` is set (no-color.org) or ``TERM`` is
    ``dumb``. ``FORCE_COLOR`` asks for them elsewhere, as in the log of a CI service.
    """

    def __init__(self) -> None:
        self.is_terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        # Older consoles of Windows would show the codes; its Terminal says that it is there.
        understands = os.name != "nt" or "WT_SESSION" in os.environ
        self._has_colours = not os.environ.get("NO_COLOR") and (
            bool(os.environ.get("FORCE_COLOR")) or (self.is_terminal and understands)
        )
        self.check_mark = "✓" if _can_be_written("✓") else "ok"

    def styled(self, text: str, style: str) -> str:
        """Return a text in a style: ``bold``, ``dim``, ``green`` or ``cyan``."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self._has_colours else text

    def say(self, text: str = "") -> None:
        """Write a line at once, in place of what :meth:`progress` has written."""
        self._forget_progress()
        print(text, flush=True)

    def step(self, text: str) -> None:
        """Write what has been done, with a check mark before it, in lines of 80 columns."""
        mark = self.check_mark
        first, *rest = textwrap.wrap(text, WIDTH - len(mark) - 3)
        self.say(f" {self.styled(mark, 'green')} {first}")
        for line in rest:
            self.say(f" {' ' * len(mark)} {line}")

    def progress(self, text: str) -> None:
        """Say what is being done, on a terminal alone, until the next line is written."""
        if self.is_terminal and self._has_colours:
            self._forget_progress()
            print(self.styled(text[:WIDTH], "dim"), end="", flush=True)

    def _forget_progress(self) -> None:
        if self.is_terminal and self._has_colours:
            print("\r\x1b[K", end="", flush=True)


def _can_be_written(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
