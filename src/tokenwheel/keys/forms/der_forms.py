"""What octets in DER are: told by how they begin, for a message about them. No key is read here.

Sources: X.690 (DER); RFC 5208 and RFC 5958 (PKCS #8); RFC 8017, appendix A.1 (PKCS #1); RFC 5915
(SEC 1); RFC 5280, section 4.1 (certificates, SubjectPublicKeyInfo); RFC 2986 (PKCS #10); RFC 7292
(PKCS #12); RFC 2315 (PKCS #7).
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["DerForm", "der_form_of"]


class DerForm(NamedTuple):
    """What octets in DER are."""

    name: str
    """How a message calls it, with its article."""
    label: str | None
    """What stands in the lines of BEGIN and END where it is in PEM form, if that can be read."""
    command: str
    """What writes it as PEM."""


_PRIVATE_KEY: Final = DerForm(
    "a private key in DER", "PRIVATE KEY", "openssl pkey -inform DER -in FILE"
)
_RSA_PRIVATE_KEY: Final = _PRIVATE_KEY._replace(label="RSA PRIVATE KEY")
_EC_PRIVATE_KEY: Final = _PRIVATE_KEY._replace(label="EC PRIVATE KEY")
_ENCRYPTED_KEY: Final = DerForm(
    "an encrypted private key in DER",
    "ENCRYPTED PRIVATE KEY",
    "openssl pkcs8 -inform DER -in FILE",
)
_PUBLIC_KEY: Final = DerForm(
    "a public key in DER", "PUBLIC KEY", "openssl pkey -pubin -inform DER -in FILE"
)
_RSA_PUBLIC_KEY: Final = DerForm(
    "a public key in DER",
    "RSA PUBLIC KEY",
    "openssl rsa -RSAPublicKey_in -pubout -inform DER -in FILE",
)
_CERTIFICATE: Final = DerForm(
    "a certificate in DER", "CERTIFICATE", "openssl x509 -inform DER -in FILE"
)
_REQUEST: Final = DerForm(
    "a certificate request in DER", None, "openssl req -inform DER -noout -pubkey -in FILE"
)
_PKCS_7: Final = DerForm("a PKCS #7 file", None, "openssl pkcs7 -inform DER -print_certs -in FILE")
_PKCS_12: Final = DerForm("a PKCS #12 file", None, "openssl pkcs12 -nodes -nocerts -in FILE")

_INTEGER, _BITS, _OCTETS, _OBJECT, _SEQUENCE, _TAGGED = 0x02, 0x03, 0x04, 0x06, 0x30, 0xA0
_MOST_VALUES = 8  # of one SEQUENCE that are looked at


class _Value(NamedTuple):
    tag: int
    start: int
    end: int


def der_form_of(octets: bytes) -> DerForm | None:
    """Return what octets are, or None where they are no key, certificate or the like in DER."""
    whole = _values_in(octets, 0, len(octets))
    if not whole or whole[0].tag != _SEQUENCE:
        return None
    parts = _values_in(octets, whole[0].start, whole[0].end)
    tags = [part.tag for part in parts]
    if tags[:1] == [_OBJECT]:
        return _PKCS_7
    if tags[:1] == [_INTEGER]:
        return _form_of_numbered(octets, parts)
    if tags[:2] == [_SEQUENCE, _OCTETS]:
        return _ENCRYPTED_KEY
    if tags[:2] == [_SEQUENCE, _BITS]:
        return _PUBLIC_KEY
    if tags[:2] == [_SEQUENCE, _SEQUENCE] or (tags == [_SEQUENCE] and len(octets) > 256):
        return _form_of_signed(octets, parts[0])
    return None


def _form_of_numbered(octets: bytes, parts: list[_Value]) -> DerForm | None:
    """Return what begins with a number: that of its version, or the modulus of an RSA key."""
    tags = [part.tag for part in parts]
    first = parts[0]
    number = int.from_bytes(octets[first.start : min(first.end, first.start + 9)], "big")
    if number == 3 and _SEQUENCE in tags[1:2]:
        return _PKCS_12
    if number in (0, 1) and tags[1:2] == [_SEQUENCE]:
        return _PRIVATE_KEY
    if number == 1 and tags[1:2] == [_OCTETS]:
        return _EC_PRIVATE_KEY
    if number == 0 and tags[1:2] == [_INTEGER]:
        return _RSA_PRIVATE_KEY
    return _RSA_PUBLIC_KEY if tags == [_INTEGER, _INTEGER] and number > 1 else None


def _form_of_signed(octets: bytes, signed: _Value) -> DerForm | None:
    """Return what somebody signed: a certificate, or a request for one."""
    parts = _values_in(octets, signed.start, signed.end)
    tags = [part.tag for part in parts]
    if tags[:2] == [_TAGGED, _INTEGER] or tags[:3] == [_INTEGER, _SEQUENCE, _SEQUENCE]:
        # A request has its version, the name and the key, and then attributes.
        return _REQUEST if tags[3:4] == [_TAGGED] else _CERTIFICATE
    return None


def _values_in(octets: bytes, start: int, end: int) -> list[_Value]:
    """Return the values that begin between two places. What is cut off ends where the octets do."""
    values: list[_Value] = []
    while start + 2 <= end and len(values) < _MOST_VALUES:
        length, content = octets[start + 1], start + 2
        if length >= 0x80:
            digits = length & 0x7F
            length = int.from_bytes(octets[content : content + digits], "big")
            content += digits
            if not 1 <= digits <= 4:
                break
        values.append(_Value(octets[start], content, min(content + length, end)))
        start = content + length
    return values
