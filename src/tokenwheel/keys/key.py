"""One key and the one algorithm it is for (RFC 8725, section 3.1): what a key does.

Sets of keys are in ``keyset``, the forms a key is read from in ``pem`` and ``jwk``, and what makes
a key unfit in ``checks``.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from jwt.algorithms import Algorithm

from ..errors import ConfigurationError, InvalidArgument
from ..exact import bytes_of, named
from ..hidden import clears_locals
from .checks import (
    HASH_BYTES,
    check_algorithm,
    check_bool,
    check_kid,
    check_secret,
    require_cryptography,
)
from .forms.jwk import parse_jwk, thumbprint
from .forms.jwk_algorithms import pyjwt_algorithm
from .forms.pem import parse_pem
from .forms.private_parts import SHOWS_SECRET
from .key_parts import KeyParts
from .unfit.readings import shows_secret

__all__ = ["Key"]

_PROBE = b"tokenwheel"
_HASH = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}  # RFC 7518, section 3.2


class Key:
    """A key that signs or verifies with one algorithm.

    A key never changes. Its repr, its copies and its errors show nothing of it.

    Attributes:
        algorithm: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384,
            ES512, ES256K, EdDSA, Ed25519 or Ed448. A key of the last two names no other than that
            in its tokens (RFC 9864), and one of EdDSA names that.
        kid: the name of the key in a token's header. By default the thumbprint of the public key
            (RFC 7638), and None for a shared secret.
        can_sign: False for a public key.
    """

    __slots__ = (
        "__weakref__",
        "_jwa",
        "_private",
        "_public",
        "_secret",
        "_verify",
        "algorithm",
        "can_sign",
        "kid",
    )
    algorithm: str
    kid: str | None
    can_sign: bool
    _jwa: Algorithm
    _private: Any
    _public: Any
    _secret: bytes | None
    _verify: Callable[[bytes, bytes], bool]  # of all but a shared secret

    def __init__(self) -> None:
        raise ConfigurationError("a Key is made by from_secret, from_pem, from_jwk or generate")

    @classmethod
    def _make(cls, parts: KeyParts, kid: str | None) -> Key:
        """Return the key that consists of these parts.

        Args:
            parts: the parts, fit for their algorithm. Their ``kid`` is not looked at.
            kid: the name of the key; by default the thumbprint of the public part.

        Raises:
            ConfigurationError: the kid cannot be used, or the parts do not belong together.
        """
        key = cls.__new__(cls)
        fill = object.__setattr__
        jwa = pyjwt_algorithm(parts.algorithm)
        fill(key, "algorithm", parts.algorithm)
        fill(key, "can_sign", parts.secret is not None or parts.private is not None)
        fill(key, "_jwa", jwa)
        fill(key, "_secret", parts.secret)
        fill(key, "_private", parts.private)
        fill(key, "_public", parts.public)
        if parts.secret is None:
            from .pairs import verifier_for

            fill(key, "_verify", verifier_for(parts.public, parts.algorithm, jwa))
        if kid is None and parts.secret is None:
            fill(key, "kid", thumbprint(jwa.to_jwk(parts.public, as_dict=True)))
        else:
            name = check_kid(kid)
            fill(key, "kid", name)
            if parts.secret is not None and name is not None and shows_secret(name, parts.secret):
                raise ConfigurationError(f"kid {SHOWS_SECRET}")
        if parts.private is not None and not key.verify(_PROBE, key.sign(_PROBE)):
            raise ConfigurationError(
                "the private and the public part of the key do not belong together"
            )
        return key

    @classmethod
    @clears_locals
    def from_secret(
        cls, secret: str | bytes, algorithm: str = "HS256", *, kid: str | None = None
    ) -> Key:
        """Return the key that a shared secret for HMAC is.

        Args:
            secret: random bytes, at least as many as the algorithm's hash has.
            algorithm: HS256, HS384 or HS512.
            kid: the name of the key in a token's header.

        Raises:
            ConfigurationError: too short, a key of another kind, a path or a URL, or not an HMAC
                algorithm.
        """
        name = check_algorithm(algorithm)
        return cls._make(KeyParts(name, secret=check_secret(secret, name)), kid)

    @classmethod
    @clears_locals
    def from_pem(
        cls,
        pem: str | bytes,
        algorithm: str,
        *,
        kid: str | None = None,
        password: str | bytes | None = None,
    ) -> Key:
        """Return the private or public key in a PEM text.

        Args:
            pem: the text of one key, or of a certificate, of which the key is taken: neither its
                dates nor who signed it are looked at. A private key may have its public key and
                certificates beside it.
            algorithm: what the key is for.
            kid: the name of the key in a token's header; by default its thumbprint.
            password: what the text is encrypted with.

        Raises:
            ConfigurationError: not a PEM key, or several; a wrong, missing or needless password; or
                a key unfit for the algorithm.
        """
        return cls._make(parse_pem(pem, check_algorithm(algorithm), password), kid)

    @classmethod
    @clears_locals
    def from_jwk(
        cls,
        jwk: Mapping[str, Any] | str | bytes,
        algorithm: str | None = None,
        *,
        kid: str | None = None,
    ) -> Key:
        """Return the private, public or shared key in a JSON Web Key (RFC 7517).

        Args:
            jwk: the JSON object, as a mapping or as its text.
            algorithm: what the key is for; by default its member ``alg``, else what is usual for
                its kind and curve: RS256, ES256, ES384, ES512, ES256K, EdDSA or HS256.
            kid: the name of the key in a token's header; by default its member ``kid``, else its
                thumbprint.

        Raises:
            ConfigurationError: not a JWK, not one for signatures, of another ``alg`` than
                ``algorithm``, or unfit for it.
        """
        parts = parse_jwk(jwk, algorithm)
        return cls._make(parts, parts.kid if kid is None else kid)

    @classmethod
    def generate(cls, algorithm: str, *, kid: str | None = None) -> Key:
        """Return a new random key, as strong as the algorithm asks for.

        The randomness is the operating system's. An RSA key has 3072 bits.

        Raises:
            ConfigurationError: no such algorithm, or one that needs ``cryptography`` where that is
                missing.
        """
        name = check_algorithm(algorithm)
        if name in HASH_BYTES:
            return cls.from_secret(secrets.token_bytes(HASH_BYTES[name]), name, kid=kid)
        require_cryptography(f"a key for {name}")
        from .pairs import new_private

        private = new_private(name)
        return cls._make(KeyParts(name, private=private, public=private.public_key()), kid)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message.

        Raises:
            ConfigurationError: this is a public key, which signs nothing.
            InvalidArgument: a message that is no ``bytes``.
        """
        message = _check_bytes("message", message)
        if not self.can_sign:
            raise ConfigurationError("a public key signs nothing")
        if self._secret is not None:
            return hmac.digest(self._secret, message, _HASH[self.algorithm])
        return self._jwa.sign(message, self._private)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return True where the signature is this key's for the message.

        Secrets are compared in constant time. A bad signature never raises.

        Raises:
            InvalidArgument: a message or a signature that is no ``bytes``.
        """
        message = _check_bytes("message", message)
        signature = _check_bytes("signature", signature)
        if self._secret is not None:
            return hmac.compare_digest(
                hmac.digest(self._secret, message, _HASH[self.algorithm]), signature
            )
        return self._verify(message, signature)

    def public(self) -> Key:
        """Return the public key of a key pair, with the kid of this key.

        Raises:
            ConfigurationError: this is a shared secret, which has no public part.
        """
        if self._public is None:
            raise ConfigurationError("a shared secret has no public part")
        return self._make(KeyParts(self.algorithm, public=self._public), self.kid)

    def to_jwk(self, private: bool = False) -> dict[str, Any]:
        """Return the key as a JSON Web Key (RFC 7517).

        Args:
            private: False for the public part; True for all of the key.

        Raises:
            ConfigurationError: the key has no such part.
            InvalidArgument: a ``private`` that is no ``bool``.
        """
        check_bool("private", private)
        if private and not self.can_sign:
            raise ConfigurationError("a public key has no private part")
        if self._secret is not None and not private:
            raise ConfigurationError("a shared secret has no public part")
        material = (
            self._secret if self._secret is not None else self._private if private else self._public
        )
        members = {
            name: value
            for name, value in self._jwa.to_jwk(material, as_dict=True).items()
            if name != "key_ops"
        }
        kid = {} if self.kid is None else {"kid": self.kid}
        return {**members, **kid, "alg": self.algorithm, "use": "sig"}

    def to_pem(self, private: bool = False) -> bytes:
        """Return the key in PEM form.

        Args:
            private: False for the public part (SubjectPublicKeyInfo); True for the private one
                (PKCS #8, unencrypted).

        Raises:
            ConfigurationError: the key has no such part, or is a shared secret, which has no PEM
                form.
            InvalidArgument: a ``private`` that is no ``bool``.
        """
        check_bool("private", private)
        if self._secret is not None or (private and self._private is None):
            raise ConfigurationError("this key has no such part in PEM form")
        from .pairs import write_pem

        return write_pem(self._private if private else None, self._public)

    def __repr__(self) -> str:
        kind = (
            "shared secret"
            if self._secret is not None
            else "private"
            if self.can_sign
            else "public"
        )
        return f"<Key {self.algorithm}, {kind}, kid={self.kid!r}>"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Key cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Key cannot be changed")

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Key:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key cannot be pickled: keys do not belong where pickles go")


def _check_bytes(name: str, value: object) -> bytes:
    octets = bytes_of(value)
    if octets is None:
        raise InvalidArgument(f"{name} must be bytes, not {named(value)}")
    return octets
