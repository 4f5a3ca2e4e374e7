"""What was handed in instead of a key's text, and the call that would be right for it.

Nothing here is a check of keys: what is looked at has been refused already, or is about to be. A
message holds nothing of what it is about. Whatever comes in is looked at once, in its first bytes
alone, by patterns whose time grows no faster than that. What a JSON Web Key lacks is in
``jwk_mistakes``, and the forms that are told apart in ``text_forms``.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode

from ...exact import is_instance, named
from .der_forms import der_form_of
from .pem_blocks import decoded
from .text_forms import (
    FROM_OPENSSH,
    INSTEAD_OF_JSON,
    INSTEAD_OF_PEM,
    INSTEAD_OF_SECRET,
    IS_PATH,
    OF_LABELS,
    PLACES,
    PUBLIC_OF_OPENSSH,
    UNSET,
)

__all__ = ["mistake_in", "mistake_in_secret", "mistake_of_label", "no_json_object", "not_a_text"]

_LOOK = 2**16  # bytes: 64 KiB


_LIST = 'is a list: Key.from_jwk takes one of its keys, and KeySet.from_jwks {"keys": list}'


def not_a_text(name: str, value: object, forms: str = "str or bytes") -> str:
    """Return what is wrong with a value that is no text, as a whole sentence.

    Args:
        name: what the caller calls it.
        value: what was handed in.
        forms: what it may be.
    """
    if value is None:
        return f"{name} is None: {UNSET}"
    kind = type(value)
    if _has(kind, "__fspath__"):
        return f"{name} {IS_PATH} path.read_bytes()"
    if _has(kind, "read") and _has(kind, "close"):
        return f"{name} is an open file: hand over what its read() returns"
    if is_instance(value, bytearray) or is_instance(value, memoryview):
        return f"{name} must be {forms}, not {named(value)}: hand over bytes(value)"
    if is_instance(value, list) or is_instance(value, tuple):
        if "JSON" in forms:
            return f"{name} {_LIST}"
        if "KeySet" in forms:
            return f"{name} must be {forms}, not {named(value)}: KeySet(*keys) takes several Key"
    if is_instance(value, dict) and "bytes" in forms and "mapping" not in forms:
        return f"{name} must be {forms}, not {named(value)}: Key.from_jwk takes a JSON Web Key"
    return f"{name} must be {forms}, not {named(value)}"


def _has(kind: type, attribute: str) -> bool:
    """Return True where a class has an attribute, without running any code of its own."""
    return any(attribute in _members_of(base) for base in _bases_of(kind))


_bases_of = type.__dict__["__mro__"].__get__
_members_of = type.__dict__["__dict__"].__get__


def mistake_of_label(label: str) -> str:
    """Return what a block of PEM is that is no key, by its label, as the end of a message."""
    return _said_of_label(label) or (
        "has a block of another kind than PRIVATE KEY, PUBLIC KEY and CERTIFICATE: hand over the "
        "blocks of these alone"
    )


def _said_of_label(label: str) -> str | None:
    return next((said for part, said in OF_LABELS if part in label), None)


def mistake_in(text: bytes, wanted: str) -> str | None:
    """Return what a text is that is not what was wanted, as the end of a message; None if unknown.

    Args:
        text: what was handed in, in UTF-8.
        wanted: "PEM" or "JSON".
    """
    look = decoded(text[:_LOOK]).strip()
    forms = INSTEAD_OF_PEM if wanted == "PEM" else INSTEAD_OF_JSON
    said = next((form.says for form in forms if form.looks(look)), None)
    label = _LABEL.search(look)
    if label is not None and wanted == "JSON":
        said = _said_of_label(label[1].decode()) or said
    said = said or _mistake_in_octets(text[:_LOOK], wanted) or _mistake_in_base64(look, wanted)
    return said or next((form.says for form in PLACES if form.looks(look)), None)


_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9. ]{1,64})-----")


def _mistake_in_octets(octets: bytes, wanted: str) -> str | None:
    """Return what is wrong with a key in DER or in another form of octets, if it is any."""
    form = der_form_of(octets)
    if form is None:
        return None
    takes = "" if wanted == "PEM" else ", which Key.from_pem takes"
    return f"is {form.name}: `{form.command}` writes it as PEM{takes}"


def _mistake_in_base64(text: bytes, wanted: str) -> str | None:
    """Return what is wrong with the base64 of a key, or with a part of a PEM text, if it is any."""
    digits = b"".join(text.split()).strip(b"\"'`").rstrip(b"=")
    if not _DIGITS.fullmatch(digits):
        return None
    octets = b64decode(digits[: len(digits) // 4 * 4], b"-_" if _FOR_URLS.search(digits) else None)
    if octets.startswith(_BASE64_OF_BEGIN):
        return "is a PEM text that is in base64 twice: hand over b64decode(b64decode(text))"
    if octets.lstrip().startswith(b"-----BEGIN "):
        return "is the base64 of a PEM text: hand over b64decode(text)" + (
            "" if wanted == "PEM" else " to Key.from_pem"
        )
    if octets.lstrip().startswith(b"{") and b'"' in octets:
        takes = "Key.from_jwk takes" if wanted == "PEM" else "hand over"
        return f"is the base64 of a JSON object: {takes} b64decode(text)"
    if octets.startswith(b"openssh-key-v1"):
        return f"is a private key of OpenSSH: {FROM_OPENSSH}"
    if octets[:3] == b"\0\0\0" and octets[4:8] in (b"ssh-", b"ecds", b"sk-s", b"sk-e"):
        return f"is a public key of OpenSSH: {PUBLIC_OF_OPENSSH}"
    form = der_form_of(octets)
    if form is None:
        return None
    if form.label is None:
        return f"is the base64 of {form.name}: `base64 -d` and `{form.command}` make PEM of it"
    takes = "" if wanted == "PEM" else ", and Key.from_pem takes it"
    return (
        f"is the base64 of a key without the lines around it: put -----BEGIN {form.label}----- "
        f"before and -----END {form.label}----- after it{takes}"
    )


_DIGITS = re.compile(rb"[A-Za-z0-9+/_-]{32,}")
_BASE64_OF_BEGIN = b64encode(b"-----BEGIN")[:13]
_FOR_URLS = re.compile(rb"[-_]")


def mistake_in_secret(secret: bytes) -> str | None:
    """Return what a shared secret is that only says where one is, as the end of a message.

    Random bytes, and any spelling of them, are never taken for that.
    """
    look = secret[:_LOOK].strip()
    if (secret and not look) or not (look.isascii() and look.decode().isprintable()):
        return None
    return next((form.says for form in INSTEAD_OF_SECRET if form.looks(look)), None)


def no_json_object(text: bytes) -> str:
    """Return what a text is that is no JSON object, as the end of a message."""
    look = decoded(text).strip()
    said = mistake_in(text, "JSON")
    if said is not None and (not look.startswith((b"{", b"[")) or look.startswith(b"{{")):
        return said
    if _REPR_OF_DICT.match(look):
        return "is what repr() or str() makes of a dict: hand over the dict, or json.dumps(dict)"
    if not look.startswith((b"{", b"[", b'"')):
        return "must be a JSON object, as a mapping or as its text"
    parsed: object = None
    try:
        parsed = json.loads(look)
    except json.JSONDecodeError as error:
        return f"is broken JSON at line {error.lineno}, column {error.colno}: hand over all of it"
    except RecursionError:
        return "is nested deeper than any key: hand over one JSON object"
    except ValueError:  # octets that are no text, or a number of too many digits
        return "is broken JSON: it is no text in UTF-8, or has a number that is too long"
    if type(parsed) is list:
        return 'is a list: Key.from_jwk takes one of its keys, and KeySet.from_jwks {"keys": list}'
    if type(parsed) is str:
        return "is a JSON text within a JSON text: hand over json.loads(text)"
    return "must be a JSON object, as a mapping or as its text"


_REPR_OF_DICT = re.compile(rb"\{\s{0,64}(?:'|\})")
