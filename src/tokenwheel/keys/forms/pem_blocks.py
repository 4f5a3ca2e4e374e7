"""The blocks of a PEM text (RFC 7468): which there are, each by its label, written one way.

Whatever wrote the text, its blocks come out as ``cryptography`` reads them: lines of 64 letters and
nothing around them. What else may stand in the text, as ``Bag Attributes`` or comments, is passed
over. What is in a block, and which of them are keys, is for ``pem``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ...errors import ConfigurationError

__all__ = ["LONGEST_PEM", "PemBlock", "blocks_of", "decoded", "has_blocks"]

LONGEST_PEM = 2**20  # bytes: 1 MiB
_MOST_BLOCKS = 512  # a bundle of all authorities that browsers trust has some 150
_BOUNDARY = re.compile(rb"-----(BEGIN|END) ([A-Z0-9][A-Z0-9. ]{0,63})-----")
_CUT_BOUNDARY = re.compile(rb"-----(BEGIN|END)[A-Z0-9. ]{0,65}-{0,4}")
_BEGIN = re.compile(
    rb"(?:^|[\r\n])[ \t]{0,256}-----BEGIN [A-Z0-9. ]{1,64}-----[ \t\0]{0,256}(?:$|[\r\n])"
)
# Two files that were joined, of which the first has no line break at its end.
_JOINED = b"----------BEGIN "
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_HEADER = re.compile(rb"[A-Za-z0-9-]{1,64}:")  # RFC 1421, section 4.4
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16"),  # as the shell of Windows redirects
    (b"\xfe\xff", "utf-16"),
)
_BLANKS = b" \t\r\n\0\x0b\x0c"


@dataclass(frozen=True, slots=True, repr=False)
class PemBlock:
    """What stands between a line of BEGIN and one of END.

    Attributes:
        label: what stands in both of these lines, as ``PRIVATE KEY``.
        headers: the lines before the base64 that tell how it is encrypted.
        body: the base64, without blanks.
    """

    label: str
    headers: list[bytes] = field(default_factory=list)
    body: bytes = b""

    @property
    def is_encrypted(self) -> bool:
        return self.label == "ENCRYPTED PRIVATE KEY" or any(
            header.startswith(b"Proc-Type:") and b"ENCRYPTED" in header for header in self.headers
        )

    def text(self, label: str | None = None) -> bytes:
        """Return the block as a PEM text of its own.

        Args:
            label: the label to write; by default the block's own.

        Raises:
            ConfigurationError: what is in it is not base64.
        """
        if _BASE64.fullmatch(self.body) is None or len(self.body) % 4:
            raise ConfigurationError(
                "pem is damaged: what stands between -----BEGIN and -----END is not base64; hand "
                "over the file as it was"
            )
        name = (label or self.label).encode()
        lines = [self.body[start : start + 64] for start in range(0, len(self.body), 64)]
        headers = [*self.headers, b""] if self.headers else []
        return b"\n".join(
            [
                b"-----BEGIN " + name + b"-----",
                *headers,
                *lines,
                b"-----END " + name + b"-----",
                b"",
            ]
        )


def has_blocks(text: bytes) -> bool:
    """Return True where a line of BEGIN stands in a text as it should."""
    return _BEGIN.search(decoded(text)) is not None


def decoded(text: bytes) -> bytes:
    """Return a text without its byte order mark, in UTF-8."""
    for mark, encoding in _MARKS:
        if text.startswith(mark):
            return text.decode(encoding, "replace").encode().removeprefix(_MARKS[0][0])
    return text


def blocks_of(text: bytes) -> list[PemBlock]:
    """Return the blocks of a PEM text, in their order. A text without any has none.

    Args:
        text: the text. A byte order mark, indentation and every kind of line break are understood.

    Raises:
        ConfigurationError: a block is cut off, a line of BEGIN or END has other text in it, or
            there are too many.
    """
    blocks: list[PemBlock] = []
    label: bytes | None = None
    lines: list[bytes] = []
    joined = decoded(text).replace(_JOINED, b"-----\n-----BEGIN ")
    for raw_line in joined.splitlines():
        line = raw_line.strip(_BLANKS)
        boundary = _BOUNDARY.fullmatch(line)
        if boundary is None:
            if _CUT_BOUNDARY.fullmatch(line):
                raise ConfigurationError(_CUT_OFF)
            if b"-----BEGIN" in line or b"-----END" in line:
                raise ConfigurationError(
                    "pem has a line of -----BEGIN or -----END with other text in it: each must "
                    "stand on a line of its own"
                )
            if label is not None:
                lines.append(line)
        elif boundary[1] == b"BEGIN":
            if label is not None:
                raise ConfigurationError(_CUT_OFF)
            label, lines = boundary[2], []
        elif label is None:
            raise ConfigurationError(
                "pem is cut off: it has a line of -----END and none of -----BEGIN before it; hand "
                "over the whole text"
            )
        elif boundary[2] != label:
            raise ConfigurationError(_CUT_OFF)
        else:
            blocks.append(_block(label, lines))
            label = None
    if label is not None:
        raise ConfigurationError(_CUT_OFF)
    if len(blocks) > _MOST_BLOCKS:
        raise ConfigurationError(f"pem has more than {_MOST_BLOCKS} blocks: hand over one key")
    return blocks


_CUT_OFF = (
    "pem is cut off: it has a line of -----BEGIN and none of -----END that belongs to it; hand "
    "over the whole text"
)


def _block(label: bytes, lines: list[bytes]) -> PemBlock:
    """Return the block that these lines are."""
    headers: list[bytes] = []
    while lines and _HEADER.match(lines[0]):
        headers.append(lines.pop(0))
    return PemBlock(label.decode(), headers, b"".join(b"".join(lines).split()))
