"""Single blocks of PEM, read by the package ``cryptography``.

This module is imported when the first PEM is read, as ``pairs`` is. No error of the parser's leaves
it, since that may hold some of the key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from ...errors import ConfigurationError
from .pem_blocks import PemBlock

__all__ = ["load_certificate", "load_private", "load_public", "spki_of"]

_NOT_SUPPORTED = "is of a kind, a curve or an encryption that cryptography does not know here"


def load_private(block: PemBlock, password: bytes | None) -> Any:
    """Return the private key in a block.

    Args:
        block: the block.
        password: what it is encrypted with, or None where it is not.

    Raises:
        ConfigurationError: it is no private key, or the password is missing or wrong.
    """
    if block.is_encrypted and not password:
        missing = "password= is missing" if password is None else "password is empty"
        raise ConfigurationError(
            f"pem is encrypted, and {missing}: Key.from_pem(pem, algorithm, password=...)"
        )
    text = block.text()
    key, why = _attempt(lambda: serialization.load_pem_private_key(text, password))
    if key is not None:
        return key
    if why is None and block.is_encrypted:
        raise ConfigurationError("password is not the one that pem is encrypted with")
    raise ConfigurationError(_said(why, "private key"))


def load_public(block: PemBlock) -> Any:
    """Return the public key in a block.

    Raises:
        ConfigurationError: it is no public key.
    """
    text = block.text()
    key, why = _attempt(lambda: serialization.load_pem_public_key(text))
    if key is None:
        raise ConfigurationError(_said(why, "public key"))
    return key


def load_certificate(block: PemBlock) -> Any:
    """Return the public key in a certificate, or None where it is of a kind that is not known.

    The dates and the signature of a certificate are not looked at.

    Raises:
        ConfigurationError: it is no certificate.
    """
    text = block.text("CERTIFICATE")
    key, why = _attempt(lambda: x509.load_pem_x509_certificate(text).public_key())
    if key is None and why is None:
        raise ConfigurationError(_said(why, "certificate"))
    return key


def spki_of(public: Any) -> bytes:
    """Return a public key as SubjectPublicKeyInfo in DER, by which it is told from others."""
    der: bytes = public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def _attempt(load: Callable[[], Any]) -> tuple[Any, str | None]:
    """Return what was loaded, or None and why it could not be, where that is known."""
    try:
        return load(), None
    except UnsupportedAlgorithm:
        return None, _NOT_SUPPORTED
    except Exception:  # whatever the parser raises
        return None, None


def _said(why: str | None, what: str) -> str:
    """Return the message that something could not be read."""
    if why is not None:
        return f"pem holds a {what} that {why}: `tokenwheel keys new` makes one"
    return f"pem is damaged: its {what} cannot be read; hand over the file as it was"
