"""Both implementations in one process, and managers over them that can be asked and compared.

An implementation is chosen when tokenwheel is imported. So the other one is imported once more,
apart from the one that all other tests know, and its modules are put aside again.
"""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from functools import cache
from types import CoroutineType, ModuleType
from typing import Any, Self

import tokenwheel
from tests.support import FakeClock, secret_of
from tests.twins.differential import TWINS

__all__ = ["PLAIN", "TWINS", "Error", "World", "answer_of", "library_of", "plain_parts"]

NOW = 1_700_000_000.0
PLAIN = (str, bytes, int, float, bool, type(None), dict, list, tuple)


@cache
def library_of(implementation: str) -> ModuleType:
    """Return tokenwheel over an implementation."""
    if tokenwheel.implementation == implementation:
        return tokenwheel
    with _put_aside():
        chosen = os.environ.get("TOKENWHEEL_IMPL")
        os.environ["TOKENWHEEL_IMPL"] = implementation
        try:
            library = importlib.import_module("tokenwheel")
            for name in library.__all__:  # What is imported when it is used belongs to it, too.
                getattr(library, name)
            return library
        finally:
            del os.environ["TOKENWHEEL_IMPL"]
            if chosen is not None:
                os.environ["TOKENWHEEL_IMPL"] = chosen


@contextmanager
def _put_aside() -> Any:
    """Forget the modules of tokenwheel, and afterwards those that were imported instead."""
    known = {name: module for name, module in sys.modules.items() if _is_ours(name)}
    for name in known:
        del sys.modules[name]
    try:
        yield
    finally:
        for name in [*filter(_is_ours, sys.modules)]:
            del sys.modules[name]
        sys.modules.update(known)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "tokenwheel"


@dataclasses.dataclass(frozen=True)
class Error:
    """An error of tokenwheel's own, of either implementation, by its words."""

    kind: str
    words: str


def answer_of(library: ModuleType, call: Callable[[], Any]) -> Any:
    """Return what a call answers, or its Error where that is one of the library's own."""
    try:
        return call()
    except library.TokenwheelError as error:
        return Error(type(error).__name__, str(error))


class World:
    """A manager with a storage, where ``ann`` has a session and ``bob`` has another.

    Args:
        implementation: of the library.
        is_async: whether the manager is awaited.
        options: of the manager, beside the usual ones.
    """

    def __init__(self, implementation: str, is_async: bool, **options: Any) -> None:
        self.library = library_of(implementation)
        self.clock = FakeClock(NOW)
        self.storage = self.library.MemoryStorage()
        name = "AsyncSessionManager" if is_async else "SessionManager"
        given = {
            "keys": _keys(implementation),
            "issuer": "auth",
            "audience": ["auth", "rest"],
            "clock": self.clock,
            "storage": self.storage,
        }
        self.manager = getattr(self.library, name)(**(given | options))
        self.device = self.library.Device("Pixel", "phone", {"os": "14"})
        self.ann = self.ask("create", subject="ann", context=self.context())
        self.bob = self.ask("create", subject="bob")
        self.heard: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ask("close")

    def context(self) -> Any:
        return self.library.SessionContext("::1", self.device, "Rome")

    def ask(self, method: str, **arguments: Any) -> Any:
        """Call a method of the manager, and await it where it wants to be."""
        answer = getattr(self.manager, method)(**arguments)
        return _run(answer) if type(answer) is CoroutineType else answer

    def listen(self, event: Any) -> None:
        self.heard.append(event)

    def records(self) -> list[Any]:
        """Return what the storage holds of those who may have sessions here."""
        return [self.storage.read_all(subject, self.clock.now) for subject in ("ann", "bob", "eve")]

    def state(self) -> Any:
        """Return all that a call could have changed."""
        listeners = {
            event.name: len(told) for event, told in self.manager._listeners._by_event.items()
        }
        return self.records(), len(self.manager.revocations), listeners

    def told(self, answer: Any) -> Any:
        """Return an answer in plain types, and without what is random in it."""
        library = self.library
        if isinstance(answer, library.SessionTokens):
            claims = answer_of(library, lambda: self.manager.read(answer.access_token))
            return [
                self.told(claims), len(answer.refresh_token),
                answer.access_expires_at, answer.refresh_expires_at,
            ]  # fmt: skip
        if dataclasses.is_dataclass(answer) and not isinstance(answer, type | Error):
            fields = dataclasses.fields(answer)
            return {field.name: self.told(getattr(answer, field.name)) for field in fields}
        if isinstance(answer, Mapping):
            pairs = [[self.told(name), self.told(item)] for name, item in answer.items()]
            return sorted(pairs, key=repr)
        if isinstance(answer, tuple | list):
            return [self.told(item) for item in answer]
        if isinstance(answer, str):
            return self._named(answer)
        return answer

    def _named(self, text: str) -> str:
        names = {self.ann.session_id: "the session of ann", self.bob.session_id: "that of bob"}
        is_id = len(text) == len(self.ann.session_id)
        return names.get(text, "a new session" if is_id else text)


def plain_parts(value: Any) -> bool:
    """Return True where nothing in a value is of a subclass of a plain type."""
    if isinstance(value, Mapping):
        return all(plain_parts(name) and plain_parts(value[name]) for name in value)
    if dataclasses.is_dataclass(value):
        return all(plain_parts(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, tuple | list):
        return all(map(plain_parts, value))
    return type(value) in PLAIN


@cache
def _keys(implementation: str) -> Any:
    """Return the keys of all managers of an implementation."""
    return library_of(implementation).KeySet.from_secret(secret_of("doors"), kid="k")


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def _run(coroutine: Any) -> Any:
    return _loop().run_until_complete(coroutine)
