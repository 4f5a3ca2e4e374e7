"""SqlStorage on real servers and a file: the contract, blocking and async, over each driver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from sqlalchemy import text

from tests.engines import KINDS, OverEachEngine, Place, place_for
from tests.storage.own_copies import OwnCopiesContract
from tests.storage.twice import Twice
from tokenwheel import SqlStorage
from tokenwheel.storage import DamagedRecords
from tokenwheel.testing import NOW, make_record


class TestOverEachEngine(OverEachEngine, OwnCopiesContract):
    def make_storage(self) -> SqlStorage:
        self.place.empty()
        self.engine = self.make_engine()
        return SqlStorage(self.engine)

    def teardown_method(self) -> None:
        self.wait(self.storage.close())
        self.dispose_engine(self.engine)
        super().teardown_method()


class TwiceInFile(Twice):
    place: ClassVar[Place]

    def __init__(self) -> None:
        self.place.empty()
        self.engines: list[Any] = []
        super().__init__()

    def open(self) -> SqlStorage:
        self.engines.append(self.place.engine())
        return SqlStorage(self.engines[-1])

    def teardown(self) -> None:
        super().teardown()
        for storage in self.storages:
            storage.close()
        for engine in self.engines:
            engine.dispose()


class TestTwiceInFile(TwiceInFile.TestCase):  # type: ignore[misc]
    settings = settings(max_examples=20, stateful_step_count=30)

    @pytest.fixture(autouse=True)
    def find(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
        with place_for(KINDS["sqlite"], request, tmp_path) as place:
            TwiceInFile.place = place
            yield


@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_row_is_told_from_the_others(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    damages = {"family_hash": b"short", "generation": -1, "context": b"{", "salt": b"s"}
    if name == "sqlite":  # where a column holds a value of any type
        damages |= {"ends_at": "tomorrow", "secret_hash": "text", "created_at": b"\xff"}
    with place_for(KINDS[name], request, tmp_path) as place:
        plain = place.plain_engine()
        whole = SqlStorage(plain)
        whole.insert(make_record(0), None, NOW)
        for number, (column, damage) in enumerate(damages.items(), 1):
            whole.insert(make_record(number), None, NOW)
            with plain.begin() as connection:
                connection.execute(
                    text(f"UPDATE tokenwheel_sessions SET {column} = :damage WHERE id = :id"),
                    {"damage": damage, "id": make_record(number).id},
                )
        whole.close()
        plain.dispose()
        with pytest.raises(DamagedRecords) as raised:
            asyncio.run(read_all(place)) if place.kind.is_async else read_all_blocking(place)
    assert raised.value.readable == [make_record(0)]
    assert {part.record.id: part.damage for part in raised.value.damaged} == {
        make_record(number).id: column for number, column in enumerate(damages, 1)
    }


async def read_all(place: Place) -> None:
    engine = place.engine()
    storage = SqlStorage(engine)
    try:
        await storage.read_all("uid1", NOW)
    finally:
        await storage.close()
        await engine.dispose()


def read_all_blocking(place: Place) -> None:
    engine = place.engine()
    storage = SqlStorage(engine)
    try:
        storage.read_all("uid1", NOW)
    finally:
        storage.close()
        engine.dispose()
