"""Issuing access tokens, and random tokens."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.claims import APPLICATION
from benchmarks.peers.jwt_libraries import SIGNERS, Material, make_manager
from benchmarks.peers.random_tokens import GENERATORS
from benchmarks.timing import BATCH, WARM_UP_SECONDS, Batch, time_round

from .job import Job

CLAIMS = {"anc": "Ab3xY", **APPLICATION}
SESSIONS = 10_000
"""So many are open before a new manager takes over: a run doesn't end in a storage of millions."""


class Signing(Job):
    def __init__(self, peer: str, *, tokens: str) -> None:
        self.peer = peer
        file = json.loads(Path(tokens).read_text())
        self.material = Material(*(file[name] for name in Material._fields))
        ours = peer.removeprefix("released_").removesuffix("_pure")
        batches = {"create": self.create, "update": self.update}.get(ours, self.sign)()
        self.make_batch = batches.__next__
        call, inputs = self.make_batch()
        check(call(inputs[0]))
        time_round(self.make_batch, WARM_UP_SECONDS)

    def create(self) -> Iterator[Batch]:
        while True:
            manager = make_manager(self.material)
            for start in range(0, SESSIONS, BATCH):
                yield (
                    (lambda subject, create=manager.create: create(CLAIMS, subject=subject)),
                    [f"uid{start + place}" for place in range(BATCH)],
                )

    def update(self) -> Iterator[Batch]:
        manager = make_manager(self.material)
        held = [
            manager.create(CLAIMS, subject=f"uid{number}").refresh_token
            for number in range(SESSIONS)
        ]

        def update(number: int) -> Any:
            tokens = manager.update(held[number], CLAIMS)
            held[number] = tokens.refresh_token
            return tokens

        order = itertools.cycle(range(1, SESSIONS))
        while True:
            yield update, [next(order) for _ in range(BATCH)]

    def sign(self) -> Iterator[Batch]:
        call = SIGNERS[self.peer](self.material)
        while True:
            yield call, range(BATCH)

    def round(self) -> dict[str, float]:
        return {"issue": time_round(self.make_batch)}


def check(issued: Any) -> None:
    token = issued[0] if isinstance(issued, tuple) else getattr(issued, "access_token", issued)
    text = token.decode() if isinstance(token, bytes) else token
    assert text.count(".") == 2
    assert len(text) > 250


class RandomTokens(Job):
    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.call = GENERATORS[peer]()
        made = {self.call(24) for _ in range(1_000)}
        assert {len(token) for token in made} == {32}
        assert len(made) == 1_000
        time_round(lambda: (self.call, [24] * BATCH), WARM_UP_SECONDS)

    def round(self) -> dict[str, float]:
        return {"make": time_round(lambda: (self.call, [24] * BATCH))}
