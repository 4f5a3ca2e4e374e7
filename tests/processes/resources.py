"""What the resource servers of the tests have in common, whoever serves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenwheel import TokenwheelError

# Short, so that a test sees in moments what otherwise takes minutes.
OPTIONS: dict[str, Any] = {
    "min_refresh": 0.1,
    "max_refresh": 0.2,
    "cooldown": 0.2,
    "timeout": 1,
    "keep_missing": 3600,
}


def answer_to(read: Callable[[str], Any], authorization: str) -> tuple[int, str]:
    """Return the status and the text of an answer: who sends the token, or why it is refused."""
    try:
        return 200, read(authorization.removeprefix("Bearer ")).subject
    except TokenwheelError as error:
        return error.status, f"{type(error).__name__}: {error}"
