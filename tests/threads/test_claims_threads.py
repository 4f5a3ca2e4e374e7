"""Threads that ask the same claims at the same moment get the same answers. Both twins."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support import KEY
from tests.twins.asked_claims import GOOD, USES, signed
from tests.twins.differential import TWINS, make_verifier

THREADS = 4
ROUNDS = 150
PAYLOAD = "{" + ",".join([*GOOD, '"role":"user"', '"roles":["a"]']) + "}"


@pytest.mark.parametrize("implementation", TWINS)
@pytest.mark.parametrize("cache_size", [0, 9])
def test_claims_that_no_thread_has_asked_before_are_alike_to_all(
    implementation: str, cache_size: int
) -> None:
    verifier = make_verifier(implementation, [KEY], cache_size=cache_size)
    token = signed(PAYLOAD)
    order = sorted(USES)
    expected = {use: repr(USES[use](verifier.verify(token), "roles")) for use in order}
    together = threading.Barrier(THREADS)
    claims: list[Any] = []

    def ask(number: int) -> None:
        try:
            for turn in range(ROUNDS):
                if number == 0:
                    verifier.set_keys([KEY])
                    claims.append(verifier.verify(token))
                together.wait()
                start = turn + (number if turn % 2 else 0)
                for place in range(len(order)):
                    use = order[(start + place) % len(order)]
                    assert repr(USES[use](claims[turn], "roles")) == expected[use]
                together.wait()
        except BaseException:
            together.abort()  # so that no other thread waits for this one
            raise

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(ask, number) for number in range(THREADS)]:
            done.result()
