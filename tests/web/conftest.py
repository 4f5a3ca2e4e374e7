"""A house whose manager is of either colour, for the tests of gates and routes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.web import django_project
from tests.web.gates import House

django_project.configure()  # Before a test imports anything of DRF, which reads the settings.


@pytest.fixture(params=["blocking", "async"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    house = House(request.param)
    yield house
    house.close()
