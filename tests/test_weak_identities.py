"""What is known of objects goes with them, and is mixed up with that of no other."""

from __future__ import annotations

import gc

from tokenwheel.weak_identities import WeakIdentityDictionary


class Equal:
    """Equal to all of its kind, and not to be hashed."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    __hash__ = None


def test_objects_that_call_each_other_equal_are_two() -> None:
    known: WeakIdentityDictionary[Equal, str] = WeakIdentityDictionary()
    first, second = Equal(), Equal()
    known[first] = "first"

    assert second not in known
    assert known.get(second, "nothing") == "nothing"

    known[second] = "second"

    assert [value for _, value in known.items()] == ["first", "second"]
    assert known.get(first) == "first"


def test_what_is_said_of_an_object_again_takes_the_place_of_what_was() -> None:
    known: WeakIdentityDictionary[Equal, int] = WeakIdentityDictionary()
    one = Equal()
    known[one] = 1
    known[one] = 2

    assert [value for _, value in known.items()] == [2]


def test_an_object_that_has_gone_is_forgotten() -> None:
    known: WeakIdentityDictionary[Equal, int] = WeakIdentityDictionary()
    kept, gone = Equal(), Equal()
    known[kept], known[gone] = 1, 2
    del gone
    gc.collect()

    (only,) = known

    assert only is kept


def test_objects_may_come_and_go_amid_a_loop() -> None:
    known: WeakIdentityDictionary[Equal, None] = WeakIdentityDictionary()
    objects = [Equal() for _ in range(3)]
    for each in objects:
        known[each] = None
    looked_at = 0
    for _ in known:
        looked_at += 1
        objects.append(Equal())
        known[objects[-1]] = None
        del objects[0]

    assert looked_at == 3
