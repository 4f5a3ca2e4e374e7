"""Each example in a real browser, behind its real server: what a user does, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.window import Window, cookies_of
from tests.servers import until
from tests.web.examples import SERVED, Example, Site, served
from tests.web.tls import Certificate

ACCESS, REFRESH = "__Host-tw-access", "__Host-tw-refresh"
REMEMBER_WHAT_COMES_BACK = """addEventListener("pageshow", ({ persisted }) => {
    const texts = ["name", "session", "devices", "messages", "requests"].map(
        (id) => document.getElementById(id).textContent);
    window.cameBack = [persisted, ...texts];
})"""
NO_LOGINS = [
    "",
    "[]",
    "null",
    "{",
    "{}",
    "[" * 9_999,
    '{"name": 1, "password": []}',
    '{"name": "ann", "password": "\\ud800"}',
    '{"name": "\\ud800", "password": "correct horse"}',
]
FOUR_HUNDRED_DAYS = 400 * 86_400


@pytest.fixture(scope="module", params=SERVED, ids=str)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
) -> Iterator[Site]:
    example: Example = request.param
    with served(example, tmp_path_factory.mktemp("site"), certificate) as running:
        yield running


def test_a_login_shows_who_one_is_and_a_refresh_replaces_both_tokens(
    context: Any, site: Site
) -> None:
    window = Window(context, site.origin)
    window.wait_signed_out()
    window.log_in("ben")
    assert window.text("#name") == "ben"
    before = cookies_of(context)
    with window.page.expect_response("**/session/refresh") as refresh:
        window.page.click("#refresh")
    assert refresh.value.status == 200
    after = cookies_of(context)
    assert before.keys() == after.keys() == {ACCESS, REFRESH}
    assert all(before[name]["value"] != after[name]["value"] for name in before)
    assert set(refresh.value.json()) == {"session_id", "expires_in", "session_expires_in"}


def test_the_cookies_are_as_promised_and_gone_after_a_logout(context: Any, site: Site) -> None:
    window = Window(context, site.origin)
    window.log_in()
    now = window.page.evaluate("Date.now() / 1000")
    kept = cookies_of(context)
    assert kept.keys() == {ACCESS, REFRESH}
    for cookie in kept.values():
        assert cookie["domain"] == "app.example.test"  # Without a dot: to this host alone.
        assert (cookie["path"], cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (
            ("/", True, True, "Lax")
        )
        assert 86_400 < cookie["expires"] - now <= FOUR_HUNDRED_DAYS
    assert window.page.evaluate("document.cookie") == ""

    window.log_out()
    assert cookies_of(context) == {}
    context.add_cookies(list(kept.values()))  # A thief has them still.
    status, problem = window.fetch("GET", "/me")
    assert (status, problem["code"]) == (401, "access_token_revoked")
    status, problem = window.fetch("POST", "/session/refresh")
    assert (status, problem["code"]) == (401, "session_not_found")


def test_nothing_of_the_user_is_shown_after_a_logout_and_the_back_button(
    context: Any, site: Site
) -> None:
    window = Window(context, site.origin)
    window.log_in()
    window.page.evaluate(REMEMBER_WHAT_COMES_BACK)
    window.page.goto("about:blank")
    other = Window(context, site.origin)
    other.wait_signed_in()
    other.page.click("#logout")
    other.wait_signed_out()
    # The browser has kept the page as it was, and loads nothing (back-forward cache).
    window.page.go_back(wait_until="commit")
    window.wait_signed_out()
    assert window.page.evaluate("window.cameBack") == [True, "", "", "", "", ""]


def test_a_logout_in_one_window_ends_the_page_and_the_web_socket_of_the_other(
    context: Any, site: Site
) -> None:
    first, second = Window(context, site.origin), Window(context, site.origin)
    first.log_in()
    second.page.reload()
    second.wait_signed_in()
    if not site.has_socket:
        first.page.click("#logout")
        second.page.click("#who")
        second.wait_signed_out()
        return
    second.wait_socket("open")
    second.page.fill("#message", "is anybody there?")
    second.page.press("#message", "Enter")
    second.page.wait_for_selector("#messages div:text('ann: is anybody there?')")
    first.page.click("#logout")
    second.wait_signed_out()  # Nobody has touched this window.
    assert "4401" in second.text("#socket-title") or "4401" in second.text("#notice")


def test_a_refresh_does_not_close_the_web_socket(context: Any, site: Site) -> None:
    if not site.has_socket:
        pytest.skip("Django has no web sockets under WSGI")
    window = Window(context, site.origin)
    window.log_in()
    window.wait_socket("open")
    with window.page.expect_response("**/session/refresh") as refresh:
        window.page.click("#refresh")
    assert refresh.value.status == 200
    window.page.fill("#message", "still here")
    window.page.press("#message", "Enter")
    window.page.wait_for_selector("#messages div:text('ann: still here')")
    window.wait_socket("open")


def test_your_devices_are_listed_and_ended_one_by_one_or_all_but_this(
    new_context: Callable[[], Any], site: Site
) -> None:
    laptop, phone, tablet = (Window(new_context(), site.origin) for _ in range(3))
    for window in (laptop, phone, tablet):
        window.log_in("chloe")
    laptop.page.click("#who")
    until(lambda: laptop.page.locator("#devices li").count() == 3, "the third device")
    assert laptop.page.locator("#devices .badge").count() == 1
    assert "Chrome" in laptop.text("#devices li >> nth=0")

    laptop.page.locator("#devices li:not(:has(.badge)) button").first.click()
    until(lambda: laptop.page.locator("#devices li").count() == 2, "the end of a device")
    laptop.page.click("#others")
    until(lambda: laptop.page.locator("#devices li").count() == 1, "the end of the others")
    for window in (phone, tablet):
        window.page.evaluate("show()")
        window.wait_signed_out()
    laptop.page.click("#who")
    laptop.wait_signed_in()


def test_a_logout_everywhere_ends_all_devices_and_an_admin_route_needs_its_scope(
    new_context: Callable[[], Any], site: Site
) -> None:
    context = new_context()
    first, second = Window(context, site.origin), Window(new_context(), site.origin)
    first.log_in("ann")
    second.log_in("ann")
    assert first.fetch("GET", "/admin")[0] == 200
    first.log_out("#everywhere")
    assert cookies_of(context) == {}
    assert second.fetch("GET", "/me")[0] == 401
    first.log_in("ben")
    status, problem = first.fetch("GET", "/admin")
    assert (status, problem["code"]) == (403, "insufficient_scope")


def test_a_wrong_password_sets_no_cookie(context: Any, site: Site) -> None:
    window = Window(context, site.origin)
    window.page.fill("input[name=password]", "a guess")
    window.page.click("#login button")
    window.page.wait_for_selector("#notice:text('not the password')")
    assert cookies_of(context) == {}


def test_what_is_no_login_is_refused_without_an_error_of_the_server(
    context: Any, site: Site
) -> None:
    window = Window(context, site.origin)
    for body in NO_LOGINS:
        headers = {"Content-Type": "application/json"}
        status, _ = window.fetch("POST", "/login", body=body, headers=headers)
        assert 400 <= status < 500
    assert cookies_of(context) == {}
