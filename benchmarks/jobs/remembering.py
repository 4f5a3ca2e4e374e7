"""What a verifier's memory of the tokens that it has read takes."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.peers.jwt_libraries import Material, Verify, pyjwt_dict, tokenwheel_roomy

from .holding import resident_bytes
from .job import Job

SAMPLE = 1_000  # tokens

# Whoever stops remembering when its default memory is full would seem to take less.
MAKERS: dict[str, Callable[[Material], Verify]] = {"pyjwt_dict": pyjwt_dict}


class Remembering(Job):
    """Every token of the file read once, each a ``str`` of its own, by a verifier that keeps all.

    The tokens themselves are part of what is measured where they are kept. The claims of each were
    looked at by nobody.
    """

    def __init__(self, peer: str, *, tokens: str) -> None:
        self.peer = peer
        file = json.loads(Path(tokens).read_text())
        material = Material(*(file[name] for name in Material._fields))
        raw = [token.encode() for token in file["good"]]
        del file
        self.characters = len(raw[0])
        self.read = MAKERS.get(peer, tokenwheel_roomy)(material)
        self.read(raw[0].decode())  # imports what is imported late
        self.seconds, self.bytes_per_token = self.measure(raw[1:])

    def measure(self, raw: list[bytes]) -> tuple[float, float]:
        """Return the seconds, and the bytes of resident memory, that a token took."""
        read = self.read
        gc.collect()
        before, start = resident_bytes(), perf_counter()
        claims = [read(token.decode()) for token in raw[:SAMPLE]]
        for token in raw[SAMPLE:]:
            read(token.decode())
        spent = perf_counter() - start
        gc.collect()
        taken = resident_bytes() - before
        self.check(raw[:SAMPLE], claims)
        return spent / len(raw), taken / len(raw)

    def check(self, raw: list[bytes], claims: list[Any]) -> None:
        """Assert that tokens read first, and no more since, are remembered after all others."""
        for token, before in zip(raw, claims, strict=True):
            assert self.read(token.decode()) is before, "what was read is not remembered"
            assert before["sub"] == "uid1"

    def facts(self) -> dict[str, Any]:
        return {"bytes_per_token": self.bytes_per_token, "characters": self.characters}

    def round(self) -> dict[str, float]:
        return {"read": self.seconds}
