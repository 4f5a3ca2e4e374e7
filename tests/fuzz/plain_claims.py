"""Claims that are read in place are those that every JSON reader finds, whatever is asked first.

The bytes of the fuzzer say in which order claims are asked for. The rest follows the claims that a
good token has, in the form that is read in place; or it is the whole payload.
"""

from __future__ import annotations

from tests.fuzz.draw import Draw
from tests.twins.asked_claims import GOOD, REMEMBERING, USES, VERIFIERS, check_alike

NAMES = ["sub", "aud", "exp", "role", "a", "", "b", "iss"]
BEGUN = f"{{{','.join(GOOD)}".encode()


def check(data: bytes) -> None:
    draw = Draw(data)
    is_whole = draw.below(4) == 3
    steps = [(draw.choice(sorted(USES)), draw.choice(NAMES)) for _ in range(draw.below(4))]
    rest = draw.rest()
    payload = rest if is_whole else BEGUN + b"," + rest + b"}"
    for verifiers in (VERIFIERS, REMEMBERING):
        check_alike(payload, steps, verifiers)
