"""The module under test comes as a fixture, so that no test knows which twin it runs.

A missing extension fails the tests and never skips them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.twins.differential import TWINS

__all__ = ["TWINS"]


@pytest.fixture(params=TWINS)
def implementation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def load(implementation: str) -> Callable[[str], ModuleType]:
    """Return what imports a module of the implementation under test."""
    return lambda name: importlib.import_module(f"tokenwheel._{implementation}.{name}")
