"""``tokenwheel demo``: tells its story, shows its timings, and fails where a promise is broken."""

from __future__ import annotations

import re
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
    assert len(re.findall(r"^ ?\d+\. ", shown.out, re.MULTILINE)) == 9
    assert re.search(r"verify a token seen before +[\d.-]+ +[\d.-]+$", shown.out, re.MULTILINE)
    assert not re.search(r"[A-Za-z0-9_-]{24,}", shown.out), (
        "nothing that could be a token is printed"
    )


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
