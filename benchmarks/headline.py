"""The headline cases of ``make bench-check``, and the process that times them for one build.

    python -I benchmarks/headline.py

This reads the name of a case from each line of its input. It answers with the nanoseconds a call
takes, or with a dash where this build does not have what the case needs. Nothing but the public
interface is used, so that any older build can be asked.

What is timed is the processor time of many calls, several times over, and the least of these:
whatever else a machine does can only add to it. Texts are made anew for each batch, as a server
makes them from what it receives: a text used before would know its hash already.
"""

from __future__ import annotations

import base64
import gc
import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

BATCHES = 7
ENTRIES = (
    10_000  # few enough for the processor's caches, whose share others on the machine can take away
)
ISSUER, AUDIENCE = "auth-server.com", ["auth-server.com", "rest-server.com"]
CLAIMS = {"role": "user", "name": "John"}

# What a batch calls, and with which arguments one after the other; made anew for every batch.
Batch = Callable[[], tuple[Callable[[Any], Any], Sequence[Any]]]


def manager(algorithm: str = "HS256", **options: Any) -> Any:
    from tokenwheel import Key, KeySet, SessionManager

    return SessionManager(
        KeySet(Key.generate(algorithm)), issuer=ISSUER, audience=AUDIENCE, **options
    )


def read(algorithm: str, calls: int, **options: Any) -> Batch:
    reader = manager(algorithm, **options)
    raw = reader.create(CLAIMS, subject="uid1").access_token.encode()
    return lambda: (reader.read, [raw.decode() for _ in range(calls)])


def refuse(calls: int) -> Batch:
    """Read a token that names no key, as whoever wants to keep a service busy makes them."""
    reader = manager()
    payload_and_signature = reader.create(CLAIMS, subject="uid1").access_token.partition(".")[2]
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"at+jwt","kid":"invented"}')
    raw = b".".join([header.rstrip(b"="), payload_and_signature.encode()])

    def read(token: str) -> None:
        with suppress(Exception):
            reader.read(token)

    return lambda: (read, [raw.decode() for _ in range(calls)])


def read_claim(calls: int) -> Batch:
    reader = manager(verified_cache_size=0)
    raw = reader.create(CLAIMS, subject="uid1").access_token.encode()
    return lambda: (
        lambda token: reader.read(token)["role"],
        [raw.decode() for _ in range(calls)],
    )


def read_beside_revocations(calls: int) -> Batch:
    from tokenwheel import RevocationList

    revocations = RevocationList()
    for _ in range(ENTRIES):
        revocations.revoke(secrets.token_urlsafe(12), 900)
    return read("HS256", calls, revocations=revocations)


def create() -> Batch:
    issuer = manager()
    return lambda: (lambda number: issuer.create(CLAIMS, subject=f"uid{number}"), range(100))


def update() -> Batch:
    issuer = manager()
    latest = issuer.create(CLAIMS, subject="uid1").refresh_token

    def refresh(_: int) -> None:
        nonlocal latest
        latest = issuer.update(latest, CLAIMS).refresh_token

    return lambda: (refresh, range(100))


def new_token() -> Batch:
    import tokenwheel

    return lambda: (tokenwheel.new_token, [24] * 1_000)


def is_revoked() -> Batch:
    from tokenwheel import RevocationList

    revocations = RevocationList()
    ids = [secrets.token_urlsafe(12).encode() for _ in range(ENTRIES)]
    for session_id in ids:
        revocations.revoke(session_id.decode(), 900)
    return lambda: (revocations.is_revoked, [secrets.choice(ids).decode() for _ in range(1_000)])


def cache(operation: str) -> Batch:
    from tokenwheel import ExpiringCache

    entries: Any = ExpiringCache()
    keys = [secrets.token_urlsafe(18).encode() for _ in range(ENTRIES)]
    for key in keys:
        entries.set(key.decode(), "value", 900)
    call = entries.get if operation == "get" else lambda key: entries.set(key, "value", 900)
    return lambda: (call, [secrets.choice(keys).decode() for _ in range(1_000)])


CASES: dict[str, Callable[[], Batch]] = {
    "read, seen before": lambda: read("HS256", 1_000),
    "read, seen, revocations": lambda: read_beside_revocations(1_000),
    "read, not seen, HS256": lambda: read("HS256", 300, verified_cache_size=0),
    "read, not seen, a claim": lambda: read_claim(300),
    "read, not seen, ES256": lambda: read("ES256", 20, verified_cache_size=0),
    "read, unknown key": lambda: refuse(300),
    "create": create,
    "update": update,
    "new_token(24)": new_token,
    "is_revoked": is_revoked,
    "cache.get": lambda: cache("get"),
    "cache.set": lambda: cache("set"),
}


def nanoseconds(batch: Batch) -> float:
    """Return the nanoseconds that a call takes."""
    least = float("inf")
    for _ in range(BATCHES):
        call, arguments = batch()
        started = time.thread_time_ns()
        for argument in arguments:
            call(argument)
        least = min(least, (time.thread_time_ns() - started) / len(arguments))
    return least


def main() -> None:
    ready: dict[str, Batch | None] = {}
    gc.disable()
    for line in sys.stdin:
        name = line.strip()
        if name not in ready:
            try:
                ready[name] = CASES[name]()
            except (ImportError, AttributeError, TypeError):
                ready[name] = None
        batch = ready[name]
        print("-" if batch is None else nanoseconds(batch), flush=True)


if __name__ == "__main__":
    main()
