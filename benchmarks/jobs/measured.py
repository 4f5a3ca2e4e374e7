"""Reading tokens seen before, by a manager whose metrics are collected."""

from __future__ import annotations

from benchmarks.claims import ACCEPTED, AUDIENCE, ISSUER
from benchmarks.peers.jwt_libraries import Material, Verify, read_key

from .reading import Seen


class Measured(Seen):
    """The same manager, alone, or with a collector of Prometheus registered."""

    def __init__(self, peer: str, *, tokens: str) -> None:
        super().__init__(peer, tokens=tokens, make=self.make_reader)

    def make_reader(self, material: Material) -> Verify:
        from prometheus_client import CollectorRegistry

        from tokenwheel import KeySet, SessionManager
        from tokenwheel.metrics import SessionCollector

        self.manager = SessionManager(
            KeySet(read_key(material)),
            issuer=ISSUER,
            audience=AUDIENCE,
            accept_audience=ACCEPTED,
        )
        if self.peer == "measured":
            self.registry = CollectorRegistry()
            self.registry.register(SessionCollector(self.manager))
        read: Verify = self.manager.read
        return read
