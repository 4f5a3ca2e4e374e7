"""What threads, or processes, do over and over: reading, issuing, and the empty loop beside them.

Threads share one manager, as in a server. All else a thread makes for itself, since what it gets
from another costs it more. That the answers are right is asserted while it gets ready.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import jwt
from benchmarks.claims import ACCEPTED, APPLICATION, AUDIENCE, ISSUER, LIFETIME

from tokenwheel import Key, KeySet, SessionManager
from tokenwheel.errors import InvalidAccessToken

Batch = Callable[[], int]
"""Does some calls, and returns how many."""
TOKENS = 64
"""So many a thread reads in turn, where it has tokens of its own."""
SESSIONS = 50
SECRET = Key.generate("HS256")._secret or b""


class Variant(ABC):
    title: str
    ours = True

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Make the manager anew, which the last round has filled."""
        self.manager = SessionManager(
            KeySet(Key.from_secret(SECRET, "HS256")),
            issuer=ISSUER,
            audience=AUDIENCE,
            accept_audience=ACCEPTED,
            access_ttl=LIFETIME,
        )

    @abstractmethod
    def make_batch(self, number: int) -> Batch:
        """Return what the thread of this number does; called by that very thread."""

    def make_tokens(self, number: int, count: int = TOKENS) -> list[bytes]:
        """Return tokens as they come from a socket. Each read makes a new ``str`` of its own."""
        return [
            self.manager.create(APPLICATION, subject=f"uid{number}").access_token.encode()
            for _ in range(count)
        ]


class EmptyLoop(Variant):
    title = "the empty loop"
    ours = False

    def make_batch(self, number: int) -> Batch:
        raw = self.make_tokens(number)

        def batch() -> int:
            for token in raw:
                token.decode()
            return len(raw)

        return batch


class ReadOwn(Variant):
    title = "`read`, tokens of its own"

    def tokens_of(self, number: int) -> list[bytes]:
        return self.make_tokens(number)

    def make_batch(self, number: int) -> Batch:
        raw, read = self.tokens_of(number), self.manager.read
        assert read(raw[0].decode())["role"] == "user"
        try:
            read(forge(raw[0].decode()))
        except InvalidAccessToken:
            pass
        else:
            raise AssertionError("a forged token is accepted")

        def batch() -> int:
            for token in raw:
                read(token.decode())
            return len(raw)

        return batch


class ReadShared(ReadOwn):
    title = "`read`, one token for all"

    def renew(self) -> None:
        super().renew()
        [self.shared] = self.make_tokens(0, 1)

    def tokens_of(self, number: int) -> list[bytes]:
        return [bytes(bytearray(self.shared)) for _ in range(TOKENS)]


class Create(Variant):
    title = "`create`"

    def make_batch(self, number: int) -> Batch:
        create, subject = self.manager.create, f"uid{number}"
        assert (
            self.manager.read(create(APPLICATION, subject=subject).access_token)["role"] == "user"
        )

        def batch() -> int:
            for _ in range(SESSIONS):
                create(APPLICATION, subject=subject)
            return SESSIONS

        return batch


class Update(Variant):
    title = "`update`"

    def make_batch(self, number: int) -> Batch:
        update, subject = self.manager.update, f"uid{number}"
        held = [
            self.manager.create(APPLICATION, subject=subject).refresh_token for _ in range(SESSIONS)
        ]

        def batch() -> int:
            for place in range(SESSIONS):
                held[place] = update(held[place], APPLICATION).refresh_token
            return SESSIONS

        before = held[0]
        batch()
        assert held[0] != before
        return batch


class Decode(Variant):
    title = "PyJWT `decode`"
    ours = False

    def make_batch(self, number: int) -> Batch:
        raw, decode = self.make_tokens(number), jwt.decode
        key = jwt.get_algorithm_by_name("HS256").prepare_key(SECRET)
        options: dict[str, Any] = {"algorithms": ["HS256"], "audience": ACCEPTED, "issuer": ISSUER}
        assert decode(raw[0].decode(), key, **options)["role"] == "user"

        def batch() -> int:
            for token in raw:
                decode(token.decode(), key, algorithms=["HS256"], audience=ACCEPTED, issuer=ISSUER)
            return len(raw)

        return batch


class Encode(Variant):
    title = "PyJWT `encode`"
    ours = False

    def make_batch(self, number: int) -> Batch:
        encode, subject = jwt.encode, f"uid{number}"
        key = jwt.get_algorithm_by_name("HS256").prepare_key(SECRET)

        def batch() -> int:
            for _ in range(SESSIONS):
                now = int(time.time())
                times = {"iat": now, "exp": now + LIFETIME}
                claims = {"sub": subject, **APPLICATION, "iss": ISSUER, "aud": AUDIENCE, **times}
                encode(claims, key, "HS256")
            return SESSIONS

        return batch


def forge(token: str) -> str:
    start = token.rindex(".") + 1
    return token[:start] + ("B" if token[start] == "A" else "A") + token[start + 1 :]


VARIANTS: list[type[Variant]] = [EmptyLoop, ReadOwn, ReadShared, Create, Update, Decode, Encode]
