"""Make a screenshot smaller: the same picture with a palette of 256 colors (PNG, RFC 2083).

A page of plain areas and text has few colors, and the edges of letters many that nearly are the
same. What is not among the most frequent ones becomes the nearest of them.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

__all__ = ["with_palette"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2
_INDEXED = 3
_BYTES = 3  # a pixel: red, green and blue


def with_palette(png: bytes) -> bytes:
    """Return a picture of 8-bit RGB, as browsers take them, with a palette.

    Raises:
        ValueError: it is no such picture.
    """
    chunks = list(_chunks(png))
    width, height, depth, kind = struct.unpack(">IIBB", chunks[0][1][:10])
    if (depth, kind) != (8, _RGB):
        raise ValueError("the picture must be of 8-bit RGB")
    raw = zlib.decompress(b"".join(content for name, content in chunks if name == b"IDAT"))
    rows = [
        [row[at : at + _BYTES] for at in range(0, len(row), _BYTES)] for row in _rows(raw, width)
    ]
    counts = Counter(color for row in rows for color in row)
    palette = [color for color, _ in counts.most_common(256)]
    index = {color: _nearest(color, palette) for color in counts}
    pixels = b"".join(b"\0" + bytes(index[color] for color in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, _INDEXED, 0, 0, 0)
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in (
            (b"IHDR", header),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(pixels, 9)),
            (b"IEND", b""),
        )
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the content of each chunk."""
    position = len(_SIGNATURE)
    while position < len(png):
        (length,) = struct.unpack_from(">I", png, position)
        yield png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        position += 12 + length


def _rows(raw: bytes, width: int) -> Iterator[bytes]:
    """Yield the rows of pixels, each with its filter undone (RFC 2083, section 6)."""
    length = width * _BYTES
    above = bytes(length)
    for start in range(0, len(raw), length + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + length])
        for at in range(length):
            left = row[at - _BYTES] if at >= _BYTES else 0
            corner = above[at - _BYTES] if at >= _BYTES else 0
            row[at] = (row[at] + _predicted(kind, left, above[at], corner)) & 0xFF
        above = bytes(row)
        yield above


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind < 4:
        return (0, left, up, (left + up) // 2)[kind]
    estimate = left + up - corner
    return min(left, up, corner, key=lambda value: abs(estimate - value))


def _nearest(color: bytes, palette: list[bytes]) -> int:
    return min(
        range(len(palette)),
        key=lambda index: sum((a - b) ** 2 for a, b in zip(color, palette[index], strict=True)),
    )
