"""A device is known by family and platform, so that an update of a browser doesn't change it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import SECRET
from tokenwheel import Device, SessionContext, SessionManager
from tokenwheel.web.devices import context_of, device_of

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)"
ANDROID = "Mozilla/5.0 (Linux; Android 10; K)"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
BROWSERS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0": "Firefox on Linux",
    "Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0": "Firefox on Android",
    f"{IPHONE} {WEBKIT} FxiOS/132.0 Mobile/15E148 Safari/605.1.15": "Firefox on iPhone",
    f"{IPHONE} {WEBKIT} Version/18.1 Mobile/15E148 Safari/604.1": "Safari on iPhone",
    f"{IPHONE} {WEBKIT} Mobile/15E148": "Safari on iPhone",
    f"{IPHONE} {WEBKIT} CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1": "Chrome on iPhone",
    f"{MAC} {WEBKIT} Version/18.1 Safari/605.1.15": "Safari on macOS",
    f"{MAC} {BLINK} Chrome/131.0.0.0 Safari/537.36": "Chrome on macOS",
    "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) " + WEBKIT + " Version/17.7 Safari/604.1": (
        "Safari on iPad"
    ),
    f"{ANDROID} {BLINK} Chrome/131.0.0.0 Mobile Safari/537.36": "Chrome on Android",
    f"{ANDROID} {BLINK} SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36": (
        "Samsung Internet on Android"
    ),
    f"{ANDROID} {BLINK} Chrome/131.0.0.0 Mobile Safari/537.36 EdgA/131.0.0.0": "Edge on Android",
    f"{WINDOWS} {BLINK} Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0": "Edge on Windows",
    f"{WINDOWS} {BLINK} Chrome/131.0.0.0 Safari/537.36 OPR/116.0.0.0": "Opera on Windows",
    f"{WINDOWS} {BLINK} Chrome/131.0.0.0 YaBrowser/24.10.0 Safari/537.36": (
        "Yandex Browser on Windows"
    ),
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko": (
        "Internet Explorer on Windows"
    ),
    f"Mozilla/5.0 (X11; Linux x86_64) {BLINK} HeadlessChrome/131.0.0.0 Safari/537.36": (
        "Chrome on Linux"
    ),
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Chrome/131.0.0.0 Safari/537.36": (
        "Chrome on ChromeOS"
    ),
    "Opera/9.80 (Windows NT 6.1) Presto/2.12.388 Version/12.18": "Opera on Windows",
    f"Mozilla/5.0 {BLINK} Chrome/131.0.0.0 Safari/537.36": "Chrome",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "Mozilla",
}
OTHERS = {
    "curl/8.11.0": ("curl", "program"),
    "python-httpx/0.28.0": ("python-httpx", "program"),
    "python-requests/2.32.3": ("python-requests", "program"),
    "Go-http-client/2.0": ("Go-http-client", "program"),
    "Wget/1.25.0 (linux-gnu)": ("Wget", "program"),
    "okhttp/4.12.0": ("okhttp", "app"),
    "Dart/3.5 (dart:io)": ("Dart", "app"),
    "Notes%20Pro/77 CFNetwork/1568.200.51 Darwin/24.1.0": ("Notes Pro", "app"),
    "Notes/3.2 (iPhone; iOS 18.1; Scale/3.00)": ("Notes on iPhone", "app"),
    "Notes 3.2.1 (iPhone; iOS 18.1)": ("Notes on iPhone", "app"),
    "Notes/3.2 (Android 14) okhttp/4.12.0": ("Notes on Android", "app"),
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP2A)": ("Dalvik on Android", "app"),
    "my-worker-1.4.2": ("my-worker", "program"),
    "my worker v2": ("my worker", "program"),
    "worker": ("worker", "program"),
}
KNOWN = {**{text: (name, "browser") for text, name in BROWSERS.items()}, **OTHERS}


@pytest.mark.parametrize("user_agent, device", KNOWN.items())
def test_a_device_is_named_by_family_and_platform(user_agent: str, device: tuple[str, str]) -> None:
    assert device_of(user_agent) == Device(*device)


@given(st.sampled_from(sorted(KNOWN)), st.data())
def test_no_update_of_a_browser_or_an_app_changes_the_device(
    user_agent: str, data: st.DataObject
) -> None:
    """Each number after the slash of a product, and each part of a version, becomes another one."""
    updated = re.sub(r"(?<=[/.])\d+", lambda _: str(data.draw(st.integers(0, 99_999))), user_agent)
    assert device_of(updated) == device_of(user_agent)


@pytest.mark.parametrize("nameless", [None, "", "  ", "/1.0", "(X11; Linux)", "\0\0", "\ud800/2"])
def test_what_names_nothing_is_no_device(nameless: str | None) -> None:
    assert device_of(nameless) is None


@given(
    st.text(max_size=2000)
    | st.text(st.sampled_from("MozilaOpera/5.0 (;iPhone)\0\ud800"), max_size=99)
)
@example("Mozilla/" + "5" * 100_000)
@example("a" * 100_000)
@example("a" + " " * 100_000 + "1")
@example("Opera/\ud800 (\0")
def test_whatever_text_comes_a_session_can_keep_it(user_agent: str) -> None:
    context = context_of("192.0.2.1", user_agent)
    assert context.ip == "192.0.2.1"
    if context.device is not None:
        assert 0 < len(context.device.name) < 100
        assert context.device.name.isprintable()
        assert context.device.type in {"browser", "app", "program"}
    assert context.device == device_of(user_agent)


def test_a_session_keeps_the_address_and_the_device_of_its_login() -> None:
    with SessionManager(SECRET, issuer="i", audience="a") as manager:
        context = context_of("2001:db8::1", "curl/8.11.0")
        session_id = manager.create(subject="ann", context=context).session_id
        session = manager.read_all("ann")[session_id]
        assert (session.ip, session.device) == ("2001:db8::1", Device("curl", "program"))


@pytest.mark.parametrize("odd", [None, "", "x" * 2000, "192.0.2.1\0", "\ud800"])
def test_an_address_that_cannot_be_kept_is_none_and_fails_no_login(odd: str | None) -> None:
    context = context_of(odd, "curl/8.11.0")
    assert context == SessionContext(device=Device("curl", "program"))
    with SessionManager(SECRET, issuer="i", audience="a") as manager:
        manager.create(subject="ann", context=context)
