"""What the fuzzer found stays found: each target is tried with all that was worth keeping."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz import access_tokens
from tests.fuzz.targets import CORPUS, TARGETS, loaded

MOST_FILES = 48
MOST_BYTES = 400


@pytest.mark.parametrize("target", TARGETS)
def test_no_promise_is_broken_by_what_the_fuzzer_kept(target: str) -> None:
    files = sorted((CORPUS / target).iterdir())
    assert 12 <= len(files) <= MOST_FILES
    with loaded(target) as check:
        check(b"")
        for path in files:
            data = path.read_bytes()
            assert len(data) <= MOST_BYTES
            check(data)


class Gullible:
    """A verifier that takes whatever it is given for a token."""

    def verify(self, token: Any) -> Any:
        return self

    def to_dict(self) -> Any:
        return {"sub": "root"}


@pytest.mark.parametrize("how_many", ["one", "all"])
def test_a_verifier_that_accepts_too_much_is_found_out(
    how_many: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifiers = access_tokens.VERIFIERS
    count = len(verifiers) if how_many == "all" else 1
    monkeypatch.setattr(
        access_tokens, "VERIFIERS", [*verifiers[count:], *(Gullible() for _ in range(count))]
    )
    with pytest.raises(AssertionError), loaded("access_tokens") as check:
        check(b"\x01not a token")
