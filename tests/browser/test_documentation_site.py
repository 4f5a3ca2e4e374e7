"""The documentation site in a real browser: search, light and dark, and a phone's narrow page.

``make docs`` builds it. Where it was not built, these tests are left out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

SITE = Path(__file__).resolve().parents[2] / "build" / "docs"
PHONE = {"width": 360, "height": 740}
# The theme hides what is too wide for the window, so the window's own width tells nothing. What may
# be wider stands within something that scrolls.
TOO_WIDE = """() => [...document.querySelectorAll('.content, .content *')].filter(element => {
    if (element.getBoundingClientRect().right <= window.innerWidth + 1) return false;
    for (let around = element; !around.matches('.content'); around = around.parentElement)
        if (['auto', 'scroll'].includes(getComputedStyle(around).overflowX)) return false;
    return true;
}).map(element => element.outerHTML.slice(0, 200))"""

pytestmark = pytest.mark.skipif(
    not (SITE / "index.html").exists(), reason="the site is not built (make docs)"
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    handler = partial(Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def page(context: Any) -> Any:
    return context.new_page()


def test_search_finds_leeway(page: Any, address: str) -> None:
    page.goto(f"{address}/index.html")
    page.get_by_role("textbox", name="Search").first.fill("leeway")
    page.keyboard.press("Enter")
    page.locator("#search-results li a[href*='reference/api/managers.html']").first.wait_for()
    assert "search.html?q=leeway" in page.url


def test_the_page_turns_dark_and_light_at_a_click_and_stays_so(page: Any, address: str) -> None:
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}/index.html")
    background = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for _ in range(3):  # The system's colours, light and dark, in whichever order.
        page.locator("button.theme-toggle:visible").first.click()
        seen[page.evaluate("document.body.dataset.theme")] = page.evaluate(background)
    assert set(seen) == {"auto", "light", "dark"}
    assert seen["auto"] == seen["light"] != seen["dark"]
    while page.evaluate("document.body.dataset.theme") != "dark":
        page.locator("button.theme-toggle:visible").first.click()
    page.goto(f"{address}/search.html")
    assert page.evaluate(background) == seen["dark"]


def test_no_page_is_wider_than_a_phone(page: Any, address: str) -> None:
    page.set_viewport_size(PHONE)
    too_wide = {}
    for path in sorted(SITE.rglob("*.html")):
        name = path.relative_to(SITE).as_posix()
        page.goto(f"{address}/{name}", wait_until="load")
        if found := page.evaluate(TOO_WIDE):
            too_wide[name] = found
    assert too_wide == {}


def test_no_page_asks_another_host_for_anything(page: Any, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in sorted(SITE.rglob("*.html")):
        page.goto(f"{address}/{path.relative_to(SITE).as_posix()}", wait_until="load")
    assert asked
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
