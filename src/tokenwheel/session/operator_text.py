"""What an operator's commands read, and what they print, for people or for a program (JSON).

Whatever a client has said of itself is printed in characters that a terminal only prints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from ..models import Session
from ..terminal_text import as_json as json_of
from ..terminal_text import as_table, in_words

__all__ = ["counts_in_words", "end_in_words", "hide_dash", "sessions_in_words"]

_NAMES = ("SESSION", "LOGGED IN", "LAST REFRESH", "ENDS", "IP", "DEVICE", "LOCATION")


def hide_dash(argument: str) -> str:
    """Put a space before a session id that begins with a dash, so that it is taken for no option.

    A refresh token gets one as well, should it be given by mistake: an option that is not known
    would be printed.
    """
    return f" {argument}" if re.fullmatch(r"-[A-Za-z0-9_-]{15,}", argument) else argument


def sessions_in_words(sessions: Sequence[Session], *, as_json: bool) -> str:
    """Return the sessions of a subject as a table, or as JSON."""
    if as_json:
        return json_of([asdict(session) for session in sessions])
    if not sessions:
        return "the subject has no session"
    return "\n".join(as_table([_NAMES, *map(_row, sessions)]))


def end_in_words(ended: int, none: str, *, as_json: bool) -> str:
    """Return how many sessions were ended; ``none`` where there was none, and JSON isn't asked."""
    if as_json:
        return json_of({"ended": ended})
    if not ended:
        return none
    return f"sessions ended: {ended}; every worker refuses their tokens from now on"


def counts_in_words(counts: Mapping[str, int], *, as_json: bool) -> str:
    """Return numbers by what was counted, a line each, or as JSON."""
    if as_json:
        return json_of(dict(counts))
    return "\n".join(f"{name}: {number:,}" for name, number in counts.items())


def _row(session: Session) -> Sequence[str]:
    device = session.device
    named = None if device is None else f"{device.name} ({device.type})"
    dates = (session.created_at, session.last_used_at, session.expires_at)
    texts = (session.ip, named, session.location)
    return [
        session.id,
        *map(in_words, dates),
        *("" if text is None else json_of(text)[1:-1] for text in texts),
    ]
