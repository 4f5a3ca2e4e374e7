"""The targets of the fuzzer by name, and how one of them is tried.

A target is a module here with a function ``check``. It is given any bytes, and raises where the
promise is broken that the module opens with.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["CORPUS", "DIFFERENTIAL", "TARGETS", "loaded"]

DIFFERENTIAL = ["access_tokens", "claims", "plain_claims"]
"""Those that do nothing but compare the twins, so that one run serves both."""
TARGETS = [
    *DIFFERENTIAL, "refresh_tokens", "keys", "redis_records", "sqlite_rows", "messages",
]  # fmt: skip
CORPUS = Path(__file__).with_name("corpus")
"""A folder for each target, with bytes that were worth keeping."""


@contextmanager
def loaded(target: str) -> Iterator[Callable[[bytes], None]]:
    """Return the target's ``check``. PyJWT's time stands still meanwhile, as that of the twins."""
    # Not before: only a process for a target can load extensions that were built for the fuzzer.
    import jwt.api_jwt

    from tests.twins.differential import StandingStill

    module: Any = importlib.import_module(f"tests.fuzz.{target}")
    moving = jwt.api_jwt.datetime
    jwt.api_jwt.datetime = StandingStill  # type: ignore[misc, attr-defined]
    try:
        yield module.check
    finally:
        jwt.api_jwt.datetime = moving  # type: ignore[misc, attr-defined]
        getattr(module, "close", lambda: None)()
