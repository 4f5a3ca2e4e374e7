"""Checks that what a user hands in has the methods of a protocol.

They are made when it is handed in, not when it is first used. A class where an instance belongs, a
missing method, one that takes other arguments: each is a
:class:`~tokenwheel.errors.ConfigurationError` that names the option and the right way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeGuard, TypeVar

from .errors import ConfigurationError
from .exact import is_instance, type_name_of

__all__ = [
    "check_call",
    "check_conforms",
    "check_instance",
    "conforms",
    "is_awaitable",
    "is_coroutine_function",
]

T = TypeVar("T")


def check_conforms(option: str, value: object, protocol: type, methods: Sequence[str]) -> None:
    """Check that a value is an instance with these methods, and that each takes its arguments.

    Raises:
        ConfigurationError: it is not; names ``option`` and what is missing.
    """
    check_instance(option, value)
    for name in methods:
        if not callable(_attribute(value, name)):
            raise ConfigurationError(
                f"{option} must have the methods of {protocol.__name__}: {', '.join(methods)}; "
                f"{type_name_of(value)} has no {name}"
            )
    for name in methods:
        parameters = [*inspect.signature(getattr(protocol, name)).parameters][1:]
        check_call(f"{option}.{name}", _attribute(value, name), parameters)


def check_instance(option: str, value: object) -> None:
    """Check that a value is an instance, and not the class that it belongs to.

    Raises:
        ConfigurationError: it is a class; says how to write the instance.
    """
    if is_instance(value, type):
        raise ConfigurationError(
            f"{option} must be an instance, and is the class {value.__name__}: "
            f"write {value.__name__}(...) instead of {value.__name__}"
        )


def check_call(name: str, function: Callable[..., Any], parameters: Sequence[str]) -> None:
    """Check that a function can be called with these positional arguments.

    A function that does not say what it takes, as some compiled ones don't, is taken at its word.
    So is one that fails when it is asked.

    Raises:
        ConfigurationError: it takes other arguments; says which it has to take.
    """
    try:
        signature = inspect.signature(function)
    except Exception:  # any: __signature__ is the caller's own
        return
    try:
        signature.bind(*parameters)
    except TypeError:
        arguments = (
            f"positional arguments: {', '.join(parameters)}" if parameters else "no argument"
        )
        raise ConfigurationError(f"{name} must take {arguments}") from None
    except Exception:  # any: the signature is the caller's own, too
        return


def conforms(value: object, protocol: type[T]) -> TypeGuard[T]:
    """Return True where a value has all that a protocol of optional powers asks for.

    Attributes count however the value provides them, by a ``__getattr__`` too, as a wrapper around
    a storage or a feed may. ``isinstance`` looks for those in some versions of Python only.
    """
    for name, member in vars(protocol).items():
        if name.startswith("_"):
            continue
        missing = object()
        attribute = _attribute(value, name, missing)
        if attribute is missing or (callable(member) and not callable(attribute)):
            return False
    return True


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return True where calling the function gives a coroutine.

    It is an ``async def``, or an object whose ``__call__`` is one.
    """
    with suppress(Exception):  # any: the attributes that are looked at are the caller's own
        if inspect.iscoroutinefunction(function):
            return True
    with suppress(Exception):
        return inspect.iscoroutinefunction(type(function).__call__)
    return False


def is_awaitable(answer: object) -> bool:
    """Return True where an answer is to be awaited. One that fails when it is asked is not."""
    try:
        return inspect.isawaitable(answer)
    except Exception:  # any: __class__ is the user's own
        return False


def _attribute(value: object, name: str, default: object = None) -> Any:
    """Return an attribute of what a user handed in, or the default where it cannot be read."""
    try:
        return getattr(value, name, default)
    except Exception:  # any: a __getattr__ is the user's own
        return default
