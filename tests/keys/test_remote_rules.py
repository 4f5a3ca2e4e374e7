"""When keys are fetched, how long they are good, and what an answer changes: rules without I/O."""

from __future__ import annotations

from email.utils import formatdate
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenwheel import Key
from tokenwheel.keys.remote.answers import FetchFailed
from tokenwheel.keys.remote.freshness import freshness_lifetime
from tokenwheel.keys.remote.schedule import Schedule
from tokenwheel.keys.remote.succession import Succession

NOW = 1_800_000_000.0  # Unix seconds
A, B, C = (Key.generate("ES256", kid=kid).public() for kid in "abc")

# For how long an answer stays fresh.


@pytest.mark.parametrize(
    "fields, seconds",
    [
        ({}, None),
        ({"cache-control": "max-age=600"}, 600),
        ({"cache-control": "public, MAX-AGE=600, must-revalidate"}, 600),
        ({"cache-control": 'max-age="600"'}, 600),
        ({"cache-control": 'private="a, max-age=1", max-age=600'}, 600),
        ({"cache-control": "max-age=600, max-age=5"}, 600),
        ({"cache-control": "s-maxage=5, max-age=600"}, 600),
        ({"cache-control": "x-max-age=5"}, None),
        ({"cache-control": "max-age=600", "age": "100"}, 500),
        ({"cache-control": "max-age=600", "age": "100, 300"}, 500),
        ({"cache-control": "max-age=600", "age": "700"}, 0),
        ({"cache-control": "max-age=600", "age": "-1"}, 600),
        ({"cache-control": "max-age=600", "age": "soon"}, 600),
        ({"cache-control": "max-age=0"}, 0),
        ({"cache-control": "no-store"}, 0),
        ({"cache-control": "max-age=600, no-cache"}, 0),
        ({"cache-control": 'no-cache="set-cookie", max-age=600'}, 0),
        ({"cache-control": "max-age"}, None),
        ({"cache-control": "max-age=-1"}, None),
        ({"cache-control": "max-age=1.5"}, None),
        ({"cache-control": "max-age=soon"}, None),
        ({"cache-control": "max-age=٦٠٠"}, None),
        ({"cache-control": "max-age=" + "9" * 5000}, 2**31),
        ({"expires": formatdate(NOW + 600, usegmt=True)}, 600),
        (
            {
                "expires": formatdate(NOW + 600, usegmt=True),
                "date": formatdate(NOW - 100, usegmt=True),
            },
            700,
        ),
        ({"expires": formatdate(NOW + 600, usegmt=True), "date": "yesterday"}, 600),
        ({"expires": formatdate(NOW - 600, usegmt=True)}, 0),
        ({"expires": "0"}, 0),
        ({"expires": "never"}, 0),
        ({"expires": formatdate(NOW + 600, usegmt=True), "cache-control": "max-age=5"}, 5),
        ({"expires": formatdate(NOW + 600, usegmt=True), "cache-control": "max-age=x"}, 600),
    ],
)
def test_an_answer_stays_fresh_as_its_header_says(
    fields: dict[str, str], seconds: float | None
) -> None:
    assert freshness_lifetime(fields, NOW) == seconds


@given(st.dictionaries(st.sampled_from(["cache-control", "expires", "date", "age"]), st.text()))
def test_any_header_gives_seconds_or_none(fields: dict[str, str]) -> None:
    seconds = freshness_lifetime(fields, NOW)
    assert seconds is None or 0 <= seconds <= 2**31


@given(st.text(alphabet='max-age=60 ",\\;nostr\t'))
def test_any_cache_control_is_read_in_time(field: str) -> None:
    seconds = freshness_lifetime({"cache-control": field * 50}, NOW)
    assert seconds is None or 0 <= seconds <= 2**31


# When to fetch.


def make_schedule(**options: float) -> Schedule:
    given_options: dict[str, float] = {
        "min_refresh": 300,
        "max_refresh": 86_400,
        "cooldown": 30,
        "max_age": 86_400,
        "timeout": 5,
    }
    return Schedule(**{**given_options, **options})


def fetched(now: float = 0.0, lifetime: float | None = None, **options: float) -> Schedule:
    schedule = make_schedule(**options)
    schedule.begin(now)
    schedule.succeed(now, lifetime)
    return schedule


@pytest.mark.parametrize(
    "lifetime, options, due_at",
    [
        (None, {}, 300),
        (0.0, {}, 300),
        (10.0, {}, 300),
        (3600.0, {}, 3600),
        (1e9, {}, 0.75 * 86_400),
        (1e9, {"max_refresh": 7200.0}, 7200),
        (1e9, {"max_age": 1000.0}, 750),
        (None, {"max_age": 200.0}, 150),
    ],
)
def test_the_next_fetch_is_due_when_the_answer_says_within_bounds(
    lifetime: float | None, options: dict[str, float], due_at: float
) -> None:
    assert fetched(0.0, lifetime, **options).due_at() == due_at


def test_the_first_fetch_is_due_at_once_and_tried_again_ever_later() -> None:
    schedule = make_schedule()
    assert schedule.due_at() == -inf
    pauses = []
    for _ in range(8):
        schedule.begin(100.0)
        assert schedule.is_fetching
        schedule.fail(100.0, "reason")
        pauses.append(schedule.due_at() - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert (schedule.failures, schedule.last_error) == (8, "reason")


def test_a_failure_is_tried_again_after_a_cooldown_once_keys_are_held() -> None:
    schedule = fetched()
    schedule.begin(300.0)
    schedule.fail(301.0, "reason")
    assert schedule.due_at() == 331
    assert schedule.good_until == 86_400
    schedule.begin(331.0)
    schedule.succeed(331.0, None)
    assert (schedule.failures, schedule.last_error, schedule.good_until) == (0, None, 86_731)


def test_misses_ask_for_one_early_fetch_in_each_cooldown() -> None:
    schedule = fetched()
    for _ in range(1000):
        schedule.want_early(9.0)
    assert schedule.due_at() == 9
    schedule.begin(10.0)
    schedule.want_early(10.0)  # The answer that is on its way may not have that key yet.
    schedule.succeed(10.0, None)
    assert schedule.due_at() == 40
    schedule.begin(40.0)
    schedule.succeed(40.0, None)
    assert schedule.due_at() == 340
    schedule.want_early(41.0)
    assert schedule.due_at() == 70


def test_a_miss_just_before_an_early_fetch_begins_is_no_second_one() -> None:
    schedule = fetched(0.0)
    schedule.want_early(9.0)

    class Interrupted(float):
        def __lt__(self, other: float) -> bool:
            if schedule.fetches == 1:
                schedule.begin(9.0)  # as another thread does in the midst of the line
            return float(self) < other

    schedule.want_early(Interrupted(9.0))
    schedule.succeed(10.0, None)
    assert schedule.wants_early
    assert schedule.due_at() == 39


def test_a_regular_fetch_is_no_early_one_but_does_for_it() -> None:
    schedule = fetched(0.0)
    schedule.begin(300.0)
    schedule.succeed(300.0, None)
    schedule.want_early(301.0)
    assert schedule.due_at() == 301  # at once, though another has just ended
    schedule.begin(301.0)
    schedule.succeed(301.0, None)
    schedule.want_early(302.0)
    schedule.want_now(310.0)
    schedule.begin(310.0)
    schedule.succeed(310.0, None)
    assert schedule.due_at() == 610  # The early one that was due at 331 has been done.


def test_misses_hurry_no_first_fetch() -> None:
    schedule = make_schedule()
    schedule.begin(0.0)
    schedule.fail(0.0, "reason")
    schedule.want_early(0.5)
    assert schedule.due_at() == 1


def test_misses_while_the_url_fails_cause_no_more_than_one_fetch_in_a_cooldown() -> None:
    schedule = fetched(0.0)
    begun = []
    now = 0.0
    while now < 3000:
        schedule.want_early(now)
        if schedule.due_at() <= now:
            begun.append(now)
            schedule.begin(now)
            schedule.want_early(now)
            schedule.fail(now, "reason")
        now += 1.0
    assert len(begun) == 100
    assert all(later - earlier == 30 for earlier, later in pairwise(begun))


def test_an_attempt_is_made_shortly_before_the_keys_are_too_old() -> None:
    schedule = fetched(0.0, max_age=1000.0, cooldown=100.0)
    schedule.begin(950.0)
    schedule.fail(950.0, "reason")
    assert schedule.due_at() == 994
    assert not schedule.is_last_chance(993.0)
    assert schedule.is_last_chance(994.0)


def test_a_fetch_that_was_broken_off_is_due_again() -> None:
    schedule = fetched()
    schedule.begin(300.0)
    schedule.break_off()
    assert schedule.due_at() == 300
    schedule = fetched()
    schedule.break_off()
    assert schedule.due_at() == 300


# What an answer changes.


def take(
    succession: Succession,
    *keys: Key,
    updated_at: Any = None,
    now: float = 0.0,
    is_last_chance: bool = False,
) -> str | None:
    return succession.take(keys, updated_at, now=now, unix_now=NOW, is_last_chance=is_last_chance)


def test_a_key_that_is_missing_stays_for_a_while() -> None:
    succession = Succession(300.0)
    take(succession, A, B)
    take(succession, B, C, now=10.0)
    assert succession.keys == (A, B, C)
    take(succession, B, C, now=200.0)
    assert succession.drop_at == 310
    succession.drop_missing(309.0)
    assert A in succession.keys
    succession.drop_missing(310.0)
    assert succession.keys == (B, C)
    assert succession.drop_at == inf


def test_a_set_in_another_order_changes_nothing() -> None:
    succession = Succession(300.0)
    take(succession, A, B, C)
    held = succession.keys
    take(succession, C, A, B)
    assert succession.keys == held
    take(succession, C, A)
    assert succession.keys == held


def test_a_missing_key_that_is_listed_again_stays() -> None:
    succession = Succession(300.0)
    take(succession, A, B)
    take(succession, B, now=10.0)
    take(succession, A, B, now=20.0)
    assert succession.drop_at == inf
    succession.drop_missing(1e6)
    assert set(succession.keys) == {A, B}


def test_without_that_time_a_missing_key_goes_at_once() -> None:
    succession = Succession(0.0)
    take(succession, A, B)
    take(succession, B)
    assert succession.keys == (B,)


def test_a_newer_set_withdraws_a_key_at_once() -> None:
    succession = Succession(300.0)
    take(succession, A, B, updated_at=100)
    take(succession, B, C, updated_at=100, now=1.0)  # unlike what it says: nobody knows
    assert A in succession.keys
    take(succession, C, updated_at=101, now=2.0)
    assert succession.keys == (C,)
    assert succession.drop_at == inf


def test_an_old_copy_changes_nothing() -> None:
    succession = Succession(300.0)
    take(succession, A, B, updated_at=100)
    with pytest.raises(FetchFailed, match="an old copy of the set"):
        take(succession, A, updated_at=99)
    assert succession.keys == (A, B)


def test_an_old_copy_is_taken_over_at_last_and_said() -> None:
    succession = Succession(300.0)
    take(succession, A, B, updated_at=100)
    warning = take(succession, A, C, updated_at=99, is_last_chance=True)
    assert warning is not None
    assert "a backup seems to have been put back" in warning
    assert set(succession.keys) == {A, B, C}
    take(succession, A, C, updated_at=99)  # It is the current one now.
    take(succession, C, updated_at=100)
    assert succession.keys == (C,)


@pytest.mark.parametrize(
    "nonsense", [NOW * 1000, NOW + 86_401, -1, 1e300, inf, True, "100", 1.5, [], None]
)
def test_a_time_that_cannot_be_locks_nothing(nonsense: Any) -> None:
    succession = Succession(300.0)
    take(succession, A, B, updated_at=nonsense)
    take(succession, A, updated_at=100, now=1.0)
    assert set(succession.keys) == {A, B}  # Nobody knows which is older.
    take(succession, A, C, updated_at=nonsense, now=2.0)
    assert set(succession.keys) == {A, B, C}
    take(succession, C, updated_at=101, now=3.0)
    assert succession.keys == (C,)


def test_a_set_that_has_its_time_no_more_is_taken_over() -> None:
    succession = Succession(300.0)
    take(succession, A, B, updated_at=100)
    take(succession, A, C, now=1.0)
    assert set(succession.keys) == {A, B, C}
    with pytest.raises(FetchFailed, match="an old copy"):  # as one from before it had the time
        take(succession, A, updated_at=99)
    take(succession, C, updated_at=101)
    assert succession.keys == (C,)


def test_a_new_key_of_the_same_kid_takes_the_place_of_the_old_one() -> None:
    again = Key.generate("ES256", kid="a").public()
    succession = Succession(300.0)
    take(succession, A, B)
    take(succession, again, B)
    assert set(succession.keys) == {again, B}
    other = Key.generate("ES384", kid="a").public()
    take(succession, other, B)
    assert set(succession.keys) == {other, B, again}
