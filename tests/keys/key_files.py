"""Key files for the tests of those that follow one."""

from __future__ import annotations

import base64
import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import FakeClock
from tokenwheel import InvalidAccessToken, Key, KeySet, SessionManager
from tokenwheel.keys import KeyFile

_names = itertools.count()


def text_of_set(*keys: Key, private: bool = True, **signs_from: int) -> bytes:
    """Return a JWK Set. ``signs_from`` says of a kid from when its key signs."""
    jwks: list[dict[str, Any]] = []
    for key in keys:
        jwk = key.to_jwk(private=private and key.can_sign)
        if key.kid in signs_from:
            jwk["tokenwheel_signs_from"] = signs_from[key.kid]
        jwks.append(jwk)
    return json.dumps({"keys": jwks}).encode()


def replace(path: Path, text: bytes) -> None:
    """Put another file in the place of one, as is right."""
    new = path.with_name(f"{path.name}.{os.getpid()}.{next(_names)}")
    new.write_bytes(text)
    new.chmod(0o600)
    new.replace(path)


def write_in_place(path: Path, text: bytes) -> None:
    """Write the file that is there, as is wrong."""
    path.write_bytes(text)
    path.chmod(0o600)


class Follower:
    """A manager over a key file, and the clocks of both. Both looks are due after each turn."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.clock = FakeClock(1_700_000_000.0)
        self.timer = FakeClock(50.0)
        self.keys = KeyFile(path, clock=self.clock, timer=self.timer, **options)
        self.manager = SessionManager(self.keys, issuer="i", audience="a", clock=self.clock)

    def pass_a_second(self) -> None:
        """Let both clocks go on, until each looks again."""
        self.clock.advance(1)
        self.timer.advance(1)

    def create(self) -> str:
        return self.manager.create(subject="ann").access_token

    def reads(self, token: str) -> bool:
        """Return True where the token is accepted."""
        said = ""
        try:
            self.manager.read(token)
        except InvalidAccessToken as error:
            said = str(error)
        assert said == "" or said.endswith("key of this service")
        return said == ""


def issuer(*keys: Key, clock: Callable[[], float]) -> SessionManager:
    """Return the manager of another process, which signs with the first of these keys."""
    return SessionManager(KeySet(*keys), issuer="i", audience="a", clock=clock)


def token_by(key: Key, clock: Callable[[], float]) -> str:
    """Return a token that another process has signed with this key."""
    return issuer(key, clock=clock).create(subject="ann").access_token


def kid_of(token: str) -> Any:
    """Return the kid in a token's header."""
    header = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))).get("kid")
