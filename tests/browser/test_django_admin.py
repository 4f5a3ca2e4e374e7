"""Django's admin in a real browser: whoever may ends sessions there, and the devices notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import NAMES
from tests.docs.howto_blocks import HOWTO
from tests.servers import until
from tests.web.servers import Server, gunicorn, serving
from tests.web.tls import Certificate

pytest.importorskip("django")
from tests.django_app.project import Project

pytestmark = pytest.mark.skipif(
    not HOWTO.exists(), reason="a wheel is tested without the pages beside it"
)

PASSWORD = "correct horse battery"
USERS = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("root", password="{PASSWORD}")
for name in ("ann", "ben"):
    User.objects.create_user(name, password="{PASSWORD}")
"""


class Device:
    """A browser on a page of the site."""

    def __init__(self, context: Any, origin: str) -> None:
        self.origin = origin
        self.page = context.new_page()
        self.page.goto(f"{origin}/me")
        self.session_id = ""

    def log_in(self, name: str, password: str = PASSWORD) -> None:
        status, answer = self.ask("POST", "/login", name=name, password=password)
        assert status == 200
        self.session_id = answer["session_id"]
        assert self.is_signed_in()

    def is_signed_in(self) -> bool:
        status, answer = self.ask("GET", "/me")
        if status == 401:
            assert answer["code"] == "access_token_revoked"
            assert self.ask("POST", "/session/refresh")[1]["code"] == "session_not_found"
        return bool(status == 200)

    def ask(self, method: str, path: str, **form: str) -> tuple[int, Any]:
        """Return the status and the JSON that the site answers to a script of the page."""
        status, answer = self.page.evaluate(
            """async ([method, path, form]) => {
                const body = method === "GET" ? undefined : new URLSearchParams(form);
                const answer = await fetch(path, { method, body });
                const text = await answer.text();
                return [answer.status, text ? JSON.parse(text) : null];
            }""",
            [method, path, form],
        )
        return status, answer


class Admin:
    """The admin in a browser, as root."""

    def __init__(self, context: Any, origin: str) -> None:
        self.list = f"{origin}/admin/tokenwheel/session/"
        self.users = f"{origin}/admin/auth/user/"
        self.page = context.new_page()
        self.page.goto(self.list)
        self.page.fill("#id_username", "root")
        self.page.fill("#id_password", PASSWORD)
        with self.page.expect_navigation():
            self.page.click("input[type=submit]")

    def search(self, term: str) -> int:
        """Search for sessions. Return how many are listed."""
        self.page.goto(self.list)
        self.page.fill("#searchbar", term)
        with self.page.expect_navigation():
            self.page.click("#changelist-search input[type=submit]")
        return int(self.page.locator("#result_list tbody tr").count())

    def choose(self, *devices: Device) -> None:
        for device in devices:
            self.page.check(f"input[name=_selected_action][value='{device.session_id}']")

    def act(self, action: str) -> None:
        self.page.select_option("select[name=action]", action)
        self.page.click("button[name=index]")

    def confirm(self) -> str:
        """Confirm what was asked for. Return what the admin says then."""
        with self.page.expect_navigation():
            self.page.click("input[type=submit][value='Yes, end them']")
        return str(self.page.inner_text(".messagelist"))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("site")
    if request.param == "sqlite":
        with _served(Project(folder), certificate) as server:
            yield server
        return
    with (
        request.getfixturevalue("postgres").database() as database,
        _served(Project(folder, database.django), certificate) as server,
    ):
        yield server


def _served(project: Project, certificate: Certificate) -> Any:
    project.manage("migrate", "-v", "0")
    project.shell(USERS)
    return serving(gunicorn, "config.wsgi", project.folder, certificate=certificate, workers=2)


@pytest.fixture
def devices(new_context: Callable[[], Any], site: Server) -> list[Device]:
    """Three devices that nobody has logged in on."""
    return [Device(new_context(), site.origin(NAMES[0])) for _ in range(3)]


@pytest.fixture
def admin(new_context: Callable[[], Any], site: Server) -> Admin:
    return Admin(new_context(), site.origin(NAMES[0]))


def test_one_session_ends_in_the_admin_and_the_other_device_stays(
    admin: Admin, devices: list[Device]
) -> None:
    laptop, phone, _ = devices
    laptop.log_in("ann")
    phone.log_in("ann")
    assert admin.search("ann") == 2
    admin.page.click(f"#result_list a[href*='{phone.session_id.replace('_', '_5F')}']")
    assert "Chrome" in admin.page.inner_text("#content")
    admin.page.click("text=End this session")
    assert phone.is_signed_in()
    assert admin.confirm() == "1 session was ended."
    until(lambda: not phone.is_signed_in(), "the end of the session in the other worker")
    assert laptop.is_signed_in()
    assert admin.search("ann") == 1
    laptop.ask("POST", "/session/logout/everywhere")


def test_some_and_all_sessions_end_in_the_admin(admin: Admin, devices: list[Device]) -> None:
    first, second, third = devices
    for device in devices:
        device.log_in("ben")
    assert admin.search("ben") == 3
    admin.choose(first)
    admin.act("delete_selected")
    assert admin.confirm() == "1 session was ended."
    until(lambda: not first.is_signed_in(), "the end of the session in the other worker")
    assert second.is_signed_in()
    admin.page.click(f"#result_list a[href*='{second.session_id.replace('_', '_5F')}']")
    admin.page.click("text=End all sessions of this subject")
    assert admin.confirm() == "2 sessions were ended."
    for device in (second, third):
        until(lambda: not device.is_signed_in(), "the end of the session in the other worker")
    assert admin.search("ben") == 0


def test_a_new_password_ends_the_sessions_of_the_other_devices(devices: list[Device]) -> None:
    laptop, phone, _ = devices
    laptop.log_in("ann")
    phone.log_in("ann")
    assert laptop.ask("POST", "/password", password="a newer horse battery")[0] == 204
    until(lambda: not phone.is_signed_in(), "the end of the session in the other worker")
    assert laptop.is_signed_in()
    assert laptop.ask("POST", "/password", password=PASSWORD)[0] == 204
    assert laptop.is_signed_in()


def test_a_user_who_is_deactivated_in_the_admin_is_signed_out(
    admin: Admin, devices: list[Device]
) -> None:
    for device in devices:
        device.log_in("ben")
    admin.page.goto(f"{admin.users}?username=ben")
    admin.page.click("#result_list a:text-is('ben')")
    admin.page.uncheck("#id_is_active")
    with admin.page.expect_navigation():
        admin.page.click("input[name=_save]")
    for device in devices:
        until(lambda: not device.is_signed_in(), "the end of the session in the other worker")
