"""What an ASGI scope says of a request: its header fields, its path and where it came from.

Nothing here knows a framework. A header is read whole: what a client says twice reaches the gate as
two, so that nobody in front can have read the other of them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from ..errors import ConfigurationError
from ..exact import items_of, text_of
from ..models import SessionContext
from .devices import context_of
from .fields import Headers

__all__ = [
    "App",
    "Message",
    "PublicPaths",
    "Receive",
    "Scope",
    "Send",
    "context_of_scope",
    "headers_of",
    "path_within",
]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_READ = {
    name.encode(): name
    for name in (
        "authorization",
        "content-type",
        "cookie",
        "host",
        "if-none-match",
        "origin",
        "sec-fetch-site",
        "sec-websocket-protocol",
        "user-agent",
    )
}
_MOST_PATHS = 4096
# A segment that another reader of the path may step back or stay by, and what it may take for a
# slash: whoever decodes once more sees %2e%2e%2f, and Windows a backslash.
_is_ambiguous = re.compile(r"//|\\|%2f|%5c|(?:^|/)(?:\.|%2e){1,2}(?:[/;]|$)", re.IGNORECASE).search


def headers_of(scope: Scope) -> Headers:
    """Return what returns the header fields that a gate reads, by their name in lower case."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = _READ.get(name)
        if key is None:
            continue
        text = value.decode("latin-1")
        if key in found:
            # HTTP/2 may send each cookie by itself (RFC 9113, section 8.2.3).
            found[key] += ("; " if key == "cookie" else ", ") + text
        else:
            found[key] = text
    return found.get


def context_of_scope(scope: Scope) -> SessionContext:
    """Return from where a request comes: the peer as the server tells it, and the device."""
    client = scope.get("client")
    return context_of(client[0] if client else None, headers_of(scope)("user-agent"))


def path_within(scope: Scope) -> str:
    """Return the path of a request within its application: without the ``root_path``."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in {"/", ""}:
        return path[len(root) :] or "/"
    return path


class PublicPaths:
    """Paths that need nobody to be signed in.

    Args:
        paths: exact paths, such as ``"/login"``, and prefixes that end in ``/``, such as
            ``"/session/"``. ``"/"`` is the root alone.

    Raises:
        ConfigurationError: one is not such a path.
    """

    __slots__ = ("_exact", "_prefixes")

    def __init__(self, paths: Iterable[str]) -> None:
        items = items_of(paths, _MOST_PATHS)
        if items is None:
            raise ConfigurationError("public must be a list of paths, such as ['/login']")
        checked = [_check_path(item) for item in items]
        self._exact = frozenset(checked)
        self._prefixes = tuple(path for path in checked if path.endswith("/") and path != "/")

    def include(self, scope: Scope) -> bool:
        """Return True where the path of a request is one of these.

        It is the path within this application: without the ``root_path`` of a mount or a proxy. A
        path that could be read in two ways, as ``/public/../admin``, is none of these.
        """
        path = path_within(scope)
        if path not in self._exact and not path.startswith(self._prefixes):
            return False
        return _is_ambiguous(path) is None


def _check_path(item: object) -> str:
    path = text_of(item)
    if path is None or not path.startswith("/"):
        raise ConfigurationError("public must have paths that begin with '/'")
    if any(sign in path for sign in "*?#{}") or _is_ambiguous(path):
        raise ConfigurationError(
            f"public has {path!r}: it must have exact paths, or prefixes that end in '/', never "
            "patterns, without '.', '..' and '//'"
        )
    return path
