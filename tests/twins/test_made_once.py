"""Objects that are half made, made twice, or used in the midst of being made. Both twins."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import KEY, forge
from tokenwheel import ConfigurationError

ONE = "A" * 16
NOT_MADE = "must be constructed before it is used"
ONLY_ONCE = "can be constructed only once"


def uses_of_a_cache(cache: Any) -> list[Callable[[], Any]]:
    return [
        lambda: cache.get("a"),
        lambda: cache["a"],
        lambda: "a" in cache,
        lambda: cache.ttl("a"),
        lambda: cache.set("a", 1),
        lambda: cache.set("a", 1, 10),
        lambda: cache.__setitem__("a", 1),
        lambda: cache.setdefault("a"),
        lambda: cache.update({"a": 1}),
        lambda: cache.touch("a", 1),
        lambda: cache.__delitem__("a"),
        lambda: cache.pop("a", None),
        cache.popitem,
        cache.expire,
        cache.clear,
        lambda: len(cache),
    ]


def uses_of_a_table(table: Any) -> list[Callable[[], Any]]:
    return [
        lambda: table.revoke(ONE, 60),
        lambda: table.revoke_until(ONE, 60),
        lambda: table.revoke_each([]),
        lambda: table.is_revoked(ONE),
        lambda: table.lowest_generation(ONE),
        table.expire,
        lambda: len(table),
        lambda: table._observe(1.0),
    ]


def test_a_cache_that_was_never_constructed_refuses_every_use(made: Any) -> None:
    class Forgetful(made.Cache):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    for cache in (made.Cache.__new__(made.Cache), Forgetful()):
        for use in uses_of_a_cache(cache):
            with pytest.raises(ConfigurationError, match=NOT_MADE):
                use()
        for walk in (cache, cache.keys(), cache.items(), cache.values()):
            with pytest.raises((ConfigurationError, StopIteration)):
                next(iter(walk))
        assert "0 entries" in repr(cache)
        assert cache._nbytes() >= 0
        cache._check()
        made.Cache.__init__(cache)
        cache["a"] = 1
        assert dict(cache) == {"a": 1}


def test_a_table_that_was_never_constructed_refuses_every_use(made: Any) -> None:
    class Forgetful(made.Table):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    for table in (made.Table.__new__(made.Table), Forgetful()):
        for use in uses_of_a_table(table):
            with pytest.raises(ConfigurationError, match=NOT_MADE):
                use()
        table.watch(bytearray(8))
        table.watch(None)
        table._take_news(1.0)
        assert "0 sessions" in repr(table)
        assert table.nbytes >= 0
        table._check()
        with pytest.raises(ConfigurationError, match=NOT_MADE):
            made.Verifier([KEY], **made.options(revocations=table))


def test_a_verifier_that_was_never_constructed_refuses_every_use(made: Any) -> None:
    verifier = made.Verifier.__new__(made.Verifier)
    for use in (
        lambda: verifier.verify(forge()),
        lambda: verifier.verify(None),
        lambda: verifier.set_keys([KEY]),
        verifier._check,
    ):
        with pytest.raises(ConfigurationError, match=NOT_MADE):
            use()
    assert "0 keys" in repr(verifier)
    assert (verifier.remembered, verifier.remembered_bytes) == (0, 0)


def test_a_verifier_whose_construction_failed_refuses_every_use_and_can_be_constructed(
    made: Any,
) -> None:
    verifier = made.Verifier.__new__(made.Verifier)
    for wrong in ({"revocations": None}, {"cache_size": -1}, {"leeway": "0"}):
        with pytest.raises(ConfigurationError):
            verifier.__init__([KEY], **made.options(**wrong))
        with pytest.raises(ConfigurationError, match=NOT_MADE):
            verifier.verify(forge())
        with pytest.raises(ConfigurationError, match=NOT_MADE):
            verifier.set_keys([KEY])
    with pytest.raises(AttributeError):
        verifier.__init__([object()], **made.options())
    verifier.__init__([KEY], **made.options())
    assert verifier.verify(forge()).subject == "uid1"


def test_a_signer_that_was_never_constructed_refuses_every_use(made: Any) -> None:
    signer = made.Signer.__new__(made.Signer)
    with pytest.raises(ConfigurationError, match=NOT_MADE):
        signer.sign(b"{}")
    with pytest.raises(AttributeError):
        signer.__init__(object())
    with pytest.raises(ConfigurationError, match=NOT_MADE):
        signer.sign(b"{}")
    assert repr(signer) == "<Signer with None>"
    signer.__init__(KEY)
    assert signer.sign(b"{}").count(".") == 2


@pytest.mark.parametrize("is_used", [False, True], ids=["fresh", "used"])
def test_nothing_can_be_constructed_twice(made: Any, is_used: bool) -> None:
    cache, table = made.Cache(5), made.Table(clock=lambda: 1.8e9)
    verifier, signer = made.Verifier([KEY], **made.options(revocations=table)), made.Signer(KEY)
    if is_used:
        cache["a"] = 1
        table.revoke(ONE, 60)
        with pytest.raises(Exception, match="revoked"):
            verifier.verify(forge())
    for _ in range(3):
        for again in (
            cache.__init__,
            lambda: cache.__init__(maxsize=7, clock=lambda: 0.0),
            table.__init__,
            lambda: table.__init__(clock=lambda: 0.0, before_lookup=list),
            lambda: verifier.__init__([KEY], **made.options()),
        ):
            with pytest.raises(ConfigurationError, match=ONLY_ONCE):
                again()
        with pytest.raises(ConfigurationError, match="cannot be given another key"):
            signer.__init__(KEY)
    assert dict(cache) == ({"a": 1} if is_used else {})
    assert table.is_revoked(ONE) is is_used
    assert table.before_lookup is None
    for structure in (cache, table, verifier):
        structure._check()


def test_a_verifier_given_a_table_that_fails_keeps_the_one_it_has(made: Any) -> None:
    table = made.Table(clock=lambda: 1.8e9)
    verifier = made.Verifier([KEY], **made.options(revocations=table))
    table.revoke(ONE, 60)

    class Failing(made.Table):  # type: ignore[misc]
        def _capsule(self) -> Any:
            raise RuntimeError("no table")

    for wrong in (None, object(), SimpleNamespace(clock=None), Failing(), made.Table):
        with pytest.raises(ConfigurationError):
            verifier.__init__([KEY], **made.options(revocations=wrong))
    gone = weakref.ref(table)
    del table
    gc.collect()
    assert gone() is not None
    with pytest.raises(Exception, match="the access token has been revoked"):
        verifier.verify(forge())


@pytest.mark.parametrize("place", ["__hash__", "__eq__", "clock", "on_remove", "__del__"])
def test_a_cache_constructed_again_in_the_midst_of_an_operation_stays_as_it_is(
    made: Any, place: str
) -> None:
    refusals: list[str] = []
    armed = False

    def construct_again(*_: Any) -> float:
        nonlocal armed
        if armed:
            armed = False
            cache.clear()
            with pytest.raises(ConfigurationError, match=ONLY_ONCE) as refusal:
                cache.__init__(maxsize=3)
            refusals.append(str(refusal.value))
            for number in range(100):
                cache.set(number, number)
        return 1000.0

    class Key:
        def __hash__(self) -> int:
            if place == "__hash__":
                construct_again()
            return 7

        def __eq__(self, other: object) -> bool:
            if place == "__eq__":
                construct_again()
            return isinstance(other, Key)

    class Value:
        def __del__(self) -> None:
            if place == "__del__":
                construct_again()

    operations: list[Callable[[Any], Any]] = [
        lambda cache: cache.get(Key()),
        lambda cache: cache.set(Key(), 2),
        lambda cache: cache.pop(Key(), None),
        lambda cache: cache.touch(Key(), 5),
        lambda cache: cache.setdefault(Key(), 5),
        lambda cache: cache.clear(),
    ]
    for operate in operations:
        cache = made.Cache(
            on_remove=construct_again if place == "on_remove" else None, clock=construct_again
        )
        armed = False
        for number in range(40):
            cache.set(f"{number}", number)
        cache.set(Key(), Value())
        armed = True
        operate(cache)
        cache._check()
        armed = False
        cache.clear()
        cache._check()
    assert refusals


def test_a_cache_constructed_within_the_hash_of_its_first_key_is_whole(made: Any) -> None:
    cache = made.Cache.__new__(made.Cache)

    class Key:
        def __hash__(self) -> int:
            if "0 entries" in repr(cache) and not made_already:
                made_already.append(True)
                cache.__init__(2)
            return 7

        def __eq__(self, other: object) -> bool:
            return self is other

    made_already: list[bool] = []
    for _ in range(4):
        cache.set(Key(), 1)
        cache._check()
    assert len(cache) == 2


def test_options_that_construct_the_same_object_are_refused(made: Any) -> None:
    verifier = made.Verifier.__new__(made.Verifier)

    class Keys:
        def __iter__(self) -> Any:
            verifier.__init__([KEY], **made.options())
            return iter([KEY])

    with pytest.raises(ConfigurationError, match=ONLY_ONCE):
        verifier.__init__(Keys(), **made.options())
    assert verifier.verify(forge()).subject == "uid1"

    signer = made.Signer.__new__(made.Signer)

    class Constructing:
        kid, _secret = "other", None

        @property
        def algorithm(self) -> str:
            if "None" in repr(signer):
                signer.__init__(KEY)
            return "HS256"

        def sign(self, message: bytes) -> bytes:
            raise AssertionError("the key that came second signs")

    with pytest.raises(ConfigurationError, match="cannot be given another key"):
        signer.__init__(Constructing())
    assert signer.sign(b"{}") == made.Signer(KEY).sign(b"{}")


def test_threads_that_construct_the_same_object_make_it_once(made: Any) -> None:
    for _ in range(20):
        table, cache = made.Table.__new__(made.Table), made.Cache.__new__(made.Cache)
        gate = threading.Barrier(4)
        outcomes: list[str] = []

        def construct(
            table: Any = table,
            cache: Any = cache,
            gate: threading.Barrier = gate,
            outcomes: list[str] = outcomes,
        ) -> None:
            gate.wait()
            for target in (table, cache):
                try:
                    target.__init__()
                    outcomes.append("made")
                except ConfigurationError:
                    outcomes.append("refused")

        threads = [threading.Thread(target=construct) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["made"] * 2 + ["refused"] * 6
        table.revoke(ONE, 60)
        cache["a"] = 1
        table._check()
        cache._check()
