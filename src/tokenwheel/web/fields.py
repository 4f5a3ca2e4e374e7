"""The header fields of a request, as the gate asks for them: by name, one text each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..exact import text_of

__all__ = ["Headers", "field"]

Headers = Callable[[str], str | None]
"""Returns the value of a header field by its name in lower case, or None where it is absent.

``request.headers.get`` of Starlette, Flask, Django, Quart and Litestar are such.
"""


def field(headers: Headers, name: str) -> str | None:
    """Return the value of a header field, or None where the request has none.

    What a request says twice is returned as one text (RFC 9110, section 5.2; for cookies RFC 9113,
    section 8.2.3), so that it can't be read in two ways. Some frameworks' ``headers.get`` return
    only the first.
    """
    values: Any = getattr(getattr(headers, "__self__", None), "getlist", None)
    if values is None:
        return text_of(headers(name))
    separator = "; " if name == "cookie" else ", "
    texts = [text for text in map(text_of, values(name)) if text is not None]
    return separator.join(texts) if texts else None
