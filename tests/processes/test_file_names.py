"""Workers open one file by several names: each hears the others at once."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from .support import employed, make_manager, refuses, serve


def obey(path: Path, connection: Connection) -> None:
    serve(make_manager(path), connection)


@pytest.mark.skipif(
    sys.platform == "win32", reason="there, links need rights that users don't have"
)
def test_workers_that_open_a_file_by_different_names_hear_every_logout_at_once(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "sessions.db").symlink_to(folder / "sessions.db")
    names = ["folder/sessions.db", "link/sessions.db", "sessions.db", "link/../sessions.db"]
    with ExitStack() as stack:
        workers = []
        for name in names:
            workers.append(stack.enter_context(employed(obey, tmp_path / name)))
            workers[-1].read_all("ann")
        for turn in range(20):
            first, second, third, fourth = (workers[(turn + place) % 4] for place in range(4))
            tokens = first.create(subject="ann")
            for worker in workers:
                assert not refuses(worker, tokens.access_token)
            second.delete_one("ann", tokens.session_id)
            assert refuses(third, tokens.access_token)
            assert refuses(fourth, tokens.access_token)
            assert refuses(first, tokens.access_token)
    assert len(list(tmp_path.rglob("*-doorbell"))) == 1
