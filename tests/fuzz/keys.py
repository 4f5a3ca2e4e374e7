"""Whatever is handed over as a key is a key that works, or is refused by a ConfigurationError.

What signs verifies what it signed, and comes back from its JWK as the same key. Neither a key's
repr nor a refusal shows any of its private members or of a secret. Of a set, only what can be used
is taken; of one that anybody can read, only public keys.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from tests.fuzz.draw import Draw
from tokenwheel import ConfigurationError, Key, KeySet
from tokenwheel.keys.forms.jwks import read_jwks

ALGORITHMS = ["HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "none", ""]
ALGORITHMS += ["HS512", "hs256", "Ed25519", "Ed448", "ML-DSA-65", "RSA-OAEP"]
SECRET = Key.from_secret(hashlib.sha256(b"keys").digest())
PRIVATE = [Key.generate("ES256"), Key.generate("EdDSA"), Key.generate("RS256")]
PUBLIC = [key.public() for key in PRIVATE]
# A private key of RSA takes a thousand times as long to load, so it comes seldom.
KEYS = [SECRET, *PRIVATE[:2], *PUBLIC] * 4 + [PRIVATE[2]]
MEMBERS = ["kty", "crv", "x", "y", "n", "e", "d", "p", "q", "k", "alg", "use", "key_ops", "kid"]
MEMBERS += ["oth", "dp", "dq", "qi", "iat", "tokenwheel_signs_from"]
TEXTS = ["oct", "RSA", "EC", "OKP", "P-256", "P-384", "secp256k1", "Ed25519", "Ed448", "X25519"]
TEXTS += ["sig", "enc", "AQAB", "AQ", "AA", *ALGORITHMS]
MESSAGE = b"tokenwheel"


def check(data: bytes) -> None:
    draw = Draw(data)
    draw.choice((jwk, pem, secret, jwks))(draw)


def jwk(draw: Draw) -> None:
    algorithm = draw.choice([None, *ALGORITHMS])
    members = changed_jwk(draw)
    try_key(Key.from_jwk, written(draw, members), algorithm, kid=draw.choice((None, "k", "")))


def changed_jwk(draw: Draw) -> Any:
    """Return the members of a good key, of which some were changed, or other JSON."""
    key = draw.choice(KEYS)
    members: Any = key.to_jwk(private=key.can_sign)
    for _ in range(draw.below(4)):
        member = draw.choice(MEMBERS)
        change = draw.below(5)
        if change == 0:
            members.pop(member, None)
        elif change == 1:
            members[member] = draw.choice(TEXTS)
        elif change == 2:
            members[member] = draw.json()
        elif change == 3:
            members[member] = draw.choice(PRIVATE).to_jwk(private=True).get(member)
        elif isinstance(members.get(member), str):
            members[member] = draw.spliced(members[member].encode("utf-8", "surrogatepass")).decode(
                "latin-1"
            )
    return draw.json() if draw.below(16) == 1 else members


def written(draw: Draw, value: Any) -> Any:
    """Return JSON as an object, as a text, or as a text that suffered on its way."""
    kind = draw.below(4)
    if kind == 0:
        return value
    text = json.dumps(value)
    return text if kind == 1 else text.encode() if kind == 2 else draw.spliced(text.encode())


def pem(draw: Draw) -> None:
    key = draw.choice(KEYS[-6:])
    text = key.to_pem(private=key.can_sign and draw.below(2) == 1)
    algorithm = draw.choice([key.algorithm, *ALGORITHMS])
    password = draw.choice((None, "", "password"))
    for _ in range(draw.below(3)):
        text = draw.spliced(text)
    try_key(Key.from_pem, text or draw.rest(), algorithm, password=password)


def secret(draw: Draw) -> None:
    algorithm = draw.choice(ALGORITHMS)
    wrapped = draw.choice((b"", b'{"kty":"oct","k":"', b"-----BEGIN ", b"ssh-", b"0\x82"))
    raw = wrapped + draw.rest()
    key = try_key(Key.from_secret, raw, algorithm)
    if key is not None:
        assert key._secret == raw
        assert len(raw) >= 32


def jwks(draw: Draw) -> None:
    value: Any = {"keys": [changed_jwk(draw) for _ in range(draw.below(4))]}
    if draw.below(4) == 1:
        value[draw.choice(("keys", "tokenwheel_updated_at", "other"))] = draw.json()
    given = written(draw, value)
    algorithms = [draw.choice(ALGORITHMS) for _ in range(draw.below(3))] or None
    try:
        keys = KeySet.from_jwks(given, signing=draw.choice((None, "k")), algorithms=algorithms)
        told = read_jwks(given, algorithms=algorithms, only_public=True)
    except ConfigurationError as error:
        check_tells_nothing(error)
        return
    assert len({(key.kid, key.algorithm) for key in keys}) == len(keys)
    for key in keys:
        assert algorithms is None or key.algorithm in algorithms
        check_key(key)
    for listed in told.keys:
        assert not listed.key.can_sign
    for passed_over in told.passed_over:
        for key in (SECRET, *PRIVATE):
            check_text_tells_nothing(f"{passed_over.kid} {passed_over.why}", key)


def try_key(make: Any, *arguments: Any, **options: Any) -> Key | None:
    """Make a key and use it. Return None where it was refused."""
    try:
        key: Key = make(*arguments, **options)
    except ConfigurationError as error:
        check_tells_nothing(error)
        return None
    check_key(key)
    return key


def check_key(key: Key) -> None:
    assert key.verify(MESSAGE, bytes(64)) is False
    if not key.can_sign:
        return
    signature = key.sign(MESSAGE)
    again = Key.from_jwk(json.dumps(key.to_jwk(private=True)))
    assert again.verify(MESSAGE, signature)
    assert not again.verify(b"another", signature)
    assert (again.kid, again.algorithm) == (key.kid, key.algorithm)
    if key._secret is None:
        assert key.public().verify(MESSAGE, signature)
    check_text_tells_nothing(repr(key), key)


def check_tells_nothing(error: BaseException) -> None:
    """See that a refusal quotes no key that it may have been given."""
    assert error.__context__ is None, error.__context__
    for key in (SECRET, *PRIVATE):
        check_text_tells_nothing(str(error), key)


def check_text_tells_nothing(text: str, key: Key) -> None:
    members = key.to_jwk(private=True)
    assert not [name for name in ("k", "d", "p", "q") if len(members.get(name, "")) > 15
                and members[name][:16] in text]  # fmt: skip
