"""Lines of Markdown, at most ``COLUMNS`` wide where it is prose. Tables may be wider."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

COLUMNS = 100
LITERAL = ("#", "|", "!", "<")
"""What a heading, a row of a table, an image and a piece of HTML begin with."""


def wrap(page: str) -> str:
    """Return a page of Markdown with its paragraphs and the items of its lists wrapped."""
    return "\n".join(line for block in blocks(page.split("\n")) for line in wrap_block(block))


def blocks(lines: list[str]) -> Iterator[str]:
    """Yield each paragraph and each item of a list as one line, and any other line by itself."""
    paragraph: list[str] = []
    for line in lines:
        is_prose = bool(line) and not line.startswith(LITERAL)
        if paragraph and (not is_prose or line.startswith("- ")):
            yield " ".join(paragraph)
            paragraph = []
        if is_prose:
            paragraph.append(line.strip())
        else:
            yield line
    if paragraph:
        yield " ".join(paragraph)


def wrap_block(block: str) -> list[str]:
    """Return a paragraph or an item of a list in lines. Spaces within backticks break none."""
    if not block or block.startswith(LITERAL):
        return [block]
    kept_together = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), block)
    lines = textwrap.wrap(
        kept_together,
        COLUMNS,
        subsequent_indent="  " if block.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]
