"""Keys in PEM form (RFC 7468): which of the blocks of a text are keys, and which belong together.

A private key, its own public key and its own certificate are one key. Of a certificate the key is
taken; neither its dates nor who signed it are looked at. Certificates of others beside a key of
ours, which lead to an authority, are passed over: no key of an authority becomes one of ours.

A text that holds no key is refused by a ConfigurationError. It is never raised while the parser's
own error is handled, since that error, which may hold some of the key, would go along as its
context.
"""

from __future__ import annotations

from typing import Any, Final

from ...errors import ConfigurationError
from ...exact import named, text_or_bytes_of
from ...hidden import clears_locals
from ..checks import HASH_BYTES, require_cryptography
from ..key_parts import KeyParts
from .mistakes import mistake_in, mistake_of_label, not_a_text
from .pem_blocks import LONGEST_PEM, PemBlock, blocks_of, has_blocks

__all__ = ["parse_pem", "parse_pems"]

_PRIVATE: Final = frozenset(
    {"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"}
)
_PUBLIC: Final = frozenset({"PUBLIC KEY", "RSA PUBLIC KEY"})
_CERTIFICATES: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
# What tools write beside a key, and is none.
_PASSED_OVER: Final = frozenset(
    {
        *("EC PARAMETERS", "DSA PARAMETERS", "DH PARAMETERS", "X509 CRL"),
        *("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
    }
)
_KEYS: Final = _PRIVATE | _PUBLIC | _CERTIFICATES
_KNOWN: Final = _KEYS | _PASSED_OVER


@clears_locals
def parse_pems(pem: object, algorithm: str | None, password: object = None) -> list[KeyParts]:
    """Return each key in a PEM text, in their order.

    Args:
        pem: the text, as ``str`` or ``bytes``.
        algorithm: what the keys are for, already checked. None leaves that to each key: the
            algorithm of its curve, EdDSA for Ed25519 and Ed448, RS256 for RSA.
        password: what the private keys are encrypted with, or None.

    Raises:
        ConfigurationError: no PEM key in it, a wrong, missing or needless password, or a key unfit
            for the algorithm.
    """
    pairs = _read(pem, algorithm, password)
    return [_parts_of(*pair, algorithm, is_alone=len(pairs) == 1) for pair in pairs]


@clears_locals
def parse_pem(pem: object, algorithm: str | None, password: object = None) -> KeyParts:
    """Return the one private or public key in a PEM text. The arguments are those of parse_pems.

    Raises:
        ConfigurationError: it holds several keys, or is refused by ``parse_pems``.
    """
    pairs = _read(pem, algorithm, password)
    if len(pairs) > 1:
        both = "both" if len(pairs) == 2 else "all"
        raise ConfigurationError(f"pem holds {len(pairs)} keys: KeySet.from_pem takes {both}")
    return _parts_of(*pairs[0], algorithm, is_alone=True)


def _read(pem: object, algorithm: str | None, password: object) -> list[tuple[Any, Any]]:
    """Return the pairs in what a caller handed in.

    Raises:
        ConfigurationError: it is no PEM text of keys, or the password is not the right one.
    """
    text, phrase = _octets_of(pem, password)
    if not has_blocks(text):
        raise ConfigurationError(f"pem {_no_pem(text, algorithm)}")
    require_cryptography("a PEM key")
    return _pairs_in(blocks_of(text), phrase)


def _no_pem(text: bytes, algorithm: str | None) -> str:
    """Return what a text is that has no line of BEGIN, as the end of a message."""
    said = mistake_in(text, "PEM")
    if said is None and algorithm in HASH_BYTES:
        return (
            f"is no PEM text, and {algorithm} needs a shared secret: "
            f"Key.from_secret(secret, {algorithm!r})"
        )
    return said or (
        "is no PEM text: it has no line of -----BEGIN PRIVATE KEY-----, -----BEGIN PUBLIC "
        "KEY----- or -----BEGIN CERTIFICATE-----"
    )


def _parts_of(private: Any, public: Any, algorithm: str | None, *, is_alone: bool) -> KeyParts:
    """Return a key with what it is for, after it was found to be fit for that."""
    from ..pairs import check_pair

    name = _algorithm_for(public, algorithm, is_alone)
    return KeyParts(name, private=private, public=check_pair(private, public, name))


def _octets_of(pem: object, password: object) -> tuple[bytes, bytes | None]:
    """Return a PEM text and the password, both as octets.

    Raises:
        ConfigurationError: one of them is no text, or the text is too long for any key.
    """
    text, phrase = text_or_bytes_of(pem), text_or_bytes_of(password)
    if text is None:
        raise ConfigurationError(not_a_text("pem", pem))
    if phrase is None and password is not None:
        raise ConfigurationError(f"password must be str or bytes, not {named(password)}")
    if len(text) > LONGEST_PEM:
        raise ConfigurationError("pem is longer than 1 MiB, and so no text of keys")
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if isinstance(phrase, str):
        phrase = phrase.encode("utf-8", "surrogatepass")
    return octets, phrase


def _pairs_in(blocks: list[PemBlock], password: bytes | None) -> list[tuple[Any, Any]]:
    """Return each private key with its public one, and each public key that stands alone with None.

    Raises:
        ConfigurationError: there is none, or it cannot be said which of them are meant.
    """
    from .pem_loading import load_certificate, load_private, load_public, spki_of

    for block in blocks:
        if block.label not in _KNOWN:
            raise ConfigurationError(f"pem {mistake_of_label(block.label)}")
    if not any(block.label in _KEYS for block in blocks):
        raise ConfigurationError(f"pem {mistake_of_label(blocks[0].label)}")
    if password is not None and not any(block.is_encrypted for block in blocks):
        raise ConfigurationError("pem is not encrypted: leave password= out")
    pairs: dict[bytes, tuple[Any, Any]] = {}
    certified: dict[bytes | None, Any] = {}
    for block in blocks:
        if block.label in _PRIVATE:
            private = load_private(block, password if block.is_encrypted else None)
            public = private.public_key()
            pairs[spki_of(public)] = (private, public)
        elif block.label in _PUBLIC:
            public = load_public(block)
            pairs.setdefault(spki_of(public), (None, public))
        elif block.label in _CERTIFICATES:
            public = load_certificate(block)
            certified.setdefault(None if public is None else spki_of(public), public)
    if not pairs:
        return [(None, _only_one_of([*certified.values()]))]
    if certified and not certified.keys() & pairs.keys():
        raise ConfigurationError(
            "pem holds a certificate of another key than the key beside it: hand over the one "
            "that is meant"
        )
    return list(pairs.values())


def _only_one_of(certified: list[Any]) -> Any:
    """Return the one public key of certificates that stand alone.

    Raises:
        ConfigurationError: they are of several keys, or of a kind of key that is not known.
    """
    if len(certified) > 1:
        raise ConfigurationError(
            f"pem holds {len(certified)} certificates: hand over the one whose key signs"
        )
    if certified[0] is None:
        raise ConfigurationError(
            "pem holds a certificate whose key cryptography does not know here: "
            "`tokenwheel keys new` makes one"
        )
    return certified[0]


def _algorithm_for(public: Any, algorithm: str | None, is_alone: bool) -> str:
    """Return what a key is for: the algorithm that was given, or by default the usual of its kind.

    Raises:
        ConfigurationError: no algorithm, or not the one given, is for keys of this kind.
    """
    from .key_kinds import NEEDED_KINDS, kind_of

    kind = kind_of(public)
    if algorithm is None and kind.algorithms:
        return kind.algorithms[0]
    if algorithm is not None and algorithm in kind.algorithms:
        return algorithm
    needed = (
        "tokens need another"
        if algorithm is None
        else f"{algorithm} needs {NEEDED_KINDS[algorithm]}"
    )
    if not kind.algorithms:
        call = "`tokenwheel keys new` makes one"
    elif is_alone:
        call = f"Key.from_pem(pem, {kind.algorithms[0]!r})"
    else:
        call = "hand over keys of different kinds in a pem each"
    raise ConfigurationError(f"{needed}, and pem holds {kind.name}: {call}")
