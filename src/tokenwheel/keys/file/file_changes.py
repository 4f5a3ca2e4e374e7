"""What an operator's commands change in a set of keys, and when a key may go.

Nothing here reads a file or a clock: a set and a moment go in, a new set and what there is to say
of it come out.

A key may go when no token that it signed can be alive. It signs until another takes over, so its
last token is as old as that. What a set doesn't say, its order can: a command puts a new key behind
all others. So a key without times has stopped signing where a key behind it has begun. Where it
can't be told when a key signed last, the key stays.
"""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

from ...errors import InvalidArgument
from ..checks import HASH_BYTES
from ..forms.jwks import KeyList, ListedKey
from ..key import Key

__all__ = [
    "CLOCK_TOLERANCE",
    "AddedKey",
    "KeyState",
    "key_states",
    "with_new_key",
    "without_key",
    "without_spent",
]

CLOCK_TOLERANCE = 60  # seconds by which the clocks of the machines may differ, a minute


class AddedKey(NamedTuple):
    """A set with a new key in it, and what is to be said of it."""

    keys: KeyList
    added: ListedKey
    before: ListedKey
    """The key that signs until the new one does."""
    waiting: tuple[ListedKey, ...]
    """The other keys that are still to sign, the first of them first."""


class KeyState(NamedTuple):
    """What a key of a set does at a moment, and when it may go."""

    listed: ListedKey
    role: Literal["signs", "will sign", "verifies", "public"]
    signs_until: int | None
    """When another took over from it, or will, in Unix seconds; None where that can't be told."""
    may_go_at: int | None
    """From when no token of it can be alive, in Unix seconds; None where it must stay."""
    why_not: str
    """Why it must stay, in a few words. Empty where it may go."""


def with_new_key(
    keys: KeyList, key: Key, now: float, after: int, *, force: bool = False
) -> AddedKey:
    """Return the set with a new key, which signs after a while.

    The key that signs so far does so until then. Where its own time hasn't come, it gets the time
    now: somebody's clock was wrong, and it must not take over again later.

    Args:
        keys: the set as it is.
        key: the new key, which can sign.
        now: the moment in Unix seconds.
        after: how many seconds from now the new key begins to sign.
        force: True to add the key though others are waiting to sign already, though the set was
            last changed later than ``now``, or though it is a shared secret that takes over from a
            key pair.

    Raises:
        InvalidArgument: no key of the set can sign; the new key has the kid of another; or, without
            ``force``, one of the cases that it is for.
    """
    second = int(now)
    signing = keys.signing_at(now)
    if signing is None:
        raise InvalidArgument(
            "the set has public keys alone: it belongs to a service that verifies, and keys are "
            "rotated where the private key is"
        )
    is_pair = signing.key.algorithm not in HASH_BYTES
    if is_pair and key.algorithm in HASH_BYTES and not force:
        raise InvalidArgument(
            "a shared secret is published to nobody, so every service that verifies by the public "
            "keys would refuse what it signs: give --force where there is none"
        )
    if any(listed.key.kid == key.kid for listed in keys.keys):
        raise InvalidArgument("the set has a key with this kid already")
    if keys.updated_at is not None and keys.updated_at > now + CLOCK_TOLERANCE and not force:
        raise InvalidArgument(
            f"the set was last changed {keys.updated_at - second} seconds later than it is by the "
            "clock of this machine: set the clock right first, or give --force"
        )
    if _start(signing) > now:
        keys, signing = _with_begun(keys, signing, second)
    able = [listed for listed in keys.keys if listed.key.can_sign]
    signs_from = max(second + after, _start(signing) + 1)
    waiting = [listed for listed in able if _start(listed) > max(now, _start(signing))]
    if waiting and not force:
        raise InvalidArgument(_already_waiting(waiting))
    starts = {_start(listed) for listed in able}
    while signs_from in starts:  # Of two that began at once, the first in the set would sign.
        signs_from += 1
    added = ListedKey(key, second, signs_from)
    changed = keys._replace(keys=(*keys.keys, added), updated_at=_next_update(keys, second))
    before = max((listed for listed in able if _start(listed) < signs_from), key=_start)
    return AddedKey(changed, added, before, tuple(sorted(waiting, key=_start)))


def without_spent(keys: KeyList, now: float, access_ttl: int, leeway: int) -> KeyList:
    """Return the set without the keys of which no token can be alive.

    Args:
        keys: the set as it is. Where no key may go, it is returned itself.
        now: the moment in Unix seconds.
        access_ttl: the longest lifetime that an access token was given, in seconds.
        leeway: how many seconds beyond it a token is accepted at most.
    """
    kept = tuple(
        state.listed
        for state in key_states(keys, now, access_ttl, leeway)
        if state.may_go_at is None or now <= state.may_go_at
    )
    if len(kept) == len(keys.keys):
        return keys
    return keys._replace(keys=kept, updated_at=_next_update(keys, int(now)))


def without_key(keys: KeyList, kid: str | None, now: float, *, force: bool = False) -> KeyList:
    """Return the set without a key, whatever it signed.

    Args:
        keys: the set as it is.
        kid: the name of the key; None for the one that has none. Where several have it, all leave.
        now: the moment in Unix seconds.
        force: True to remove a key of which tokens may be alive.

    Raises:
        InvalidArgument: no key has the kid; it signs; or, without ``force``, it may have signed.
    """
    gone = [listed for listed in keys.keys if listed.key.kid == kid]
    if not gone:
        raise InvalidArgument("no key of the set has this kid")
    if keys.signing_at(now) in gone:
        raise InvalidArgument(
            "the key signs: rotate first, with --after 0 where it leaked, and remove it then"
        )
    if len(gone) == len(keys.keys):
        raise InvalidArgument("the last key cannot be removed")
    # By its clock a process may sign with it already, or do so before it has seen the new file.
    soon = now + CLOCK_TOLERANCE
    if not force and not all(listed.key.can_sign and _start(listed) > soon for listed in gone):
        raise InvalidArgument(
            "tokens that the key signed may be alive, and would be refused: give --force, or leave "
            "it to `tokenwheel keys retire`"
        )
    kept = tuple(listed for listed in keys.keys if listed not in gone)
    return keys._replace(keys=kept, updated_at=_next_update(keys, int(now)))


def key_states(keys: KeyList, now: float, access_ttl: int, leeway: int) -> list[KeyState]:
    """Return what each key of a set does at a moment, and when it may go.

    Args:
        keys: the set.
        now: the moment in Unix seconds.
        access_ttl: the longest lifetime that an access token was given, in seconds.
        leeway: how many seconds beyond it a token is accepted at most.
    """
    signing = keys.signing_at(now)
    grace = access_ttl + leeway + CLOCK_TOLERANCE
    return [_state(keys, place, signing, now, grace) for place in range(len(keys.keys))]


def _state(
    keys: KeyList, place: int, signing: ListedKey | None, now: float, grace: int
) -> KeyState:
    listed = keys.keys[place]
    if not listed.key.can_sign:
        return KeyState(listed, "public", None, None, "it is a public key, of another signer")
    stopped_at = _stop(keys, place)
    may_go_at = None if stopped_at is None else stopped_at + grace
    if listed is signing:
        begun = max(now, _start(listed))
        next_start = min(
            (_start(other) for other in keys.keys if other.key.can_sign and _start(other) > begun),
            default=None,
        )
        why = "" if next_start is not None and may_go_at is not None else "it signs"
        return KeyState(listed, "signs", next_start, None if why else may_go_at, why)
    if _start(listed) > now:
        return KeyState(listed, "will sign", None, None, "it is still to sign")
    # One that others of its set kept from signing has no moment at which it ended.
    signed_until = stopped_at if stopped_at is not None and stopped_at <= now else None
    why = "" if may_go_at is not None else "nothing tells when it signed last"
    return KeyState(listed, "verifies", signed_until, may_go_at, why)


def _stop(keys: KeyList, place: int) -> int | None:
    """Return when the key at a place signed last, at the latest; None where that can't be told.

    Another key ends it that begins later. A key can't have ended what was made after it, nor a key
    without a time one that stands before it: that was put there by somebody else, who knows when.
    """
    listed = keys.keys[place]
    ends = [
        max(_start(other), other.made_at or 0)
        for position, other in enumerate(keys.keys)
        if other.key.can_sign
        and _start(other) > _start(listed)
        and (listed.signs_from is not None or position > place)
    ]
    return min((end for end in ends if end >= (listed.made_at or 0)), default=None)


def _with_begun(keys: KeyList, signing: ListedKey, second: int) -> tuple[KeyList, ListedKey]:
    """Return the set with a key that begins to sign at a moment, and that key."""
    began = signing._replace(signs_from=second)
    changed = tuple(began if listed is signing else listed for listed in keys.keys)
    return keys._replace(keys=changed), began


def _start(listed: ListedKey) -> int:
    return listed.signs_from or 0


def _next_update(keys: KeyList, second: int) -> int:
    return second if keys.updated_at is None else max(second, keys.updated_at + 1)


def _already_waiting(waiting: list[ListedKey]) -> str:
    first = min(waiting, key=_start)
    name = "without kid" if first.key.kid is None else f"with kid {first.key.kid}"
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(_start(first)))
    return (
        f"a key {name} is waiting already, and signs from {moment}: rotate again after that, or "
        "give --force to add another key to it"
    )
