"""What is left around an access token by whoever took it out of a header, a file or a log.

Such a token is refused, and the error says which of these it was. Nothing is ever taken off here,
and no part of the token is repeated.
"""

from __future__ import annotations

import re

__all__ = ["wrapping_of"]

_SCHEME = re.compile(
    r"(?:authorization\s*:\s*)?bearer(?:(?:[\s:=+]|%20)+|(?=[\"'])|$)", re.IGNORECASE
)
_QUOTES = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb"
_BLANKS = "\ufeff\u200b"  # what str.strip leaves: a byte order mark, a space without width
_MOST_LAYERS = 4  # as in " 'Bearer "..."' "


def wrapping_of(token: str) -> str | None:
    """Return what to say of a token that came with something around it, or None for a bare one.

    A token that begins with ``e``, and ends with what is above ``,`` in ASCII, is bare.
    """
    around: dict[str, None] = {}
    rest = token
    for _ in range(_MOST_LAYERS):
        if (inner := rest.strip().strip(_BLANKS)) != rest:
            around["white space around it"] = None
            rest = inner
        if scheme := _SCHEME.match(rest):
            around["'Bearer' before it"] = None
            rest = rest[scheme.end() :]
        if rest[:1] in ("b", "B") and rest[1:2] in ("'", '"'):
            rest = rest[1:]  # the repr of bytes
        if (inner := rest.strip(_QUOTES)) != rest:
            around["quotes around it"] = None
            rest = inner
    if not around:
        return None
    return f"the access token came with {' and '.join(around)}: hand in the token alone"
