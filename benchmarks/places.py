"""Where a service keeps its sessions and revocations: the server that a contender needs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.postgres import Postgres
from benchmarks.valkey import Valkey

__all__ = ["Server", "server_of"]

Server = Valkey | Postgres


def server_of(peer: str, cores: Sequence[int]) -> Server | None:
    """Start the server of a contender. Return None where it needs none."""
    if peer.startswith("redis"):
        return Valkey(cores)
    return Postgres(cores) if peer.startswith("sql_") else None
