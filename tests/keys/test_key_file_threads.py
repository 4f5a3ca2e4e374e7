"""A key file that many threads follow at once, while others replace it."""

from __future__ import annotations

import threading
from pathlib import Path

from tests.support import FakeClock
from tests.threads.hammering import at_once, beside, turns
from tokenwheel import Key, SessionManager
from tokenwheel.keys import KeyFile

from .key_files import Follower, kid_of, replace, text_of_set, token_by

KEYS = [Key.generate("ES256", kid=str(number)) for number in range(12)]


def test_no_thread_goes_back_to_an_older_file(tmp_path: Path) -> None:
    """And each token that a thread signs is good in all of them at once."""
    path = tmp_path / "keys.json"
    replace(path, text_of_set(KEYS[0]))
    timer = FakeClock()  # which goes on with every look, so that each is due
    keys = KeyFile(path, timer=lambda: timer.advance(0.1) or timer.now)
    managers = [SessionManager(keys, issuer="i", audience="a") for _ in range(2)]
    latest = threading.local()

    def write() -> None:
        for count in range(1, len(KEYS) + 1):
            for _ in range(turns(3)):
                replace(path, text_of_set(KEYS[count - 1], *KEYS[: count - 1]))

    def use() -> None:
        signer, reader = managers
        token = signer.create(subject="ann").access_token
        number = int(kid_of(token))
        assert number >= getattr(latest, "number", 0)
        latest.number = number
        assert reader.read(token)["sub"] == "ann"

    beside(write, use, use, use)


def test_the_first_tokens_of_a_new_key_are_accepted_by_all_threads_at_once(tmp_path: Path) -> None:
    """While one thread takes the key over, the others wait for it and are not refused."""
    path = tmp_path / "keys.json"
    replace(path, text_of_set(KEYS[0]))
    follower = Follower(path)
    for count in range(2, len(KEYS) + 1):
        follower.timer.advance(0.02)
        tokens = [token_by(KEYS[count - 1], follower.clock) for _ in range(4)]
        replace(path, text_of_set(*KEYS[:count]))
        assert at_once(*(lambda t=token: follower.reads(t) for token in tokens)) == [True] * 4
