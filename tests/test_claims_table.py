"""The table of claims in docs/security.md is true: who sets each, and what a wrong one raises.

The table is read from the page. Each row is tried on tokens that this library issued, and on forged
ones, over both twins.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import tokenwheel
import tokenwheel.jwt
from tests.support import KEY, SECRET, FakeClock, forge, refused
from tests.twins.conftest import TWINS
from tokenwheel import InvalidArgument, KeySet, SessionManager

PAGE = Path(__file__).resolve().parent.parent / "docs" / "security.md"
NOW = 1_700_000_000
SESSION, REVOKED_SESSION, RESTRICTED_SESSION = "A" * 16, "B" * 16, "C" * 16
LEEWAY = 5  # seconds
OURS, THEIRS, NOBODYS = "tokenwheel", "the application", "nobody"
OF_THE_APPLICATION = "any other"
ACCEPTED = "accepted"

# A value of another type, or of a type that only looks right, such as a bool for a number.
OF_ANOTHER_TYPE: dict[str, list[Any]] = {
    "iss": [1, ["i"], None],
    "aud": [1, {"a": 1}, [1], None],
    "sub": [1, ["uid1"], None],
    "sid": [1, [SESSION], None],
    "gen": ["1", 1.0, True, None],
    "iat": ["1", True, None],
    "exp": [str(NOW + 900), True, None],
    "nbf": ["1", True, None],
    "jti": [1, None],
    OF_THE_APPLICATION: [1, None, {"a": [1]}],
}
# What the last column says, and claims that are so.
WRONG: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("iss", "another"): [{"iss": "j"}, {"iss": "i/"}, {"iss": ""}],
    ("aud", "none accepted here"): [{"aud": "b"}, {"aud": ["b", "ab"]}],
    ("sub", "malformed"): [{"sub": ""}, {"sub": "a" * 256}, {"sub": "a\0"}],
    ("sub", "another"): [{"sub": "uid2"}],
    ("sid", "malformed"): [{"sid": "A" * 15}, {"sid": "A" * 17}, {"sid": "=" * 16}],
    ("sid", "an ended session's"): [{"sid": REVOKED_SESSION}],
    ("gen", "out of range"): [{"gen": -1}, {"gen": 2**32 - 1}],
    ("gen", "older than a restriction"): [
        {"sid": RESTRICTED_SESSION},
        {"sid": RESTRICTED_SESSION, "gen": 1},
    ],
    ("gen", "newer"): [{"sid": RESTRICTED_SESSION, "gen": 2}, {"gen": 7}],
    ("iat", "in the future"): [{"iat": NOW + LEEWAY + 1}],
    ("iat", "out of range"): [{"iat": -1}, {"iat": 2**53 + 2}],
    ("exp", "past"): [{"exp": NOW - LEEWAY}, {"exp": 0}],
    ("exp", "out of range"): [{"exp": -1}, {"exp": 2**53 + 2}],
    ("nbf", "in the future"): [{"nbf": NOW + LEEWAY + 1}],
    ("nbf", "out of range"): [{"nbf": -1}, {"nbf": 2**53 + 2}],
    ("jti", "any text"): [{"jti": ""}, {"jti": "1"}],
    (OF_THE_APPLICATION, "any value"): [{"role": "admin"}],
}
OF_ANOTHER_ISSUER = "is of another issuer"
FOR_ANOTHER_AUDIENCE = "is for another audience"

pytestmark = pytest.mark.skipif(
    not PAGE.exists(), reason="a wheel is tested without the pages beside it"
)


def table() -> dict[str, list[str]]:
    """Return the cells of each row of the table by the claim that the row is about."""
    if not PAGE.exists():
        return {}
    section = PAGE.read_text(encoding="utf-8").partition("\n## Claims\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return {row[0].strip("` "): [cell.strip() for cell in row[1:]] for row in rows[2:]}


TABLE = table()


def outcome_of(cell: str) -> str:
    """Return what a cell says happens: the name of an error, or that the token is accepted."""
    named = re.findall(r"`(\w+)`", cell)
    assert len(named) == 1 or (not named and cell.startswith(ACCEPTED)), cell
    return named[0] if named else ACCEPTED


def wrong_of(claim: str) -> dict[str, str]:
    """Return what the last cell of a row says: each way to be wrong, with its outcome."""
    ways = dict(part.strip().split(": ", 1) for part in TABLE[claim][5].split(";"))
    return {way: outcome_of(outcome) for way, outcome in ways.items()}


@pytest.fixture(params=TWINS)
def tokens(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what issues and verifies tokens, made of one twin."""
    modules = {
        name: importlib.import_module(f"tokenwheel._{request.param}.{name}")
        for name in ("signer", "verifier", "revocations")
    }
    monkeypatch.setattr(tokenwheel.jwt, "Signer", modules["signer"].Signer)
    monkeypatch.setattr(tokenwheel.jwt, "Verifier", modules["verifier"].Verifier)
    clock = FakeClock(NOW)
    revocations = modules["revocations"].RevocationTable(clock=clock)
    revocations.revoke(REVOKED_SESSION, 900)
    revocations.revoke(RESTRICTED_SESSION, 900, before=2)
    return tokenwheel.jwt.AccessTokens(
        KeySet(KEY),
        issuer="i",
        audience="a",
        accept_audience=("a",),
        leeway=LEEWAY,
        largest_leeway=60,
        cache_size=100,
        clock=clock,
        revocations=revocations,
    )


def issued(tokens: Any, generation: int = 0) -> dict[str, Any]:
    """Return the claims of a token as this library issues it."""
    token = tokens.issue(
        "uid1",
        SESSION,
        {"role": "user"},
        generation=generation,
        issued_at=NOW,
        expires_at=NOW + 900,
    )
    claims: dict[str, Any] = tokens.verifier.verify(token).to_dict()
    return claims


def check(tokens: Any, claims: dict[str, Any], outcome: str, reason: str) -> None:
    """Check that a forged token with these claims is accepted, or refused as it is told."""
    token = forge(claims)
    read = tokens.verifier.verify
    if outcome == ACCEPTED:
        assert read(token).to_dict() == claims
    elif outcome == "InvalidAccessToken":
        refused(read, token, reason)
    else:
        with pytest.raises(getattr(tokenwheel, outcome)) as caught:
            read(token)
        assert type(caught.value).__name__ == outcome


def reason_of(claim: str) -> str:
    return OF_ANOTHER_ISSUER if claim == "iss" else f"'{claim}' is (missing or )?malformed"


def test_every_claim_of_the_library_has_a_row_and_no_way_to_be_wrong_is_untried() -> None:
    reserved = tokenwheel.session.arguments.RESERVED_CLAIMS
    assert {*TABLE} == {*reserved, OF_THE_APPLICATION} == {*OF_ANOTHER_TYPE}
    assert {(claim, way) for claim in TABLE for way in wrong_of(claim)} == {*WRONG}


def test_the_claims_of_a_token_are_set_by_whom_the_table_says(tokens: Any) -> None:
    ours = {claim for claim, row in TABLE.items() if row[0] == OURS}
    assert {*issued(tokens, generation=1)} == {*ours, "role"}
    assert {*issued(tokens)} == {*ours - {"gen"}, "role"}  # It is left out while it is 0.


@pytest.mark.parametrize("claim", TABLE)
def test_only_the_claims_that_are_the_applications_can_be_given(claim: str) -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a")
    if TABLE[claim][0] == THEIRS:
        tokens = manager.create({"role": "user"}, subject="uid1")
        assert manager.read(tokens.access_token)["role"] == "user"
    else:
        assert TABLE[claim][0] in {OURS, NOBODYS}
        with pytest.raises(InvalidArgument, match=f"claim '{claim}' is the library's own"):
            manager.create({claim: "x"}, subject="uid1")


@pytest.mark.parametrize("claim", TABLE)
def test_who_checks_a_claim_is_who_the_table_says(claim: str) -> None:
    outcomes = {*map(outcome_of, TABLE[claim][3:5]), *wrong_of(claim).values()}
    checker = THEIRS if outcomes == {ACCEPTED} else "`read`"
    assert TABLE[claim][2] == checker


@pytest.mark.parametrize("claim", TABLE)
def test_a_claim_that_is_missing_is_treated_as_the_table_says(tokens: Any, claim: str) -> None:
    claims = issued(tokens)
    claims.pop("role" if claim == OF_THE_APPLICATION else claim, None)
    check(tokens, claims, outcome_of(TABLE[claim][3]), reason_of(claim))


@pytest.mark.parametrize("claim", TABLE)
def test_a_claim_of_another_type_is_treated_as_the_table_says(tokens: Any, claim: str) -> None:
    name = "role" if claim == OF_THE_APPLICATION else claim
    for value in OF_ANOTHER_TYPE[claim]:
        claims = {**issued(tokens), name: value}
        check(tokens, claims, outcome_of(TABLE[claim][4]), reason_of(claim))


@pytest.mark.parametrize("claim", TABLE)
def test_a_claim_that_is_wrong_is_treated_as_the_table_says(tokens: Any, claim: str) -> None:
    for way, outcome in wrong_of(claim).items():
        reason = FOR_ANOTHER_AUDIENCE if claim == "aud" else reason_of(claim)
        for changes in WRONG[claim, way]:
            check(tokens, {**issued(tokens), **changes}, outcome, reason)
