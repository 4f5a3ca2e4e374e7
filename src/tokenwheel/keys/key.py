"""One key and the one algorithm it is for (RFC 8725, section 3.1). Sets of keys are in ``keyset``, what makes a key unfit in ``checks``."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.algorithms import Algorithm, get_default_algorithms

from ..errors import ConfigurationError
from .checks import CURVES, HASH_BYTES, check_algorithm, check_kid, check_public_key, check_secret

__all__ = ["Key"]

_THUMBPRINT_MEMBERS = frozenset(
    {"crv", "e", "kty", "n", "x", "y"}
)  # RFC 7638, section 3.2; RFC 8037, section 2
_PRIVATE_MEMBERS = frozenset(
    {"d", "dp", "dq", "oth", "p", "q", "qi"}
)  # RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section 2
_PROBE = b"tokenwheel"
_HASH = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}  # RFC 7518, section 3.2


class Key:
    """A key that signs or verifies with one algorithm. Immutable; its repr, copies and errors show nothing of it.

    Attributes:
        algorithm: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, ES256K or EdDSA.
        kid: names the key in a token's header. By default the thumbprint of the public key (RFC 7638); for a shared secret none.
        can_sign: False for a public key.
    """

    __slots__ = (
        "__weakref__",
        "_jwa",
        "_private",
        "_public",
        "_scheme",
        "_secret",
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
    _scheme: tuple[Any, ...]
    _secret: bytes | None

    def __init__(self) -> None:
        raise ConfigurationError("a Key is made by from_secret, from_pem, from_jwk or generate")

    @classmethod
    def _make(
        cls,
        algorithm: str,
        kid: str | None,
        *,
        secret: bytes | None = None,
        private: Any = None,
        public: Any = None,
    ) -> Key:
        key = cls.__new__(cls)
        fill = object.__setattr__
        fill(key, "algorithm", algorithm)
        fill(key, "can_sign", secret is not None or private is not None)
        fill(key, "_jwa", get_default_algorithms()[algorithm])
        fill(key, "_secret", secret)
        fill(key, "_private", private)
        fill(key, "_public", public)
        fill(key, "_scheme", _scheme_for(algorithm, key._jwa))
        fill(key, "kid", None)
        fill(
            key,
            "kid",
            check_kid(kid) if kid is not None or secret is not None else key._thumbprint(),
        )
        if private is not None and not key.verify(_PROBE, key.sign(_PROBE)):
            raise ConfigurationError(
                "the private and the public part of the key do not belong together"
            )
        return key

    @classmethod
    def from_secret(
        cls, secret: str | bytes, algorithm: str = "HS256", *, kid: str | None = None
    ) -> Key:
        """A shared secret for HMAC: random bytes, as many as the hash has, or more.

        Raises:
            ConfigurationError: too short, a key of another kind, or not an HMAC algorithm.
        """
        name = check_algorithm(algorithm)
        return cls._make(name, kid, secret=check_secret(secret, name))

    @classmethod
    def from_pem(
        cls,
        pem: str | bytes,
        algorithm: str,
        *,
        kid: str | None = None,
        password: str | bytes | None = None,
    ) -> Key:
        """A private or public key in PEM form.

        Raises:
            ConfigurationError: not a PEM key, a wrong password, or a key unfit for the algorithm.
        """
        name = check_algorithm(algorithm)
        if not isinstance(pem, str | bytes) or not isinstance(password, str | bytes | None):
            raise ConfigurationError("pem and password must be str or bytes")
        private: Any = None
        public: Any = None
        try:
            text = pem.encode() if isinstance(pem, str) else pem
            phrase = password.encode() if isinstance(password, str) else password
            if b"PRIVATE KEY" in text:
                private = serialization.load_pem_private_key(text, phrase)
                public = private.public_key()
            else:
                public = serialization.load_pem_public_key(text)
        except Exception:  # noqa: S110 - said below, so that nothing of the key goes along as the error's context
            pass
        if public is None:
            raise ConfigurationError(
                "pem must be one unencrypted PEM key, or an encrypted one with its password"
            )
        return cls._make(name, kid, private=private, public=check_public_key(public, name))

    @classmethod
    def from_jwk(
        cls,
        jwk: Mapping[str, Any] | str | bytes,
        algorithm: str | None = None,
        *,
        kid: str | None = None,
    ) -> Key:
        """A private, public or shared key as a JSON Web Key (RFC 7517). Its ``alg`` and ``kid`` count where none are given.

        Raises:
            ConfigurationError: not a JWK, not one for signatures, of another ``alg`` than that given, or unfit for it.
        """
        members = read_json_object(jwk, "jwk")
        stated = members.get("alg")
        if stated is not None and algorithm is not None and stated != algorithm:
            raise ConfigurationError("the jwk's 'alg' is another than the algorithm given")
        name = check_algorithm(stated if algorithm is None else algorithm)
        kid = members.get("kid") if kid is None else kid
        shared = name in HASH_BYTES
        needed = {"sign", "verify"} if shared else {"sign"} if "d" in members else {"verify"}
        operations = members.get("key_ops", [*needed])
        if (
            members.get("use", "sig") != "sig"
            or not isinstance(operations, list)
            or not all(one in operations for one in needed)
        ):
            raise ConfigurationError(
                f"the jwk's 'use' must be 'sig' and its 'key_ops' allow {' and '.join(sorted(needed))}"
            )
        load = get_default_algorithms()[name].from_jwk
        whole: Any = None
        public: Any = None
        try:
            whole = load(members)
            # Read on its own, so that a public part of another key is found out when the two are tried together.
            public = (
                None
                if shared
                else load(
                    {part: value for part, value in members.items() if part not in _PRIVATE_MEMBERS}
                )
            )
        except Exception:  # noqa: S110 - said below, so that nothing of the key goes along as the error's context
            pass
        if whole is None or (public is None and not shared):
            raise ConfigurationError(
                f"the jwk is malformed, not of the kind {name} needs, or made of parts that do not belong together"
            )
        if shared:
            return cls._make(name, kid, secret=check_secret(whole, name))
        return cls._make(
            name,
            kid,
            private=whole if "d" in members else None,
            public=check_public_key(public, name),
        )

    @classmethod
    def generate(cls, algorithm: str, *, kid: str | None = None) -> Key:
        """A fresh key from the operating system's generator: as strong as the algorithm asks for, RSA of 3072 bits."""
        name = check_algorithm(algorithm)
        if name in HASH_BYTES:
            return cls.from_secret(secrets.token_bytes(HASH_BYTES[name]), name, kid=kid)
        private: Any
        if name == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        elif name in CURVES:
            private = ec.generate_private_key(CURVES[name])
        else:
            private = rsa.generate_private_key(65537, 3072)
        return cls._make(name, kid, private=private, public=private.public_key())

    def sign(self, message: bytes) -> bytes:
        """The signature of a message.

        Raises:
            ConfigurationError: a public key signs nothing.
        """
        if not self.can_sign:
            raise ConfigurationError("a public key signs nothing")
        if self._secret is not None:
            return hmac.digest(self._secret, message, _HASH[self.algorithm])
        return self._jwa.sign(message, self._private)

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's for the message. Compares in constant time; never raises for a bad signature."""
        if self._secret is not None:
            return hmac.compare_digest(
                hmac.digest(self._secret, message, _HASH[self.algorithm]), signature
            )
        if self.algorithm in CURVES:
            half = (
                self._public.key_size + 7
            ) // 8  # of the signature, for each of its two numbers (RFC 7518, section 3.4)
            if len(signature) != 2 * half:
                return False
            signature = encode_dss_signature(
                int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
            )
        try:
            self._public.verify(signature, message, *self._scheme)
        except InvalidSignature:
            return False
        return True

    def public(self) -> Key:
        """The public key of a key pair, with the same kid.

        Raises:
            ConfigurationError: a shared secret has no public part.
        """
        if self._public is None:
            raise ConfigurationError("a shared secret has no public part")
        return self._make(self.algorithm, self.kid, public=self._public)

    def to_jwk(self, private: bool = False) -> dict[str, Any]:
        """The key as a JSON Web Key: its public part, or all of it where ``private`` is true.

        Raises:
            ConfigurationError: the part asked for does not exist.
        """
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
        named = {} if self.kid is None else {"kid": self.kid}
        return {**members, **named, "alg": self.algorithm, "use": "sig"}

    def to_pem(self, private: bool = False) -> bytes:
        """The key in PEM form: its public part (SubjectPublicKeyInfo), or the private one (unencrypted PKCS #8).

        Raises:
            ConfigurationError: the part asked for does not exist, or a shared secret, which has no PEM form.
        """
        if self._secret is not None or (private and self._private is None):
            raise ConfigurationError("this key has no such part in PEM form")
        encoding = serialization.Encoding.PEM
        pem: bytes
        if private:
            pem = self._private.private_bytes(
                encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        else:
            pem = self._public.public_bytes(
                encoding, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        return pem

    def _thumbprint(self) -> str:
        members = {
            name: value for name, value in self.to_jwk().items() if name in _THUMBPRINT_MEMBERS
        }
        canonical = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
        return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode()

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


def _scheme_for(algorithm: str, jwa: Any) -> tuple[Any, ...]:
    """What ``cryptography`` asks for beside signature and message (RFC 7518, sections 3.3 to 3.5); made once, with the key."""
    if algorithm in HASH_BYTES or algorithm == "EdDSA":
        return ()
    hashed = jwa.hash_alg()
    if algorithm in CURVES:
        return (ec.ECDSA(hashed),)
    if algorithm.startswith("RS"):
        return (padding.PKCS1v15(), hashed)
    return (padding.PSS(padding.MGF1(hashed), salt_length=hashed.digest_size), hashed)


def read_json_object(text: Mapping[str, Any] | str | bytes, name: str) -> dict[str, Any]:
    """A JSON object, given as a mapping or as its text."""
    parsed: Any = None
    try:
        parsed = dict(text) if isinstance(text, Mapping) else json.loads(text)
    except (TypeError, ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise ConfigurationError(f"{name} must be a JSON object, as a mapping or as its text")
    return parsed
