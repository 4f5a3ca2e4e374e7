"""A real browser for the tests of this folder: Debian's chromium, driven by Playwright.

Playwright's blocking API runs an event loop beneath the test, in which asyncio can run no other.
So the browser belongs to one file of tests, and those files use no asyncio of their own.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.web.examples import Site
from tests.web.servers import missing
from tests.web.tls import Certificate, make_certificate

NAMES = ("app.example.test", "sibling.app.example.test", "evil.example.test", "other.test")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # A container's root can make none; what is loaded are pages of these tests.
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show the servers' logs beside a failure."""
    report = yield
    if report.failed:
        for site in item.funcargs.values() if hasattr(item, "funcargs") else ():
            if isinstance(site, Site):
                report.sections.append((str(site.server.log), site.server.read_log()))
    return report


@pytest.fixture(scope="module")
def launch() -> Iterator[Callable[..., Any]]:
    """Return what starts a browser, to which names lead to loopback as its argument says."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("Playwright is not installed (it is in the dependency group `servers`)")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        missing("no browser is installed (apt-get install chromium)")
    with sync_playwright() as playwright, ExitStack() as browsers:

        def start(*rules: str) -> Any:
            mapped = ",".join([*rules, *(f"MAP {name} 127.0.0.1" for name in NAMES)])
            flags = [*FLAGS, f"--host-resolver-rules={mapped}"]
            browser = playwright.chromium.launch(
                executable_path=binary,
                args=flags,
                ignore_default_args=["--disable-back-forward-cache"],
            )
            browsers.callback(browser.close)
            return browser

        yield start


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any]) -> Any:
    return launch()


@pytest.fixture
def new_context(browser: Any) -> Iterator[Callable[[], Any]]:
    """Return what makes a profile of the browser, with a cookie jar of its own."""
    with ExitStack() as contexts:

        def make() -> Any:
            context = browser.new_context(ignore_https_errors=True)
            context.set_default_timeout(60_000)
            contexts.callback(context.close)
            return context

        yield make


@pytest.fixture
def context(new_context: Callable[[], Any]) -> Any:
    return new_context()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"), *NAMES)
