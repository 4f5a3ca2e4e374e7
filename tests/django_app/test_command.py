"""``manage.py tokenwheel_sessions`` lists, ends and counts the sessions of the running site."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from tests.django_app.site import Site, open_site, service
from tokenwheel import AsyncSessionManager, Device, SessionContext, SessionManager
from tokenwheel.testing import make_record

from django.core.management import CommandError, call_command  # isort: skip -- it needs the settings
from django.core.management import execute_from_command_line  # isort: skip

COMMAND = "tokenwheel_sessions"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as opened:
        yield opened


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs the command, and returns what it printed."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        call_command(COMMAND, *arguments)
        return capsys.readouterr().out

    return run


def _from_a_shell(*arguments: str) -> None:
    execute_from_command_line([sys.argv[0], *arguments])


def test_list_shows_the_sessions_of_one_subject_the_oldest_first(site: Site, run: Any) -> None:
    context = SessionContext("203.0.113.7", Device("\x1b[2JPixel", "phone"), "Chișinău")
    first, second = site.log_in("ann", context=context), site.log_in("ann")
    site.log_in("ann ")
    header, *lines = run("list", "ann").splitlines()
    assert header.split()[0] == "SESSION"
    assert [line.split()[0] for line in lines] == [first.session_id, second.session_id]
    assert "203.0.113.7" in lines[0]
    assert "\x1b" not in lines[0]
    listed = json.loads(run("list", "ann", "--json"))
    assert [session["id"] for session in listed] == [first.session_id, second.session_id]
    assert listed[0]["location"] == "Chișinău"
    assert run("list", "nobody") == "the subject has no session\n"


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_end_ends_one_session_or_all_and_the_running_site_obeys(
    tmp_path: Path, run: Any, kind: Any
) -> None:
    with open_site(tmp_path, kind) as site:
        first, *more = (site.log_in("ann") for _ in range(3))
        ben = site.log_in("ben")
        said = "sessions ended: {}; every worker refuses their tokens from now on\n"
        assert run("end", "ann", first.session_id) == said.format(1)
        assert site.is_refused(first)
        assert not any(map(site.is_refused, more))
        assert json.loads(run("count", "--json")) == {"sessions": 3, "revocations": 1}
        assert run("end", "ann", "--all") == said.format(2)
        assert all(map(site.is_refused, more))
        assert not site.is_refused(ben)
        assert json.loads(run("end", "ann", "--all", "--json")) == {"ended": 0}
        assert run("count") == "sessions: 1\nrevocations: 3\n"


def test_what_is_not_there_is_said_to_be_missing(site: Site, run: Any) -> None:
    tokens = site.log_in("ann")
    with pytest.raises(CommandError, match="the subject has no session of this id"):
        run("end", "ben", tokens.session_id)
    with pytest.raises(CommandError, match="session_id must be a session id"):
        run("end", "ann", "short")
    with pytest.raises(CommandError, match="subject must have 1 to 255 characters"):
        run("list", "")
    assert not site.is_refused(tokens)


def test_a_database_is_named_by_its_alias(site: Site, run: Any) -> None:
    tokens = site.log_in("ann")
    with override_settings(TOKENWHEEL=None):
        assert tokens.session_id in run("list", "ann", "--using", "default")
        assert "sessions ended: 1" in run("end", "ann", tokens.session_id, "--using", "default")
    site.wait_until_refused(tokens)
    with pytest.raises(CommandError, match="elsewhere"):
        run("list", "ann", "--using", "elsewhere")


def test_the_services_of_a_database_are_told_apart_by_their_issuer(site: Site, run: Any) -> None:
    own = site.log_in("ann")
    with service(issuer="another service") as other:
        of_other = other.create(subject="ann")
        assert own.session_id in run("list", "ann")
        assert own.session_id not in run("list", "ann", "--issuer", "another service")
        run("end", "ann", "--all", "--issuer", "another service")
        assert list(other.read_all("ann")) == []
        assert not site.is_refused(own)
        other.create(subject="ann")
        assert "sessions ended: 2" in run("end", "ann", "--all")
        assert of_other.session_id not in run("list", "ann")


@pytest.mark.parametrize("start", [call_command, _from_a_shell])
def test_an_id_that_begins_with_a_dash_is_no_option(
    site: Site, capsys: pytest.CaptureFixture[str], start: Any
) -> None:
    for session_id in ("-AAAAAAAAAAAAAAA", "--all-AAAAAAAAAA", "----------------"):
        record = make_record(subject="ann", ends_at=4_000_000_000)._replace(id=session_id)
        site.manager.storage.insert(record, None, 0)
        start(COMMAND, "end", "ann", session_id)
        assert "sessions ended: 1" in capsys.readouterr().out
