"""Whether a request that carries cookies was made by a page of this site.

A browser attaches cookies to whatever request a page makes, its own or another site's. What tells
them apart are headers that no page can forge: ``Sec-Fetch-Site`` (Fetch Metadata) and ``Origin``
(RFC 6454). The order of the checks is that of Go's ``CrossOriginProtection``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import ConfigurationError
from ..exact import items_of, text_of
from .errors import CrossOriginRequest
from .fields import Headers, field

__all__ = ["check_origin", "check_trusted_origins", "comes_from_browser"]

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
# Of any scheme: a browser's extension and a mobile app's web view have some of their own.
_is_origin = re.compile(
    r"[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
).fullmatch
_MOST_ORIGINS = 1024


def check_trusted_origins(origins: object) -> frozenset[str]:
    """Return other origins whose pages may send requests with cookies.

    Raises:
        ConfigurationError: one is not exactly what a browser sends as ``Origin``.
    """
    items = items_of(origins, _MOST_ORIGINS)
    if items is None:
        raise ConfigurationError("trusted_origins must be a list of origins")
    checked = set()
    for item in items:
        origin = text_of(item)
        if origin is None or not _is_origin(origin):
            raise ConfigurationError(
                "trusted_origins must have origins as browsers send them, such as "
                "'https://app.example': scheme and host in lower case, a port if it is not the "
                "default, no path and no '*'"
            )
        scheme, _, host = origin.partition("://")
        if host.endswith(_DEFAULT_PORTS.get(scheme, "/")):
            raise ConfigurationError(
                f"trusted_origins has {origin!r}, and browsers leave the default port away"
            )
        checked.add(origin)
    return frozenset(checked)


def comes_from_browser(headers: Headers) -> bool:
    """Return True where a request has a header that scripts can neither set nor remove."""
    return field(headers, "sec-fetch-site") is not None or field(headers, "origin") is not None


def check_origin(headers: Headers, trusted: frozenset[str] | Sequence[str]) -> None:
    """Check that a page of this site, or of a trusted one, made the browser send this request.

    ``X-Forwarded-Host`` is never read: whoever can set it could name any host.

    Raises:
        CrossOriginRequest: another site's page may have; says what the request lacks.
    """
    origin = field(headers, "origin")
    if origin is not None and origin in trusted:
        return
    if origin == "null":
        raise CrossOriginRequest(
            "the request has the origin 'null', as a page has that is sandboxed, opened from a "
            "file, or sent with Referrer-Policy: no-referrer"
        )
    if origin is not None and "," in origin:
        raise CrossOriginRequest("the request has two origins, and it can't be told which counts")
    site = field(headers, "sec-fetch-site")
    if site is not None:
        if site not in {"same-origin", "none"}:
            raise CrossOriginRequest(
                "a page of another origin made the browser send this request: if that is one of "
                "yours, name it in trusted_origins"
            )
        return
    if origin is None:
        raise CrossOriginRequest(
            "a request with cookies needs Sec-Fetch-Site or Origin, which all browsers send: a "
            "proxy may have removed them, and a client that is no browser can use bearer tokens"
        )
    if not _is_same_host(origin, field(headers, "host")):
        raise CrossOriginRequest(
            "Origin and Host of the request are not the same: let the proxy pass Host on, or name "
            "the origin in trusted_origins"
        )


def _is_same_host(origin: str, host: str | None) -> bool:
    """Return True where both name one host and port. The scheme's default port may be left away.

    A page that is no web page, as that of an extension, is of no host that could be this one.
    """
    scheme, _, origin_host = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    if port is None or host is None:
        return False
    own_host = host.lower().removesuffix(port)
    return own_host != "" and origin_host.removesuffix(port) == own_host
