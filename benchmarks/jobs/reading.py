"""Reading access tokens.

That the answers are right, and that what is wrong is refused, is asserted before anything is timed.
"""

from __future__ import annotations

import itertools
import json
import random
import statistics
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.claims import APPLICATION, ISSUER
from benchmarks.contenders import PURE, WITHOUT_AUDIENCE
from benchmarks.peers.jwt_libraries import REMEMBERING, VERIFIERS, Bare, Material, Verify
from benchmarks.timing import BATCH, WARM_UP_SECONDS, Batch, time_calls, time_round

from .job import Job


def find_unchecked(call: Any, bad: dict[str, str]) -> list[str]:
    unchecked = []
    for fault, token in bad.items():
        try:
            call(token)
        except Exception:
            continue
        unchecked.append(fault)
    return unchecked


class Reading(Job):
    def __init__(
        self, peer: str, *, tokens: str, make: Callable[[Material], Verify | Bare] | None = None
    ) -> None:
        self.peer = peer
        self.make = make or VERIFIERS[peer]
        file = json.loads(Path(tokens).read_text())
        self.material = Material(*(file[name] for name in Material._fields))
        if peer in WITHOUT_AUDIENCE:
            file = file["without_audience"]
        self.tokens: list[str] = file["good"]
        self.unchecked: list[str] = []
        self.forget()
        if self.prepare is None:
            claims = self.call(self.tokens[0])
            assert claims["iss"] == ISSUER
            assert {name: claims[name] for name in APPLICATION} == APPLICATION
            self.unchecked = find_unchecked(self.call, file["bad"])
        else:
            self.call(self.prepare(self.tokens[0]))
            self.unchecked = ["exp", "iss", "aud"]
        assert "signature" not in self.unchecked
        self.get_ready()

    def forget(self) -> None:
        """Make a new verifier, which has seen no token."""
        made = self.make(self.material)
        self.prepare, self.call = (
            (made.prepare, made.call) if isinstance(made, Bare) else (None, made)
        )

    @abstractmethod
    def get_ready(self) -> None: ...

    def facts(self) -> dict[str, float | str]:
        return {"unchecked": ", ".join(self.unchecked), "characters": len(self.tokens[0])}


class Seen(Reading):
    """The tokens of the file in turn, all of them read before, each as a fresh ``str``."""

    def get_ready(self) -> None:
        self.raw = itertools.cycle([token.encode() for token in self.tokens])
        for token in self.tokens:
            self.call(token)
        time_round(self.make_batch, WARM_UP_SECONDS)

    def make_batch(self) -> Batch:
        return self.call, [next(self.raw).decode() for _ in range(BATCH)]

    def round(self) -> dict[str, float]:
        return {"read": time_round(self.make_batch)}


class SeenOfEach(Job):
    """``Seen`` for several algorithms in turn, all in one process, each with its own verifier.

    It shows what they cost beside each other.
    """

    def __init__(self, peer: str, *, tokens: dict[str, str]) -> None:
        self.peer = peer
        self.seen = {algorithm: Seen(peer, tokens=path) for algorithm, path in tokens.items()}

    def round(self) -> dict[str, float]:
        return {algorithm: seen.round()["read"] for algorithm, seen in self.seen.items()}


class Unseen(Reading):
    """The tokens of the file in turn, none read before.

    When all have been, a new verifier takes over.
    """

    def get_ready(self) -> None:
        self.raw = [token.encode() for token in self.tokens]
        self.starts = iter(range(0))
        time_round(self.make_batch, WARM_UP_SECONDS)

    def make_batch(self) -> Batch:
        start = next(self.starts, None)
        if start is None:
            self.forget()
            self.starts = iter(range(BATCH, len(self.raw), BATCH))
            start = 0
        texts = [token.decode() for token in self.raw[start : start + BATCH]]
        return self.call, texts if self.prepare is None else [self.prepare(text) for text in texts]

    def round(self) -> dict[str, float]:
        return {"read": time_round(self.make_batch)}


class UnseenClaim(Unseen):
    """``Unseen``, and of each token a claim of the application is looked up.

    Who makes a dict of the claims has made it by then; who doesn't has to find this claim.
    """

    def make_batch(self) -> Batch:
        read, texts = super().make_batch()
        return lambda token: read(token)["role"], texts


class Zipf(Reading):
    """All tokens of the file, the n-th asked for with a likelihood of 1/n.

    A few users are busy and most of them are rare. It is a mean, not a median, since what counts is
    hits and misses together.
    """

    LOOKUPS = 20_000

    def get_ready(self) -> None:
        self.raw = [token.encode() for token in self.tokens]
        self.weights = list(itertools.accumulate(1 / (rank + 1) for rank in range(len(self.raw))))
        self.random = random.Random(1)
        if self.peer in REMEMBERING:
            for _ in range(20 if self.peer in PURE else 50):
                self.round()

    def round(self) -> dict[str, float]:
        lookups = self.LOOKUPS if self.peer in REMEMBERING else self.LOOKUPS // 10
        asked = self.random.choices(self.raw, cum_weights=self.weights, k=lookups)
        spent = [
            time_calls(self.call, [token.decode() for token in asked[start : start + BATCH]])
            for start in range(0, lookups, BATCH)
        ]
        return {"read": statistics.mean(spent)}
