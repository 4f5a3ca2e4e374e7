"""Two nodes whose clocks differ by more than the leeway: the log says so, once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import AccessTokenNotYetValid, InvalidAccessToken, MemoryStorage

Make = Callable[..., Any]
Nodes = Callable[[float], tuple[Any, Any]]


@pytest.fixture
def nodes(make: Make, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> Nodes:
    """Make two managers over one storage; the clock of the first is so many seconds ahead."""
    caplog.set_level(logging.WARNING, "tokenwheel")

    def make_nodes(ahead: float) -> tuple[Any, Any]:
        storage = MemoryStorage()
        first = make(storage=storage, leeway=5, clock=lambda: clock.now + ahead)
        return first, make(storage=storage, leeway=5)

    return make_nodes


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged about clocks."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "tokenwheel" and "clock" in record.getMessage()
    ]


def test_a_fresh_token_of_a_node_that_is_too_far_ahead_is_told_of_once(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, node = nodes(20)
    for _ in range(3):
        tokens = ahead.create(subject="uid1")
        for _ in range(2):
            with pytest.raises(AccessTokenNotYetValid):
                node.read(tokens.access_token)
    (message,) = said(caplog)
    assert caplog.records[-1].levelno == logging.WARNING
    assert "about 19.8 seconds ahead" in message  # A token is dated in whole seconds.
    assert "leeway is 5" in message
    assert "NTP" in message
    assert "larger leeway" in message
    for secret in (tokens.access_token, tokens.refresh_token, tokens.session_id, "uid1"):
        assert secret not in message


def test_a_session_used_at_a_node_that_is_too_far_ahead_is_told_of_once(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, node = nodes(20)
    tokens = ahead.create(subject="uid1")
    assert said(caplog) == []
    for _ in range(2):
        tokens = node.update(tokens.refresh_token)
    (message,) = said(caplog)
    assert "about 20.0 seconds ahead" in message


def test_one_manager_says_it_once_whatever_it_saw(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, node = nodes(20)
    tokens = ahead.create(subject="uid1")
    with pytest.raises(AccessTokenNotYetValid):
        node.read(tokens.access_token)
    node.update(tokens.refresh_token)
    assert len(said(caplog)) == 1


def test_clocks_that_differ_by_no_more_than_the_leeway_are_not_told_of(
    nodes: Nodes, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ahead, node = nodes(5)
    tokens = ahead.create(subject="uid1")
    assert node.read(tokens.access_token).subject == "uid1"
    with pytest.raises(AccessTokenNotYetValid):  # A read may be stricter than the clocks are apart.
        node.read(tokens.access_token, leeway=0)
    tokens = node.update(tokens.refresh_token)
    clock.advance(60)
    node.update(tokens.refresh_token)
    assert said(caplog) == []


def test_a_forged_date_is_not_told_of(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    ahead, node = nodes(20)
    token = ahead.create(subject="uid1").access_token
    forged = f"{token[:-20]}{'A' * 19}{token[-1]}"
    with pytest.raises(InvalidAccessToken, match="signature"):
        node.read(forged)
    assert said(caplog) == []
