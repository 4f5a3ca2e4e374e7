"""The requests that the load is made of, as data: from a file, for any server or generator.

Each is to ``/``, with the headers that its kind of client sends: a service's HTTP client for bearer
tokens, a browser's same-origin ``fetch`` for cookies. So finding a credential among them costs what
it costs in earnest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

Transport = Literal["bearer", "cookie"]

ORIGIN = "http://localhost"
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)
SERVICE = (
    ("Host", "localhost"),
    ("Accept", "*/*"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
    ("User-Agent", "python-httpx/0.28.1"),
)
BROWSER = (
    ("Host", "localhost"),
    ("Connection", "keep-alive"),
    ("Content-Length", "0"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("User-Agent", CHROME),
    ("sec-ch-ua", '"Chromium";v="142", "Not_A Brand";v="99"'),
    ("sec-ch-ua-mobile", "?0"),
    ("Accept", "*/*"),
    ("Origin", ORIGIN),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
    ("Referer", f"{ORIGIN}/"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9"),
)
PROOFS = frozenset({"origin", "sec-fetch-site", "x-csrf-token", "rid", "anti-csrf"})
"""The headers by which a server tells that a request comes from a page of its own."""
CREDENTIALS = frozenset({"authorization", "cookie"})


class Request(NamedTuple):
    """A request to ``/``, and the access token that is somewhere in its headers."""

    method: str
    headers: tuple[tuple[str, str], ...]
    token: str

    def without(self, names: Iterable[str]) -> Request:
        return self._replace(
            headers=tuple(header for header in self.headers if header[0].lower() not in names)
        )

    def with_token(self, token: str) -> Request:
        """Return it with another token in the place of its own."""
        return Request(
            self.method,
            tuple((name, value.replace(self.token, token)) for name, value in self.headers),
            token,
        )


def by_bearer(token: str) -> Request:
    return Request("GET", (*SERVICE, ("Authorization", f"Bearer {token}")), token)


def by_cookie(
    token: str, cookies: Mapping[str, str], headers: Mapping[str, str] | None = None
) -> Request:
    """Return what a browser's ``fetch`` posts to its own origin, an unsafe method.

    Args:
        token: the access token, which is the value of one of the cookies.
        cookies: those of the application's own names; others stand beside them, as they do.
        headers: what the page's script adds.
    """
    jar = {"theme": "dark", "_ga": "GA1.1.1046532211.1795000000", **cookies}
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    return Request("POST", (*BROWSER, *(headers or {}).items(), ("Cookie", cookie)), token)


def write_requests(path: Path, requests: Iterable[Request]) -> None:
    """Write one request a line: its method and headers, and before them its token, by tabs."""
    lines = [
        "\t".join([request.token, request.method, *(f"{n}: {v}" for n, v in request.headers)])
        for request in requests
    ]
    finished = path.with_suffix(".part")
    finished.write_text("\n".join(lines) + "\n")
    finished.replace(path)


def read_requests(path: Path) -> list[Request]:
    requests = []
    for line in path.read_text().splitlines():
        token, method, *headers = line.split("\t")
        requests.append(
            Request(method, tuple(tuple(h.split(": ", 1)) for h in headers), token)  # type: ignore[misc]
        )
    return requests


class Served(NamedTuple):
    """An application, and the requests that it lets through.

    ``activate`` is called before others of the same process have had their turn, for frameworks
    whose settings are global.
    """

    application: Callable[..., object]
    requests: Callable[[int], list[Request]]
    activate: Callable[[], None] = lambda: None
