"""Options and answers of the wrong type or size: refused in a sentence. Both twins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import KEY, forge
from tokenwheel import ConfigurationError


@pytest.mark.parametrize("made_by_sign", [None, "text", bytearray(b"x"), 7, [], memoryview(b"x")])
def test_a_key_that_signs_with_anything_but_bytes_is_refused(made: Any, made_by_sign: Any) -> None:
    key = SimpleNamespace(
        kid=None, algorithm="ES256", _secret=None, sign=lambda message: made_by_sign
    )
    with pytest.raises(ConfigurationError, match="sign must return bytes"):
        made.Signer(key).sign(b"{}")


HUGE = [2**31, 2**62 + 1, 2**63, 2**64, 10**400]
WRONG: dict[str, list[Any]] = {
    "cache_size": [-1, -(2**63), -(2**64), *HUGE, True, 1.0, "9", None, float("nan"), object()],
    "cache_bytes": [-1, -(2**63), *HUGE[2:], True, 1.0, "9", None, object()],
    "leeway": [-1, -0.001, float("nan"), float("inf"), 10**400, True, "0", None, 1j, object()],
    "largest_leeway": [-1, float("nan"), float("inf"), 10**400, False, "0", None, object()],
    "issuer": [None, b"i", 7, ["i"], object()],
    "audience": [None, "a", ["a"], (b"a",), ("a", None), (7,), {"a"}, object()],
    "clock": [None, 7, "now", 1.5, object()],
    "revocations": [None, 7, "table", object(), SimpleNamespace(clock=None), []],
}


@pytest.mark.parametrize(
    "name, value",
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__}",
)
def test_a_verifier_refuses_an_option_of_the_wrong_type_or_size(
    made: Any, name: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} must be"):
        made.Verifier([KEY], **made.options(**{name: value}))


@pytest.mark.parametrize(
    "name, value",
    [("cache_size", 2**31 - 1), ("cache_size", 0), ("cache_bytes", 2**62), ("cache_bytes", 0)],
)
def test_a_verifier_of_the_largest_and_the_smallest_size_verifies(
    made: Any, name: str, value: int
) -> None:
    verifier = made.Verifier([KEY], **made.options(**{name: value}))
    for _ in range(3):
        assert verifier.verify(forge()).subject == "uid1"
    assert verifier.remembered == (1 if value else 0)
    verifier._check()


@pytest.mark.parametrize("maxsize", [0, -1, -(10**400), True, 1.0, "5", b"5", float("nan"), []])
def test_a_cache_refuses_a_size_that_is_no_whole_number(made: Any, maxsize: Any) -> None:
    with pytest.raises(ConfigurationError, match="maxsize must be a whole number greater than 0"):
        made.Cache(maxsize)


@pytest.mark.parametrize("maxsize", [1, 2**31, 2**63, 10**400])
def test_a_cache_of_any_other_size_evicts_when_it_is_full(made: Any, maxsize: int) -> None:
    class Lying(int):
        def __lt__(self, other: object) -> bool:
            raise AssertionError("compared")

        __le__ = __gt__ = __ge__ = __lt__
        __index__ = __int__ = __lt__  # type: ignore[assignment]

    for size in (maxsize, Lying(maxsize)):
        cache = made.Cache(size)
        for number in range(5):
            cache[number] = number
        assert len(cache) == min(maxsize, 5)
        cache._check()
