"""What processes of a trial write down and share is read whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from .journal import OK, Birth, Call, Event, Journal, Records
from .shared import LAST, Shelf, Shelved


def test_a_journal_holds_what_was_written_and_the_answer_replaces_the_question(
    tmp_path: Path,
) -> None:
    question = Call("a", 0, "create", 1.0, "subject 1")
    answer = question._replace(ended=2.0, outcome=OK, access_token="T1")
    cut_off = Call("a", 1, "delete_one", 3.0, "subject 1", "A" * 16)
    birth, event = Birth("a", "spawn", 0.5, True), Event("kill", 4.0, 4.5, "a")
    journal = Journal(tmp_path / "a.journal")
    for record in (birth, question, answer, cut_off, event):
        journal.write(record)
    journal.close()
    records = Records.read(tmp_path)
    assert records.calls == [answer, cut_off]
    assert records.births == {"a": birth}
    assert records.events == [event]


def test_a_session_on_the_shelf_is_seen_by_all_and_none_that_was_half_written(
    tmp_path: Path,
) -> None:
    shelved = Shelved("A" * 16, "R1", ["T1"])
    ours, theirs = Shelf(tmp_path / "shelf"), Shelf(tmp_path / "shelf")
    assert theirs[LAST] is None
    ours[LAST] = shelved
    assert theirs[LAST] == shelved
    start = ours._memory.find(b"R1")
    ours._memory[start : start + 2] = b"R2"
    assert theirs[LAST] is None
