"""What the storages of this library promise beyond the contract: records of their own."""

from __future__ import annotations

from typing import Any

from tokenwheel import Device, SessionContext, SessionRecord
from tokenwheel.testing import NOW, StorageContract, following


class OwnCopiesContract(StorageContract):
    """The contract of every storage, for those that share nothing with their callers, either."""

    def test_what_is_done_to_a_record_afterwards_reaches_nobody(self) -> None:
        handed_in = _with_device(self.record())
        self.insert(handed_in)
        _spoil(handed_in)
        _spoil(self.read(handed_in))
        _spoil(self.wait(self.storage.read_all(handed_in.subject, NOW))[0])
        assert self.read(handed_in) == _with_device(handed_in)
        changed = _with_device(following(handed_in))
        self.replace(changed)
        _spoil(changed)
        assert self.read(changed) == _with_device(changed)


def _with_device(record: SessionRecord) -> SessionRecord:
    device = Device("Pixel", "phone", {"tags": ["a"]})
    return record._replace(context=SessionContext(device=device))


def _spoil(record: Any) -> None:
    record.context.device.extra["tags"].append("b")
    record.context.device.extra["admin"] = True
