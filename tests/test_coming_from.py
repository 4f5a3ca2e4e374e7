"""What docs/coming_from.md calls ours is ours: each option, call and error that it names."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import tokenwheel
from tokenwheel import Claims, KeySet, SessionManager

PAGE = Path(__file__).resolve().parent.parent / "docs" / "coming_from.md"
OURS = {
    *vars(tokenwheel),
    *dir(SessionManager),
    *dir(Claims),
    *dir(KeySet),
    *inspect.signature(SessionManager).parameters,
    *inspect.signature(SessionManager.create).parameters,
    *inspect.signature(SessionManager.read).parameters,
    "tokenwheel",
    *("iss", "aud", "sub", "sid", "gen", "iat", "exp", "True"),
}

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is tested without the pages")


def names_called_ours() -> list[str]:
    rows = re.findall(
        r"^\|(?! ---)[^|]*\|([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    spans = [span for row in rows for span in re.findall(r"`([^`]+)`", row)]
    return [re.match(r"[.\w]*", span)[0].strip(".").partition(".")[0] for span in spans]  # type: ignore[index]


def test_every_option_call_and_error_that_is_called_ours_exists() -> None:
    names = names_called_ours()
    assert len(names) > 40
    assert [name for name in names if name and name not in OURS] == []


def test_the_lifetimes_and_the_leeway_are_the_defaults_that_it_tells() -> None:
    defaults = {
        name: parameter.default
        for name, parameter in inspect.signature(SessionManager).parameters.items()
    }
    page = PAGE.read_text(encoding="utf-8")
    assert (defaults["access_ttl"], defaults["leeway"], defaults["reuse_grace"]) == (900, 5, 10)
    assert defaults["refresh_ttl"] == 30 * 24 * 3600
    for told in ("`access_ttl` (900 seconds)", "`refresh_ttl` (30 days)", "`leeway` (5)"):
        assert told in page
