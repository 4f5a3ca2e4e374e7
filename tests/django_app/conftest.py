"""A database of each kind, with the tables of the app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_app.support import DATABASES, entry_of, migrated


@pytest.fixture(params=DATABASES)
def alias(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The alias of a migrated database that holds nothing yet."""
    with entry_of(request.param, request, tmp_path) as entry, migrated(entry) as alias:
        yield alias
