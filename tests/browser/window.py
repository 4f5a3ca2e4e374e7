"""A window of a real browser on the page of an example."""

from __future__ import annotations

import json
from typing import Any


class Window:
    """A window on the page of an example."""

    def __init__(self, context: Any, origin: str) -> None:
        self.origin = origin
        self.page = context.new_page()
        self.page.goto(f"{origin}/")

    def log_in(self, name: str = "ann") -> None:
        self.page.select_option("select[name=name]", name)
        self.page.click("#login button")
        self.wait_signed_in()

    def wait_signed_in(self) -> None:
        self.page.wait_for_selector("#home", state="visible")
        self.page.wait_for_selector("#devices li")

    def wait_signed_out(self) -> None:
        self.page.wait_for_selector("#login", state="visible")

    def log_out(self, button: str = "#logout") -> None:
        # The web socket may hear of it before the answer, which takes the cookies away, is here.
        with self.page.expect_response("**/session/logout**"):
            self.page.click(button)
        self.wait_signed_out()

    def wait_socket(self, state: str) -> None:
        self.page.wait_for_selector(f"#socket:text-is('{state}')")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def fetch(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        """Return what the page's origin answers to a script of this window, as it is."""
        status, text = self.page.evaluate(
            """async ([method, path, options]) => {
                const answer = await fetch(path, { method, ...options });
                return [answer.status, await answer.text()];
            }""",
            [method, path, options],
        )
        return status, json.loads(text) if text[:1] in {"{", "["} else text


def cookies_of(context: Any) -> dict[str, dict[str, Any]]:
    """Return the cookies that the browser keeps, by their names."""
    return {cookie["name"]: cookie for cookie in context.cookies()}
