"""Checks of options that are a number of seconds, a choice or a clock, made when they are given.

Each returns what it has checked, taken for what it is (``exact.py``). Each refusal is a
:class:`~tokenwheel.errors.ConfigurationError` that names the option, what is allowed, and what was
given, which is no secret.
"""

from __future__ import annotations

from typing import Any, TypeVar

from .conformance import check_call, check_instance
from .errors import ConfigurationError
from .exact import named, number_of, plain_of, text_of

__all__ = ["check_choice", "check_clocks", "check_seconds"]

T = TypeVar("T", bound=str)

_LONGEST_SAID = 24  # characters: more than any choice has


def check_seconds(option: str, value: object, least: float, most: float) -> float:
    """Return a number of seconds from ``least`` to ``most``.

    Raises:
        ConfigurationError: it is no such number.
    """
    seconds = number_of(value)
    if seconds is None or not least <= seconds <= most:
        raise ConfigurationError(
            f"{option} must be a number of seconds from {least:g} to {most:g}, not {_said(value)}"
        )
    return seconds


def check_choice(option: str, value: object, choices: tuple[T, T]) -> T:
    """Return the one of two texts that a value is by its characters.

    Raises:
        ConfigurationError: it is neither.
    """
    text = text_of(value)
    for choice in choices:
        if text == choice:
            return choice
    raise ConfigurationError(
        f"{option} must be {choices[0]!r} or {choices[1]!r}, not {_said(value)}"
    )


def check_clocks(**clocks: object) -> None:
    """Check that these are clocks: each is called without arguments, and is no class.

    Raises:
        ConfigurationError: one of them is none.
    """
    for option, clock in clocks.items():
        check_instance(option, clock)
        if not callable(clock):
            raise ConfigurationError(
                f"{option} must be a callable that returns seconds, not {named(clock)}"
            )
        check_call(option, clock, [])


def _said(value: object) -> str:
    """Return how a message names what was given: by its value where that is short."""
    plain: Any = plain_of(value)
    kind = type(plain)
    is_number = kind is float or kind is bool or (kind is int and abs(plain) < 2**63)
    if is_number or (kind is str and len(plain) <= _LONGEST_SAID):
        return repr(plain)
    return named(value)
