"""``import tokenwheel.web`` imports no framework, and the gate knows none."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

FRAMEWORKS = ("django", "fastapi", "flask", "quart", "rest_framework", "starlette", "werkzeug")
GATE = (
    "admission", "answers", "bearer", "bodies", "calls", "cookies", "demands", "devices",
    "endpoints", "errors", "fields", "gate", "origin", "renewing",
)  # fmt: skip


@pytest.mark.parametrize("name", ["tokenwheel.web", *(f"tokenwheel.web.{name}" for name in GATE)])
def test_no_framework_is_imported(name: str) -> None:
    assert all(find_spec(framework) for framework in FRAMEWORKS)
    code = f"import sys, {name}; print(*[name for name in sys.modules if '.' not in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {*FRAMEWORKS} & {*done.stdout.split()}
