"""A process that creates, refreshes, restricts and ends sessions is killed at a random moment.

What it had answered holds afterwards. Each answer goes into a pipe once the call has returned, as a
server writes to its client. What is being done is told before, since a call that was cut off may
have taken effect or not, but never by half.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tokenwheel import SessionManager, SessionNotFound

from .support import check_file, make_manager, managed, refuses, run_apart

LIVES = 3  # of the process, over one file
LONGEST_LIFE = 0.03  # seconds: several dozen calls

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_what_was_answered_holds_after_a_kill(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    run_apart(live_and_die, tmp_path, seed, 12)


@pytest.mark.long
def test_what_was_answered_holds_after_hundreds_of_kills(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    run_apart(live_and_die, tmp_path, seed, 250)


@dataclass
class Known:
    """What a session's client knows of it."""

    subject: str
    refresh_token: str
    good: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    has_ended: bool = False
    cut_off: str = ""  # the call that was never answered


def live_and_die(folder: Path, seed: int, files: int) -> None:
    chance = random.Random(seed)
    for number in range(files):
        path = folder / f"{number}.db"
        sessions: dict[str, Known] = {}
        for life in range(LIVES):
            lines = watch_until_killed(path, chance)
            for line in lines:
                learn(sessions, *json.loads(line))
            check(path, sessions, f"file {number}, life {life}")


def watch_until_killed(path: Path, chance: random.Random) -> list[str]:
    """Start the process, and kill it after a random time. Return the lines that it had written.

    The time may be over before the process makes its first call.
    """
    reading, writing = os.pipe()
    seed, delay = chance.random(), chance.random() * LONGEST_LIFE
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            work_with(make_manager(path), random.Random(seed), writing)
        finally:
            os._exit(1)
    os.close(writing)
    time.sleep(delay)  # The moment is what this test is about.
    os.kill(child, signal.SIGKILL)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the process ended by itself"
    return lines


def work_with(
    manager: SessionManager,
    chance: random.Random,
    pipe: int,
    forgiven: tuple[type[Exception], ...] = (),
) -> None:
    """Call the manager until the process is killed.

    Args:
        manager: of this process.
        chance: decides what is called.
        pipe: where to tell what was called and answered.
        forgiven: errors after which it goes on with other sessions.
    """

    def tell(*words: Any) -> None:
        # In one piece, as long as a pipe takes 4096 bytes at once.
        os.write(pipe, json.dumps(words).encode() + b"\n")

    # Subjects of its own, so that delete_all ends none but those it knows.
    life = chance.getrandbits(32)
    mine: list[tuple[str, str, str]] = []  # subject, session, refresh token
    unsure: set[tuple[str, str]] = set()  # subject, session: of calls that were never answered

    def call_once() -> None:
        nonlocal mine
        kind = chance.choice(
            [
                "create",
                "create",
                "update",
                "update",
                "update",
                "restrict_one",
                "delete_one",
                "delete_all",
            ]
        )
        if kind == "create" or not mine:
            tokens = manager.create(subject=f"{life} {chance.randrange(6)}")
            subject = str(manager.read(tokens.access_token)["sub"])
            tell("created", subject, tokens.session_id, tokens.access_token, tokens.refresh_token)
            mine.append((subject, tokens.session_id, tokens.refresh_token))
            return
        subject, session_id, refresh_token = mine.pop(chance.randrange(len(mine)))
        ended = [session_id]
        if kind == "delete_all":
            ended += [other for owner, other, _ in mine if owner == subject]
            ended += [other for owner, other in unsure if owner == subject]
            mine = [entry for entry in mine if entry[0] != subject]
        tell("begun", subject, kind, ended)
        called = {(subject, each) for each in ended}
        unsure.update(called)
        if kind == "update":
            tokens = manager.update(refresh_token)
            tell("updated", subject, session_id, tokens.access_token, tokens.refresh_token)
            mine.append((subject, session_id, tokens.refresh_token))
        elif kind == "restrict_one":
            manager.restrict_one({"sub": subject, "sid": session_id})
            tell("restricted", subject, session_id)
            mine.append((subject, session_id, refresh_token))
        else:
            manager.delete_one(subject, session_id) if kind == "delete_one" else manager.delete_all(
                subject
            )
            tell("ended", subject, ended)
        unsure.difference_update(called)

    while True:
        with suppress(*forgiven):
            call_once()


def learn(sessions: dict[str, Known], what: str, subject: str, about: Any, *more: Any) -> None:
    if what == "begun":
        for session_id in more[0]:
            sessions[session_id].cut_off = about
        return
    if what == "ended":
        for session_id in about:
            known = sessions[session_id]
            known.has_ended, known.cut_off = True, ""
            known.refused += known.good
            known.good = []
        return
    if what == "created":
        sessions[about] = Known(subject, more[1])
    known = sessions[about]
    known.cut_off = ""
    if what == "restricted":
        known.refused += known.good
        known.good = []
    else:
        known.good.append(more[0])
        known.refresh_token = more[1]


def check(path: Path, sessions: dict[str, Known], when: str) -> None:
    """Check what a worker finds that starts after the kill."""
    if not path.exists():
        assert not sessions
        return
    check_file(path)
    with managed(path) as manager:
        for session_id, known in sessions.items():
            check_one(manager, session_id, known, when)


def check_one(manager: SessionManager, session_id: str, known: Known, when: str) -> None:
    for token in known.refused:
        assert refuses(manager, token), (
            f"{when}: a token is accepted after {known} had been revoked"
        )
    is_there = session_id in manager.read_all(known.subject)
    if known.has_ended:
        assert not is_there, f"{when}: a session that was ended is there again"
    elif known.cut_off not in ("delete_one", "delete_all"):
        assert is_there, f"{when}: a session was lost while it was in {known.cut_off or 'use'}"
    if not is_there:
        assert all(refuses(manager, token) for token in known.good), (
            f"{when}: a session is gone and its tokens live"
        )
        with pytest.raises(SessionNotFound, match="no session is open"):
            manager.update(known.refresh_token)
        known.has_ended = True
        return
    if known.cut_off in ("", "update"):
        assert not any(refuses(manager, token) for token in known.good), (
            f"{when}: a token is refused that nobody revoked"
        )
    elif known.cut_off == "restrict_one":
        # Cut off, it may leave tokens refused; called again, it is whole.
        manager.restrict_one({"sub": known.subject, "sid": session_id})
        known.refused, known.good = known.refused + known.good, []
    else:
        assert manager.delete_one(known.subject, session_id) is True
        known.refused, known.good, known.has_ended = known.refused + known.good, [], True
        assert all(refuses(manager, token) for token in known.refused)
        return
    # Where an update was cut off it may be the one before the current, within its grace.
    tokens = manager.update(known.refresh_token)
    assert not refuses(manager, tokens.access_token), f"{when}: a token is not good at once"
    known.good.append(tokens.access_token)
    known.refresh_token, known.cut_off = tokens.refresh_token, ""
