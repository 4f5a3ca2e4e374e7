"""Reading tokens seen before, while many other sessions are revoked."""

from __future__ import annotations

from typing import Any

from benchmarks.claims import APPLICATION, LIFETIME
from benchmarks.peers.jwt_libraries import Material, Verify, make_manager

from .holding import session_id
from .job import Job
from .reading import Seen

REVOKED = {
    "tokenwheel_million": 1_000_000,
    "released_million": 1_000_000,
    "tokenwheel_ten_million": 10_000_000,
}


class BesideRevocations(Job):
    """One token, and a thousand in turn, where so many others are revoked.

    That a token which was read before is refused once its session is revoked, too, is asserted
    before anything is timed.
    """

    def __init__(self, peer: str, *, one: str, many: str) -> None:
        from tokenwheel import RevocationList

        self.peer = peer
        self.revocations = RevocationList()
        for number in range(REVOKED.get(peer, 0)):
            self.revocations.revoke(session_id(number), LIFETIME)
        self.check(Material.read_from(one))
        self.seen = {
            "the same token": Seen(peer, tokens=one, make=self.make),
            "a thousand in turn": Seen(peer, tokens=many, make=self.make),
        }

    def make(self, material: Material) -> Verify:
        read: Verify = make_manager(material, revocations=self.revocations).read
        return read

    def check(self, material: Material) -> None:
        from tokenwheel.errors import AccessTokenRevoked

        assert len(self.revocations) == REVOKED.get(self.peer, 0)
        manager = make_manager(material, revocations=self.revocations)
        opened = manager.create(APPLICATION, subject="uid1")
        assert manager.read(opened.access_token)["sid"] == opened.session_id
        self.revocations.revoke(opened.session_id, LIFETIME)
        try:
            manager.read(opened.access_token)
        except AccessTokenRevoked:
            return
        raise AssertionError("a revoked token is accepted")

    def facts(self) -> dict[str, Any]:
        return {"revocations": REVOKED.get(self.peer, 0)}

    def round(self) -> dict[str, float]:
        return {name: seen.round()["read"] for name, seen in self.seen.items()}
