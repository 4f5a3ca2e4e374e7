"""Rotations of a set of keys and what leaves it, at moments that the test chooses.

Invariants: one key signs at each moment; a change alters nothing of who signs before it said so; a
key that leaves has no token alive, wherever and by whatever clock it was signed; each change is
told from the one before.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import secret_of
from tokenwheel import InvalidArgument, Key
from tokenwheel.keys.file.file_changes import (
    CLOCK_TOLERANCE,
    key_states,
    with_new_key,
    without_key,
    without_spent,
)
from tokenwheel.keys.forms.jwks import KeyList, ListedKey

TTL, LEEWAY = 900, 60
SKEW = 29  # seconds by which each process may be off: two of them, and a second to take over
NOW = 1_000_000
PUBLIC = Key.from_jwk(Key.generate("ES256", kid="public").to_jwk())


def secret(kid: str) -> Key:
    return Key.from_secret(secret_of(kid), kid=kid)


def listed(
    kid: str, made_at: int | None = None, signs_from: int | None = None, *, public: bool = False
) -> ListedKey:
    key = Key.from_jwk(PUBLIC.to_jwk() | {"kid": kid}) if public else secret(kid)
    return ListedKey(key, made_at, signs_from)


def kids(keys: KeyList) -> list[str | None]:
    return [item.key.kid for item in keys.keys]


def signing(keys: KeyList, now: float) -> str | None:
    found = keys.signing_at(now)
    return None if found is None else found.key.kid


def test_a_new_key_signs_after_the_time_and_the_one_so_far_until_then() -> None:
    keys = KeyList((listed("a", NOW - 5),))
    rotated = with_new_key(keys, secret("b"), NOW + 0.9, 3600)
    assert kids(rotated.keys) == ["a", "b"]
    assert rotated.added[1:] == (NOW, NOW + 3600)
    assert rotated.before.key.kid == "a"
    assert rotated.keys.updated_at == NOW
    assert signing(rotated.keys, NOW + 3599.9) == "a"
    assert signing(rotated.keys, NOW + 3600) == "b"


def test_a_key_goes_once_its_last_token_has_expired_for_every_clock_and_no_second_sooner() -> None:
    keys = with_new_key(KeyList((listed("a"),)), secret("b"), NOW, 100).keys
    last = NOW + 100 + TTL + LEEWAY + CLOCK_TOLERANCE
    assert [state.may_go_at for state in key_states(keys, NOW, TTL, LEEWAY)] == [last, None]
    assert without_spent(keys, last, TTL, LEEWAY) is keys
    remaining = without_spent(keys, last + 1, TTL, LEEWAY)
    assert kids(remaining) == ["b"]
    assert remaining.updated_at == last + 1
    assert without_spent(remaining, last + 10**9, TTL, LEEWAY) is remaining


def test_a_shared_secret_takes_over_from_a_key_pair_only_where_forced() -> None:
    pair = ListedKey(Key.generate("ES256", kid="pair"))
    with pytest.raises(InvalidArgument, match="every service that verifies by the public keys"):
        with_new_key(KeyList((pair,)), secret("b"), NOW, 3600)
    forced = with_new_key(KeyList((pair,)), secret("b"), NOW, 3600, force=True)
    assert kids(forced.keys) == ["pair", "b"]
    back = with_new_key(KeyList((listed("a"),)), Key.generate("ES256", kid="c"), NOW, 3600)
    assert kids(back.keys) == ["a", "c"]


def test_a_second_rotation_while_a_key_waits_is_refused_and_says_which_and_until_when() -> None:
    keys = with_new_key(KeyList((listed("a"),)), secret("b"), NOW, 3600).keys
    with pytest.raises(InvalidArgument, match=r"kid b is waiting .* from 1970-01-12 14:46:40 UTC"):
        with_new_key(keys, secret("c"), NOW + 3599, 0)
    forced = with_new_key(keys, secret("c"), NOW + 10, 60, force=True)
    assert [item.key.kid for item in forced.waiting] == ["b"]
    assert [signing(forced.keys, NOW + second) for second in (69, 70, 3599, 3600)] == [*"accb"]
    assert kids(with_new_key(keys, secret("c"), NOW + 3600, 60).keys) == [*"abc"]


def test_of_two_keys_that_are_to_sign_from_one_second_the_second_does_a_second_later() -> None:
    keys = KeyList((listed("a"),))
    for kid in "bcd":
        keys = with_new_key(keys, secret(kid), NOW, 0, force=True).keys
        assert signing(keys, NOW + 3) == kid
    assert [item.signs_from for item in keys.keys] == [None, NOW, NOW + 1, NOW + 2]


def test_a_kid_that_is_there_already_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="a key with this kid already"):
        with_new_key(KeyList((listed("a"), listed("b", public=True))), secret("b"), NOW, 0)


def test_a_set_of_public_keys_is_not_rotated_and_loses_none() -> None:
    keys = KeyList((listed("a", 5, public=True), listed("b", 6, 7, public=True)))
    with pytest.raises(InvalidArgument, match="public keys alone"):
        with_new_key(keys, secret("c"), NOW, 0, force=True)
    assert without_spent(keys, NOW, TTL, LEEWAY) is keys
    assert {state.role for state in key_states(keys, NOW, TTL, LEEWAY)} == {"public"}


def test_a_file_that_was_changed_later_than_this_clock_tells_is_changed_only_by_force() -> None:
    keys = KeyList((listed("a"),), updated_at=NOW + CLOCK_TOLERANCE + 1)
    with pytest.raises(InvalidArgument, match=r"61 seconds later .* set the clock right"):
        with_new_key(keys, secret("b"), NOW, 0)
    forced = with_new_key(keys, secret("b"), NOW, 0, force=True)
    assert forced.keys.updated_at == NOW + CLOCK_TOLERANCE + 2
    assert with_new_key(keys, secret("b"), NOW + 1, 0).keys.updated_at == forced.keys.updated_at


def test_a_key_that_signs_before_its_time_does_not_take_over_again_when_that_comes() -> None:
    keys = KeyList((listed("a", NOW, NOW + 10_000),))
    rotated = with_new_key(keys, secret("b"), NOW, 3600)
    assert rotated.waiting == ()
    assert [signing(rotated.keys, NOW + second) for second in (0, 3599, 3600, 10_000)] == [*"aabb"]


@pytest.mark.parametrize(
    "keys",
    [
        (listed("b"), listed("a")),
        (listed("b", 500), listed("a", 100)),
        (listed("b", NOW - 50_000, NOW - 40_000), listed("a")),
        (listed("a", NOW - 30_000, 1), listed("b", NOW - 50_000, NOW - 40_000)),
        (listed("a", NOW - 30_000), listed("b", NOW - 50_000, NOW - 40_000)),
    ],
    ids=["no times", "made only", "put behind", "made after", "made after, no time"],
)
def test_a_key_of_which_nothing_tells_when_it_signed_last_stays_until_a_rotation_tells(
    keys: tuple[ListedKey, ...],
) -> None:
    before = KeyList(keys)
    assert without_spent(before, NOW, TTL, LEEWAY) is before
    whys = {state.listed.key.kid: state.why_not for state in key_states(before, NOW, TTL, LEEWAY)}
    assert whys == {"b": "it signs", "a": "nothing tells when it signed last"}
    rotated = with_new_key(before, secret("c"), NOW, 10).keys
    last = NOW + 10 + TTL + LEEWAY + CLOCK_TOLERANCE
    assert without_spent(rotated, last, TTL, LEEWAY) is rotated
    assert kids(without_spent(rotated, last + 1, TTL, LEEWAY)) == ["c"]


def test_what_signs_and_what_is_still_to_sign_and_what_is_of_others_says_why_it_stays() -> None:
    keys = KeyList(
        (
            listed("old", signs_from=1),
            listed("now", signs_from=NOW - 10),
            listed("next", signs_from=NOW + 10),
            listed("other", public=True),
        )
    )
    told = [
        (state.role, state.signs_until, state.may_go_at, state.why_not)
        for state in key_states(keys, NOW, TTL, LEEWAY)
    ]
    grace = TTL + LEEWAY + CLOCK_TOLERANCE
    assert told == [
        ("verifies", NOW - 10, NOW - 10 + grace, ""),
        ("signs", NOW + 10, NOW + 10 + grace, ""),
        ("will sign", None, None, "it is still to sign"),
        ("public", None, None, "it is a public key, of another signer"),
    ]


def test_a_key_that_has_not_signed_is_removed_at_once_and_one_that_has_only_by_force() -> None:
    before = KeyList((listed("a"), listed("p", public=True)))
    keys = with_new_key(before, secret("b"), NOW, 3600).keys
    last = NOW + 3600 - CLOCK_TOLERANCE - 1
    assert kids(without_key(keys, "b", last)) == ["a", "p"]
    assert without_key(keys, "b", NOW).updated_at == NOW + 1
    for kid, moment in (("b", last + 1), ("a", NOW + 3600), ("p", NOW)):
        with pytest.raises(InvalidArgument, match="may be alive, and would be refused"):
            without_key(keys, kid, moment)
        assert kid not in kids(without_key(keys, kid, moment, force=True))


def test_what_others_kept_from_signing_is_not_said_to_have_signed_until_some_time() -> None:
    keys = KeyList((listed("a"), listed("b"), listed("c", signs_from=NOW + 10)))
    state = key_states(keys, NOW, TTL, LEEWAY)[1]
    assert (state.role, state.signs_until) == ("verifies", None)
    assert state.may_go_at == NOW + 10 + TTL + LEEWAY + CLOCK_TOLERANCE


def test_the_key_that_signs_is_never_removed_and_neither_is_one_that_is_not_there() -> None:
    keys = with_new_key(KeyList((listed("a"),)), secret("b"), NOW, 60).keys
    for kid, moment in (("a", NOW), ("b", NOW + 60)):
        with pytest.raises(InvalidArgument, match="the key signs: rotate first"):
            without_key(keys, kid, moment, force=True)
    with pytest.raises(InvalidArgument, match="no key of the set has this kid"):
        without_key(keys, "c", NOW, force=True)
    with pytest.raises(InvalidArgument, match="the last key"):
        without_key(KeyList((listed("p", public=True),)), "p", NOW, force=True)


# Any history.

TIMES = st.none() | st.integers(NOW - 5000, NOW + 5000)
FIRST = st.lists(st.tuples(TIMES, TIMES, st.booleans()), min_size=1, max_size=4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 59, 60, 500, 1079, 1080, 1081, 3600]) | st.integers(0, 5000),
        st.sampled_from(["rotate", "force", "retire", "retire", "take back"]),
        st.sampled_from([0, 1, 60, 3600]) | st.integers(0, 4000),
    ),
    max_size=12,
)


class Signers:
    """What every process may have signed, each with a clock of its own."""

    def __init__(self) -> None:
        self.alive_until: dict[str | None, int] = {}

    def sign(self, keys: KeyList, first: int, last: int) -> None:
        """Sign by this file at every moment between two, as the clocks of the processes tell it."""
        first, last = first - SKEW, last + 1 + SKEW
        starts = {item.signs_from or 0 for item in keys.keys}
        moments = {first, last, *starts, *(start - 1 for start in starts)}
        for moment in moments:
            if first <= moment <= last:
                kid = signing(keys, moment)
                assert kid is not None
                end = moment + TTL + LEEWAY + SKEW
                self.alive_until[kid] = max(self.alive_until.get(kid, 0), end)


def signing_order(keys: KeyList, now: int) -> list[tuple[int, str | None]]:
    """Return who signs from when, from a moment on."""
    starts = {now, *(item.signs_from or 0 for item in keys.keys)}
    return [(start, signing(keys, start)) for start in sorted(starts) if start >= now]


@given(first=FIRST, steps=STEPS, now=st.integers(NOW - 5000, NOW + 5000))
def test_no_history_of_commands_leaves_a_moment_without_signer_or_a_live_token_without_key(
    first: list[tuple[int | None, int | None, bool]], steps: list[tuple[int, str, int]], now: int
) -> None:
    keys = KeyList(
        tuple(
            listed(str(place), made_at, signs_from, public=public and place > 0)
            for place, (made_at, signs_from, public) in enumerate(first)
        )
    )
    names = itertools.count(100)
    signers = Signers()
    since = 0
    for pause, command, after in steps:
        now += pause
        signers.sign(keys, since, now)
        if command == "take back":
            try:
                changed = without_key(keys, kids(keys)[-1], now)
            except InvalidArgument:
                continue
            assert kids(keys)[-1] not in signers.alive_until
        elif command == "retire":
            changed = without_spent(keys, now, TTL, LEEWAY)
            for kid in {*kids(keys)} - {*kids(changed)}:
                assert signers.alive_until.get(kid, 0) < now
            assert (
                dict(signing_order(changed, now)).items() <= dict(signing_order(keys, now)).items()
            )
        else:
            try:
                rotated = with_new_key(
                    keys, secret(str(next(names))), now, after, force=command == "force"
                )
            except InvalidArgument:
                continue
            changed, begins = rotated.keys, rotated.added.signs_from
            assert begins is not None
            assert begins >= now + after
            assert signing(changed, begins) == rotated.added.key.kid
            # Of two that were to begin at once, the first signed; alone, the second does.
            others = {item.key.kid for item in rotated.waiting}
            assert signing(changed, begins - 1) in {signing(keys, begins - 1), *others}
            assert signing(changed, now) in {signing(keys, now), rotated.added.key.kid}
        if changed is not keys:
            assert changed.updated_at is not None
            assert changed.updated_at > (keys.updated_at or 0)
        keys, since = changed, now
