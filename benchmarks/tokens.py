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
        issue(1, ago=LIFETIME + 9),
        issue(1, issuer=OTHER),
        issue(1, audience=[OTHER]),
    )
    return {"good": good, "bad": {"exp": exp, "iss": iss, "aud": aud, "signature": forge(good[0])}}


def forge(token: str) -> str:
    start = token.rindex(".") + 1
    return token[:start] + ("B" if token[start] == "A" else "A") + token[start + 1 :]


@cache
def write_tokens(folder: Path, algorithm: str, count: int) -> Path:
    """Write so many tokens, and the key that signed them, once a run: they expire."""
    path = folder / f"tokens-{algorithm}-{count}.json"
    key = make_key(algorithm)
    shared = key._secret is not None
    material = {
        "algorithm": algorithm,
        "secret": key._secret.decode() if key._secret is not None else None,
        "private": None if shared else key.to_pem(private=True).decode(),
        "public": None if shared else key.to_pem().decode(),
    }
    texts = issue_tokens(key, count)
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**material, **texts}))
    return path
