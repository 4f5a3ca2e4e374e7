"""Pages of another origin, with a signed-in user before them, change nothing.

Three of them are tried: the same host on a second port, a sibling of the host, and another site. To
the first two the browser counts as one site, and its ``SameSite=Lax`` cookies go along.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.other_site import OtherSite, other_site
from tests.browser.window import Window, cookies_of
from tests.web.examples import HOST, SERVED, Example, Site, served
from tests.web.tls import Certificate

SIBLING = "sibling.app.example.test"
ORIGINS = [HOST, SIBLING, "evil.example.test", "other.test"]
FORM = "application/x-www-form-urlencoded"
TARGETS = ["refresh", "logout", "logout/others", "logout/everywhere"]

SUBMIT = """([address, type, fields]) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = address;
    form.enctype = type;
    for (const [name, value] of Object.entries(fields)) {
        const input = document.createElement("input");
        input.name = name;
        input.value = value;
        form.append(input);
    }
    document.body.append(form);
    setTimeout(() => form.submit());  // After this call, which the navigation would break off.
}"""
FETCH = """([address, options]) => fetch(address, { credentials: "include", ...options })
    .then((answer) => answer.type, () => "refused")"""
SOCKET = """(address) => new Promise((resolve) => {
    const socket = new WebSocket(address);
    socket.onmessage = () => resolve("heard");
    socket.onclose = () => resolve("closed");
})"""


@pytest.fixture(scope="module", params=[SERVED[0], SERVED[2], SERVED[-2]], ids=str)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
) -> Iterator[Site]:
    example: Example = request.param
    with served(example, tmp_path_factory.mktemp("site"), certificate) as running:
        yield running


@pytest.fixture(scope="module")
def evil(certificate: Certificate) -> Iterator[OtherSite]:
    with other_site(certificate) as running:
        yield running


@pytest.fixture
def window(context: Any, site: Site) -> Window:
    """Return a window of a user who is signed in on two devices."""
    window = Window(context, site.origin)
    window.log_in("ann")
    return window


def test_forms_of_another_origin_change_nothing(
    window: Window, context: Any, site: Site, evil: OtherSite
) -> None:
    before = state(window, context)
    page = context.new_page()
    for host in ORIGINS:
        for target in TARGETS:
            address = f"{site.origin}/session/{target}"
            assert submit(page, evil.origin(host), address, FORM, {}) in {401, 403}
        address = f"{site.origin}/session/logout"
        assert submit(page, evil.origin(host), address, "text/plain", {}) in {401, 403}
    assert state(window, context) == before


def test_a_form_of_another_origin_logs_nobody_in(context: Any, site: Site, evil: OtherSite) -> None:
    json_in_a_form = {'{"name": "ben", "password": "correct horse", "more": "': '"}'}
    fields = {"name": "ben", "password": "correct horse"}
    address = f"{site.origin}/login"
    page = context.new_page()
    for host in ORIGINS:
        assert submit(page, evil.origin(host), address, "text/plain", json_in_a_form) >= 400
        assert submit(page, evil.origin(host), address, FORM, fields) >= 400
    assert cookies_of(context) == {}


def test_the_same_form_of_the_own_page_logs_out(window: Window, context: Any, site: Site) -> None:
    with window.page.expect_response("**/session/logout") as answer:
        window.page.evaluate(SUBMIT, [f"{site.origin}/session/logout", "text/plain", {}])
    assert answer.value.status == 204
    assert cookies_of(context) == {}


def test_scripts_of_another_origin_change_nothing_and_read_nothing(
    window: Window, context: Any, site: Site, evil: OtherSite
) -> None:
    before = state(window, context)
    session = window.fetch("GET", "/me")[1]["sid"]
    for host in ORIGINS:
        page = context.new_page()
        page.goto(evil.origin(host))
        for target in TARGETS:
            address = f"{site.origin}/session/{target}"
            blind = {"method": "POST", "mode": "no-cors"}
            assert page.evaluate(FETCH, [address, blind]) == "opaque"
            assert page.evaluate(FETCH, [address, {"method": "POST"}]) == "refused"
        address = f"{site.origin}/session/sessions/{session}"
        assert page.evaluate(FETCH, [address, {"method": "DELETE"}]) == "refused"
        assert page.evaluate(FETCH, [f"{site.origin}/me", {}]) == "refused"
    assert state(window, context) == before


def test_a_web_socket_of_another_origin_hears_nothing_and_is_closed(
    window: Window, context: Any, site: Site, evil: OtherSite
) -> None:
    address = f"wss{site.origin.removeprefix('https')}/messages"
    assert window.page.evaluate(SOCKET, address) == "heard"
    for host in ORIGINS:
        page = context.new_page()
        page.goto(evil.origin(host))
        assert page.evaluate(SOCKET, address) == "closed"


def test_a_sibling_host_can_plant_no_cookie(
    window: Window, context: Any, site: Site, evil: OtherSite
) -> None:
    before = cookies_of(context)
    planted = [
        f"{name}=planted{domain}; Path={path}{secure}"
        for name in (*before, *(name.lower() for name in before), *(f"={name}" for name in before))
        for domain in ("", "; Domain=app.example.test", "; Domain=example.test")
        for path in ("/", "/session")
        for secure in ("", "; Secure")
    ]
    control = "planted=planted; Domain=app.example.test; Path=/"
    with other_site(None) as insecure:
        for plain in (evil.origin(SIBLING), insecure.origin(SIBLING, "http")):
            for attacker in (evil, insecure):
                attacker.set_cookies = [*planted, control]
            page = context.new_page()
            page.goto(plain)
            page.evaluate(
                "(lines) => { for (const line of lines) document.cookie = line; }", planted
            )
    evil.set_cookies = []
    sent = context.cookies(f"{site.origin}/session/refresh")
    reached = {cookie["name"]: cookie["value"] for cookie in sent}
    assert reached.pop("planted") == "planted"  # What has no such prefix can be planted.
    assert reached == {name: cookie["value"] for name, cookie in before.items()}
    assert window.fetch("POST", "/session/refresh")[0] == 200


def submit(page: Any, origin: str, address: str, encoding: str, fields: dict[str, str]) -> int:
    """Return what a form is answered that a page of this origin submits by itself."""
    page.goto(origin)
    with page.expect_navigation(url=address) as answer:
        page.evaluate(SUBMIT, [address, encoding, fields])
    return int(answer.value.status)


def state(window: Window, context: Any) -> tuple[Any, Any, Any]:
    """Return all that an attack could change: the jar, who is signed in, and the devices."""
    values = {name: cookie["value"] for name, cookie in cookies_of(context).items()}
    return values, window.fetch("GET", "/me"), window.fetch("GET", "/session/sessions")
