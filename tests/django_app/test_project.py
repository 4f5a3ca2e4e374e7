"""The app in a project of ``django-admin startproject``, as docs/howto/django.md says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.django_app.project import Project
from tests.docs.howto_blocks import HOWTO, block, run_shell

pytestmark = [
    pytest.mark.skipif(not HOWTO.exists(), reason="a wheel is tested without the pages beside it"),
    pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell"),
]

LOGIN = """
from django.contrib.auth import get_user_model
from config.sessions import sessions
user, _ = get_user_model().objects.get_or_create(pk=1, username="ann")
print(sessions.create(subject=str(user.pk)).session_id)
"""
SIGNED_IN = """
from config.sessions import sessions
print(len(sessions.read_all("1")))
"""
DEACTIVATE = """
from django.contrib.auth import get_user_model
user = get_user_model().objects.get(pk=1)
user.is_active = False
user.save()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    if request.param == "sqlite":
        yield Project(tmp_path)
        return
    with request.getfixturevalue("postgres").database() as database:
        yield Project(tmp_path, database.django)


def test_the_commands_of_the_page_work_in_a_new_project(project: Project) -> None:
    migrated = run_shell(block("django", "sh", "manage.py migrate"), project.folder)
    assert migrated.returncode == 0, migrated.stderr
    assert "no issues" in project.manage("check", "--fail-level", "WARNING")
    assert "No changes" in project.manage("makemigrations", "--check")
    session_id = project.shell(LOGIN).strip()
    project.shell(LOGIN)
    ran = run_shell(block("django", "sh", "tokenwheel_sessions"), project.folder)
    assert ran.returncode == 0, ran.stderr
    assert session_id in ran.stdout
    assert "sessions ended: 2;" in ran.stdout
    assert ran.stdout.endswith("sessions: 0\nrevocations: 2\n")


def test_the_settings_of_the_page_say_when_sessions_end_and_whose(project: Project) -> None:
    project.manage("migrate")
    settings = project.folder / "config" / "settings.py"
    plain = settings.read_text()
    settings.write_text(plain + block("django", "python", "TOKENWHEEL_END_SESSIONS_ON"))
    project.shell(LOGIN)
    project.shell(DEACTIVATE.replace("user.is_active = False", "user.set_password('new')"))
    assert project.shell(SIGNED_IN).strip() == "1"
    settings.write_text(plain + block("django", "python", "TOKENWHEEL_SUBJECT_OF"))
    with (project.folder / "config" / "sessions.py").open("a") as file:
        file.write("\n\ndef subject_of(user):\n    return None\n")
    project.shell(DEACTIVATE)
    assert project.shell(SIGNED_IN).strip() == "1"
    settings.write_text(plain)
    project.shell(DEACTIVATE)
    assert project.shell(SIGNED_IN).strip() == "0"


@pytest.mark.parametrize(
    "line, said",
    [
        ("TOKENWHEEL = None", "tokenwheel.W001"),
        ("TOKENWHEEL_END_SESSIONS_ON = {'password'}", "tokenwheel.E001"),
        ("TOKENWHEEL_END_SESSIONS_ON = 'deletion'", "tokenwheel.E001"),
        ("TOKENWHEEL_END_SESSIONS_ON = 1", "tokenwheel.E001"),
    ],
)
def test_manage_py_check_says_what_is_wrong_with_the_settings(
    tmp_path: Path, line: str, said: str
) -> None:
    project = Project(tmp_path)
    project.write("urls", "urlpatterns = []")
    with (tmp_path / "config" / "settings.py").open("a") as file:
        file.write(f"\n{line}\n")
    ran = subprocess.run(
        [sys.executable, "manage.py", "check", "--fail-level", "WARNING"],
        capture_output=True,
        text=True,
        cwd=project.folder,
        check=False,
    )
    assert ran.returncode == 1
    assert said in ran.stderr
