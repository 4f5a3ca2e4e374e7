"""What a request says of where it comes from, as a session keeps it: an address, and a device.

A device is named by family and platform, without any version: the default refresh hook compares
it, and must not refuse whoever has updated a browser. A ``User-Agent`` (RFC 9110, section 10.1.5)
is whatever its sender likes. It is shown to the user in a list of devices, and proves nothing.

The tables are read from the top, since most browsers also name those that they are like. Brave says
that it is Chrome, and an iPad may say that it is a Mac: both are believed.
"""

from __future__ import annotations

import re

from ..errors import InvalidArgument
from ..models import Device, SessionContext
from ..session.arguments import check_context

__all__ = ["context_of", "device_of"]

_READ = 1024  # characters of a User-Agent: twice what the longest browsers send
_LONGEST_NAME = 64  # characters of what an unknown program calls itself

_FAMILIES = (
    (("Edg/", "EdgA/", "EdgiOS/", "Edge/"), "Edge"),
    (("OPR/", "OPX/", "OPT/", "OPiOS/", "Opera"), "Opera"),
    (("SamsungBrowser/",), "Samsung Internet"),
    (("YaBrowser/",), "Yandex Browser"),
    (("Vivaldi/",), "Vivaldi"),
    (("DuckDuckGo/", "Ddg/"), "DuckDuckGo"),
    (("UCBrowser/",), "UC Browser"),
    (("FxiOS/", "Firefox/"), "Firefox"),
    (("CriOS/", "Chrome/", "Chromium/"), "Chrome"),  # also without a window
    (("Trident/", "MSIE "), "Internet Explorer"),
    (("AppleWebKit/",), "Safari"),
)
_PLATFORMS = (
    (("Windows Phone",), "Windows Phone"),
    (("Xbox",), "Xbox"),
    (("iPad",), "iPad"),
    (("iPod",), "iPod"),
    (("iPhone",), "iPhone"),
    (("Android",), "Android"),
    (("CrOS",), "ChromeOS"),
    (("Windows",), "Windows"),
    (("Macintosh", "Mac OS X"), "macOS"),
    (("PlayStation",), "PlayStation"),
    (("Tizen", "Web0S", "SMART-TV"), "TV"),
    (("FreeBSD",), "FreeBSD"),
    (("OpenBSD",), "OpenBSD"),
    (("Linux", "X11"), "Linux"),
)
_OF_APPS = ("CFNetwork", "Darwin", "okhttp", "Dart/", "Android", "iPhone", "iPad", "iOS")
_VERSION = re.compile(r"(?:[-_. ]v?\d|\d+\.)[\w.]*$")


def device_of(user_agent: str | None) -> Device | None:
    """Return the device that a ``User-Agent`` names, whatever version of it.

    Args:
        user_agent: the header's value. It may be any text.

    Returns:
        ``Device("Firefox on Linux", "browser")``; an ``"app"`` of a phone, or else a ``"program"``,
        by the name of its first product. None where there is no name in it.
    """
    text = (user_agent or "")[:_READ].strip()
    platform = _first(_PLATFORMS, text)
    if text.startswith(("Mozilla/", "Opera/")):
        name, kind = _first(_FAMILIES, text) or "Mozilla", "browser"
    else:
        name, kind = _product_of(text), "program"
        if any(sign in text for sign in _OF_APPS):
            kind = "app"
        else:
            platform = None
    if not name:
        return None
    return Device(name if platform is None else f"{name} on {platform}", kind)


def context_of(ip: str | None, user_agent: str | None) -> SessionContext:
    """Return the context of a request, for ``create`` and ``update``.

    What cannot be kept is left out: no login fails because of it.

    Args:
        ip: the address of the peer, as the server tells it, never as a header does. None where
            there is none, as of a Unix socket.
        user_agent: the value of the header, or None.
    """
    try:
        return check_context(SessionContext(ip or None, device_of(user_agent)))
    except InvalidArgument:
        return SessionContext(None, device_of(user_agent))


def _first(table: tuple[tuple[tuple[str, ...], str], ...], text: str) -> str | None:
    """Return the name of the first row of which a sign is in the text."""
    return next((name for signs, name in table if any(sign in text for sign in signs)), None)


def _product_of(text: str) -> str:
    """Return what a program that is no browser calls itself, without its version."""
    product = re.split(r"[/(;,]", text, maxsplit=1)[0].replace("%20", " ").strip()
    shown = "".join(character for character in product if character.isprintable())
    return _VERSION.sub("", shown[:_LONGEST_NAME]).strip()
