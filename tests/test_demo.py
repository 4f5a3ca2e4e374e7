"""``tokenwheel demo``: tells its story, shows its timings, and fails where a promise is broken."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

from tokenwheel import SessionManager, demo


def test_the_demo_behaves_as_promised_and_shows_how_long_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert demo.run() == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "Everything behaved as promised" in shown.out
    assert len(re.findall(r"^ (?:✓|ok) \S", shown.out, re.MULTILINE)) == 9
    assert re.search(r"verify a token seen before( +[\d.]+){2}|( +-)", shown.out)
    assert "What to do next" in shown.out
    assert "tokenwheel keys new" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "\x1b" not in shown.out, "no colours where it isn't a terminal"
    assert not re.search(r"[A-Za-z0-9_-]{24,}", shown.out), (
        "nothing that could be a token is printed"
    )


def run_on_a_terminal(**environment: str) -> str:
    """Return what a terminal of 80 columns is sent by the demo."""
    pty = pytest.importorskip("pty")
    kept = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    kept |= {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | environment
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tokenwheel", "demo"]
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, env=kept) as running:
        os.close(theirs)
        sent = b""
        # Linux tells the end of a terminal by an error, other systems by an empty answer.
        with suppress(OSError):
            while part := os.read(ours, 65_536):
                sent += part
    os.close(ours)
    assert running.returncode == 0
    return sent.decode()


def test_a_terminal_gets_colours_and_progress() -> None:
    sent = run_on_a_terminal()
    assert "\x1b[32m✓\x1b[0m Ann logs in" in sent
    assert "measuring: refresh, with rotation" in sent
    assert "\r\x1b[K" in sent, "what was written of the progress is written over"


@pytest.mark.parametrize("asked", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["no color", "dumb"])
def test_a_terminal_without_colours_gets_plain_text(asked: dict[str, str]) -> None:
    sent = run_on_a_terminal(**asked)
    assert "\x1b" not in sent
    assert "Everything behaved as promised." in sent


def test_an_output_that_knows_no_check_mark_gets_words() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tokenwheel", "demo"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"\n ok Ann logs in" in ran.stdout


def test_a_broken_promise_is_said_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forget(self: SessionManager, subject: str) -> int:
        return 1

    monkeypatch.setattr(SessionManager, "delete_all", forget)
    assert demo.run() == 1
    assert "NOT AS PROMISED: no token survives logging out everywhere" in capsys.readouterr().err


def test_a_step_that_is_not_refused_is_a_broken_promise(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def accept(self: SessionManager, *arguments: Any, **options: Any) -> None: ...

    monkeypatch.setattr(SessionManager, "restrict_all", accept)
    assert demo.run() == 1
    assert "NOT AS PROMISED" in capsys.readouterr().err
