"""Whether octets are a key of another kind than a shared secret, public or private.

A service that took its own public key for a shared secret would accept what anybody signs with that
public key (algorithm confusion, CVE-2022-29217). A private key as a shared secret is a mistake,
too: whoever verifies with it could sign. Here the octets are looked at in one spelling;
``readings`` has the others.

What can't be told from random bytes is not found: an Ed25519 key of 32 bytes without a word about
what it is, and a point in its compressed form.

Sources: X.690 (DER); RFC 5280, section 4.1, and RFC 8410 (public keys in it); RFC 4253, section 6.6
(SSH); SEC 1, section 2.3 (points); RFC 9052, section 7 (COSE).
"""

from __future__ import annotations

import re

__all__ = ["is_other_key"]

_MARK = re.compile(
    rb"-----? ?(?:BEGIN|END) "
    rb"|\b(?:BEGIN|END) [A-Z0-9 ]*(?:KEY|CERTIFICATE)"
    rb"|PuTTY-User-Key-File"
    rb"|openssh-key-v1"
    rb"|<(?:\w+:)?\w*KeyValue>"  # XML-DSig and .NET
    rb"|(?:kty|keys)\\*[\"']\s*:",  # JWK, alone or among others
    re.IGNORECASE,
)
_SSH_NAMES = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-", b"rsa-sha2-")
_OBJECT_IDENTIFIERS = (
    bytes.fromhex("06092a864886f70d0101"),  # rsaEncryption, RSASSA-PSS and their siblings
    bytes.fromhex("06072a8648ce3d0201"),  # ecPublicKey
    bytes.fromhex("300506032b6570"),  # Ed25519
    bytes.fromhex("300506032b6571"),  # Ed448
)
# An RSA key without an identifier, as PKCS #1 has it, or as much of one as a line of a file holds.
_HEAD_OF_RSA = re.compile(rb"\x30\x82..(?:\x02\x01\x00)?\x02\x82", re.DOTALL)
_SHORTEST_DER = 40  # bytes: those of an Ed25519 key are 44
_DEEPEST_DER = 12
# By the length of x and y: the prime, a and b of y² = x³ + ax + b (SEC 2, sections 2.4 to 2.6).
_P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P384 = 2**384 - 2**128 - 2**96 + 2**32 - 1
_P521 = 2**521 - 1
_CURVES = {
    64: (
        (_P256, -3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B),
        (2**256 - 2**32 - 977, 0, 7),
    ),
    96: (
        (
            _P384,
            -3,
            0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        ),
    ),
    132: (
        (
            _P521,
            -3,
            0x0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00,
        ),
    ),
}
_NEGATIVE, _OCTETS, _TEXT, _ARRAY, _MAP = 1, 2, 3, 4, 5  # kinds of values in CBOR (RFC 8949, 3.1)


def is_other_key(octets: bytes) -> bool:
    """Return True where the octets are a public or private key, a certificate, or a part of one."""
    return (
        _MARK.search(octets) is not None
        or _is_ssh(octets)
        or any(identifier in octets for identifier in _OBJECT_IDENTIFIERS)
        or _HEAD_OF_RSA.match(octets) is not None
        or _is_der(octets)
        or _is_point(octets)
        or _is_cose(octets)
    )


def _is_ssh(octets: bytes) -> bool:
    """Return True for the line of a key file, or the octets that are in it as base64."""
    return octets.lstrip().startswith(_SSH_NAMES) or (
        octets[:3] == b"\0\0\0" and octets[4:].startswith(_SSH_NAMES)
    )


def _is_der(octets: bytes) -> bool:
    """Return True for a SEQUENCE of a number or a SEQUENCE, and more, that ends where it says.

    So are all keys and certificates in DER. Random bytes are no such thing: each length in it would
    have to fit.
    """
    if len(octets) < _SHORTEST_DER or octets[0] != 0x30:
        return False
    try:
        content, end = _content_of_der(octets, 0)
        if octets[content] not in (0x02, 0x30) or octets[end:].strip(b"\0\r\n\t ") != b"":
            return False
        _check_der(octets, content, end, 1)
    except (IndexError, ValueError):
        return False
    return True


def _check_der(octets: bytes, start: int, end: int, depth: int) -> None:
    """Raise ValueError unless whole values fill the place between start and end."""
    while start < end:
        content, after = _content_of_der(octets, start)
        if after > end or depth > _DEEPEST_DER:
            raise ValueError("a value ends outside the one that it is in")
        if octets[start] & 0x20:  # made of others
            _check_der(octets, content, after, depth + 1)
        start = after


def _content_of_der(octets: bytes, start: int) -> tuple[int, int]:
    """Return where the content of the value at ``start`` begins, and where it ends."""
    length = octets[start + 1]
    content = start + 2
    if length >= 0x80:
        digits = length & 0x7F
        if not 1 <= digits <= 4:
            raise ValueError("a length of more digits than any key has")
        length = int.from_bytes(octets[content : content + digits], "big")
        content += digits
    if content + length > len(octets):
        raise ValueError("a value is cut off")
    return content, content + length


def _is_point(octets: bytes) -> bool:
    """Return True for both coordinates of a point on a curve, with or without the 4 before them."""
    coordinates = octets[1:] if len(octets) % 2 and octets[0] == 4 else octets
    half = len(coordinates) // 2
    x, y = int.from_bytes(coordinates[:half], "big"), int.from_bytes(coordinates[half:], "big")
    return any(
        x < prime and y < prime and (y * y - x * x * x - a * x - b) % prime == 0
        for prime, a, b in _CURVES.get(len(coordinates), ())
    )


def _is_cose(octets: bytes) -> bool:
    """Return True for a COSE_Key in CBOR, or an array of some, and nothing behind it."""
    try:
        kind, count, position = _head_of_cbor(octets, 0)
        if kind != _ARRAY:
            count, position = 1, 0
        for _ in range(count):
            position = _end_of_cose_key(octets, position)
    except (IndexError, ValueError):
        return False
    return octets[position:].strip(b"\0\r\n\t ") == b""


def _end_of_cose_key(octets: bytes, position: int) -> int:
    """Return where the COSE_Key at ``position`` ends. Raise ValueError where there is none.

    It is a map of numbers, of which 1 is the kind of the key, and -1 the curve, modulus or secret.
    """
    kind, count, position = _head_of_cbor(octets, position)
    if kind != _MAP:
        raise ValueError("no map")
    labels = set()
    for _ in range(count):
        kind, number, position = _head_of_cbor(octets, position)
        if kind > _NEGATIVE:
            raise ValueError("a label that is no number")
        label = -1 - number if kind == _NEGATIVE else number
        if label == 1 and not 1 <= octets[position] <= 6:
            raise ValueError("a kind of key that there isn't")
        labels.add(label)
        position = _end_of_cbor(octets, position)
    if not {1, -1} <= labels:
        raise ValueError("a map of something else")
    return position


def _end_of_cbor(octets: bytes, position: int) -> int:
    """Return where the number, octets, text, boolean or array of these ends."""
    kind, number, position = _head_of_cbor(octets, position)
    if kind in (_OCTETS, _TEXT):
        position += number
    elif kind == _ARRAY:
        for _ in range(number):
            _, _, position = _head_of_cbor(octets, position)  # of operations, each a number
    elif kind == _MAP:
        raise ValueError("a map within a key")
    if position > len(octets):
        raise ValueError("a value is cut off")
    return position


def _head_of_cbor(octets: bytes, position: int) -> tuple[int, int, int]:
    """Return the kind of the value at ``position``, its number or length, and what follows."""
    kind, number = octets[position] >> 5, octets[position] & 0x1F
    position += 1
    if number >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}.get(number, 0)
        if not size:
            raise ValueError("a length that isn't said")
        number = int.from_bytes(octets[position : position + size], "big")
        position += size
    return kind, number, position
