"""The tokens that everyone reads: written to a file once, so that all read the very same.

They are access tokens of this library. The payload is what an API server's tokens commonly hold: a
subject, a role, a name, an issuer, two audiences, two times, and five characters that differ from
token to token. To these it adds the session's id, and to the header a type.
"""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tokenwheel import Key, KeySet, SessionManager

from .claims import APPLICATION, AUDIENCE, ISSUER, LIFETIME

OTHER = "other-server.com"
LEEWAY = 120
"""More seconds past its ``exp`` than any library lets a token have."""
MANY = 10_000
"""From so many tokens on, there are none without ``aud``: whoever needs them has no use for them.
"""


def make_key(algorithm: str) -> Key:
    # 2048 bits, as most tokens in the wild are signed, where Key.generate takes 3072.
    if algorithm == "RS256":
        private = rsa.generate_private_key(65537, 2048)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return Key.from_pem(
            private.private_bytes(encoding, form, serialization.NoEncryption()), algorithm
        )
    if algorithm == "HS256":  # As text, since not every library takes a secret of arbitrary bytes.
        return Key.from_secret(
            base64.b64encode(Key.generate(algorithm)._secret or b"").decode(), algorithm
        )
    return Key.generate(algorithm)


def tie(number: int) -> str:
    """Five characters that differ from token to token."""
    return base64.urlsafe_b64encode(number.to_bytes(4, "big")).decode()[1:6]


def issue_tokens(key: Key, count: int) -> dict[str, Any]:
    def issue(
        count: int, issuer: str = ISSUER, audience: list[str] = AUDIENCE, ago: float = 0
    ) -> list[str]:
        manager = SessionManager(
            KeySet(key),
            issuer=issuer,
            audience=audience,
            access_ttl=LIFETIME,
            clock=lambda: time.time() - ago,
        )
        return [
            manager.create({"anc": tie(number), **APPLICATION}, subject="uid1").access_token
            for number in range(count)
        ]

    good = issue(count)
    [exp], [iss], [aud] = (
        issue(1, ago=LIFETIME + LEEWAY),
        issue(1, issuer=OTHER),
        issue(1, audience=[OTHER]),
    )
    bad = {"exp": exp, "iss": iss, "aud": aud, "signature": forge(good[0])}
    if count >= MANY:
        return {"good": good, "bad": bad}
    good_without = [drop_audience(key, token) for token in good]
    bad_without = {
        "exp": drop_audience(key, exp),
        "iss": drop_audience(key, iss),
        "signature": forge(good_without[0]),
    }
    return {
        "good": good,
        "bad": bad,
        "without_audience": {"good": good_without, "bad": bad_without},
    }


def drop_audience(key: Key, token: str) -> str:
    """Return the token without its ``aud``, signed anew."""
    header, payload, _ = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    del claims["aud"]
    message = f"{header}.{to_base64(json.dumps(claims, separators=(',', ':')).encode())}"
    return f"{message}.{to_base64(key.sign(message.encode()))}"


def to_base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def forge(token: str) -> str:
    start = token.rindex(".") + 1
    return token[:start] + ("B" if token[start] == "A" else "A") + token[start + 1 :]


@cache
def write_tokens(folder: Path, algorithm: str, count: int) -> Path:
    """Write so many tokens, and the key that signed them, once a run: they expire."""
    key = make_key(algorithm)
    return write(folder / f"tokens-{algorithm}-{count}.json", key, issue_tokens(key, count))


@cache
def write_bare_tokens(folder: Path, count: int) -> Path:
    """Write so many HS256 tokens of 300 characters each, whose one claim tells them apart."""
    key = make_key("HS256")
    manager = SessionManager(KeySet(key), issuer=ISSUER, audience=AUDIENCE, access_ttl=LIFETIME)
    good = [
        manager.create({"anc": f"{number:011d}"}, subject="uid1").access_token
        for number in range(count)
    ]
    return write(folder / f"tokens-bare-{count}.json", key, {"good": good})


def write(path: Path, key: Key, texts: dict[str, Any]) -> Path:
    """Write texts, and the key that signed them in the form that every library takes."""
    shared = key._secret is not None
    material = {
        "algorithm": key.algorithm,
        "secret": key._secret.decode() if key._secret is not None else None,
        "private": None if shared else key.to_pem(private=True).decode(),
        "public": None if shared else key.to_pem().decode(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**material, **texts}))
    return path
