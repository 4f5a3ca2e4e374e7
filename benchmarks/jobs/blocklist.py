"""Reading a token where logouts are kept on a server.

They are looked up there at each request, or heard of beforehand.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.claims import APPLICATION, LIFETIME
from benchmarks.peers.jwt_libraries import Material, Verify, make_manager, pyjwt
from benchmarks.valkey import Valkey

from .job import Job
from .reading import Seen, Unseen

LONGEST_WAIT = 10.0  # seconds, for what takes a moment


class Blocklist(Job):
    """Tokens seen before and tokens never seen.

    That a revoked token is refused is asserted before anything is timed.
    """

    def __init__(self, peer: str, *, seen: str, unseen: str, cores: Sequence[int]) -> None:
        self.peer = peer
        self.server = Valkey(cores)
        self.client = self.server.client()
        if peer == "redis_fed":
            self.revocations = self.server.options()["revocations"]
        if peer != "pyjwt":
            self.check_revocation(Material.read_from(seen))
        self.seen = Seen(peer, tokens=seen, make=self.make)
        self.unseen = Unseen(peer, tokens=unseen, make=self.make)

    def facts(self) -> dict[str, Any]:
        if self.peer == "pyjwt":
            return {"unchecked": ", ".join([*self.seen.unchecked, "revocation"])}
        return {"unchecked": ", ".join(self.seen.unchecked), "server": self.server.version}

    def make(self, material: Material) -> Verify:
        decode = pyjwt(material)
        if self.peer == "pyjwt":
            return decode
        if self.peer == "redis_fed":
            read: Verify = make_manager(material, revocations=self.revocations).read
            return read
        exists = self.client.exists

        def check(token: str) -> Any:
            claims = decode(token)
            if exists(f"blocklist:{claims['sid']}"):
                raise PermissionError("revoked")
            return claims

        return check

    def check_revocation(self, material: Material) -> None:
        """Somebody else ends a session whose token was accepted before."""
        from tokenwheel.errors import AccessTokenRevoked

        read = self.make(material)
        elsewhere = make_manager(material, **self.server.options())
        opened = elsewhere.create(APPLICATION, subject="uid1")
        assert read(opened.access_token)["sid"] == opened.session_id
        assert elsewhere.delete_one("uid1", opened.session_id)
        self.client.set(f"blocklist:{opened.session_id}", 1, ex=LIFETIME)
        end = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                read(opened.access_token)
            except (AccessTokenRevoked, PermissionError):
                break
            assert time.monotonic() < end, "a revoked token is accepted"
        elsewhere.close()

    def round(self) -> dict[str, float]:
        return {"seen": self.seen.round()["read"], "unseen": self.unseen.round()["read"]}
