"""One HTTP GET by the standard library, which takes no longer and reads no more than it may.

``http.client`` knows a time limit for each call of the socket, and a server that sends an octet a
second keeps to that for ever. So the socket is wrapped, and what is left of the whole time is set
before each call. No proxy is used, whatever the environment says.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any, Final

from ...errors import ConfigurationError
from ...seconds import steady_time
from .answers import LARGEST_BODY, FetchFailed, KeyResponse
from .key_url import KeyUrl

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["HttpFetch"]

_MOST_REDIRECTS = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LARGEST_ANSWER = 2 * LARGEST_BODY  # bytes, with its header and what frames its chunks


class HttpFetch:
    """Fetch keys from one URL.

    Args:
        url: the URL.
        timeout: seconds that a fetch may take in all. Only the time to look up a name comes on top
            of it, since nobody can break that off.
    """

    def __init__(self, url: KeyUrl, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._lock = threading.Lock()  # for the two that follow, which another thread breaks off
        self._socket: socket.socket | None = None
        self._is_broken_off = False

    def __call__(self, headers: Mapping[str, str]) -> KeyResponse:
        """Return the answer, after at most 3 redirects within the same scheme, host and port.

        Args:
            headers: fields of the request.

        Raises:
            FetchFailed: there is no answer, or none that is whole.
        """
        deadline = steady_time() + self._timeout
        place = self._url
        try:
            for _ in range(1 + _MOST_REDIRECTS):
                response = self._get(place, headers, deadline)
                if response.status_code not in _REDIRECTS:
                    return response
                place = _redirected(place, response)
        except TimeoutError:
            reason = f"no whole answer came within {self._timeout:g} seconds"
        except (OSError, HTTPException, ValueError) as error:
            reason = _reason_of(error)
        else:
            reason = f"it redirects more than {_MOST_REDIRECTS} times"
        raise FetchFailed(reason)

    def break_off(self) -> None:
        """End the fetch that another thread is in, and refuse every other one."""
        with self._lock:
            self._is_broken_off = True
            if self._socket is not None:
                with suppress(OSError):
                    # That of a plain socket: TLS would say goodbye first.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _get(self, place: KeyUrl, headers: Mapping[str, str], deadline: float) -> KeyResponse:
        connected = self._connect(place, deadline)
        try:
            if place.scheme == "https":
                connected = self._secured(connected, place.host, deadline)
            connection = HTTPConnection(place.host, place.port)
            wrapped: Any = _TimedSocket(connected, deadline)
            connection.sock = wrapped
            fields = {"Host": place.authority, "Connection": "close", **headers}
            connection.request("GET", place.target, headers=fields)
            return _read(connection.getresponse())
        finally:
            self._let_go(connected)

    def _connect(self, place: KeyUrl, deadline: float) -> socket.socket:
        """Return a connection to the first address that takes one."""
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        for position, (family, kind, protocol, _, address) in enumerate(found, 1):
            connecting = socket.socket(family, kind, protocol)
            try:
                self._hold(connecting)
                # Each address gets its share: the first may lead nowhere.
                connecting.settimeout(_left(deadline) / (len(found) - position + 1))
                connecting.connect(address)
            except OSError:
                self._let_go(connecting)
                if position == len(found):
                    raise
            else:
                return connecting
        raise OSError("the name has no address")

    def _secured(self, connected: socket.socket, host: str, deadline: float) -> socket.socket:
        import ssl  # which a URL on this machine doesn't need

        context = ssl.create_default_context()
        connected.settimeout(_left(deadline))
        secured = context.wrap_socket(
            connected, server_hostname=host, do_handshake_on_connect=False
        )
        self._hold(secured)
        secured.do_handshake()
        return secured

    def _hold(self, connecting: socket.socket) -> None:
        with self._lock:
            self._socket = connecting
            if self._is_broken_off:
                raise OSError("the fetch was broken off")

    def _let_go(self, connected: socket.socket) -> None:
        with self._lock:
            held, self._socket = self._socket, None
        for each in (held, connected):
            if each is not None:
                each.close()


def _read(response: HTTPResponse) -> KeyResponse:
    """Return a response with its body, where that is whole and not too large."""
    status, fields = response.status, response.headers
    joined: dict[str, str] = {}
    for name, value in fields.items():
        lower = name.lower()
        joined[lower] = f"{joined[lower]}, {value}" if lower in joined else value
    if status != 200:
        return KeyResponse(status, joined, b"")
    encoding = joined.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise FetchFailed("it answered with a compressed body, which was not asked for")
    length = response.length
    if length is not None and length > LARGEST_BODY:
        raise FetchFailed(f"it answered more than {LARGEST_BODY // 1024} KiB")
    body = response.read(LARGEST_BODY + 1)
    if length is not None and len(body) < length:
        raise FetchFailed("its answer ended in the midst of its body")
    return KeyResponse(status, joined, body)


def _redirected(place: KeyUrl, response: KeyResponse) -> KeyUrl:
    location = response.headers.get("location")
    if location is None:
        raise FetchFailed("it redirects to nowhere")
    try:
        return place.redirected(location)
    except (ConfigurationError, ValueError):
        pass
    raise FetchFailed(
        "it redirects to another scheme, host or port, or to what is no URL, which is not followed"
    )


def _reason_of(error: Exception) -> str:
    """Return why a fetch has failed, without what the other side may have put into the error."""
    if isinstance(error, RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, HTTPException):
        return f"what it answered is not whole, or not HTTP ({type(error).__name__})"
    verdict = getattr(error, "verify_message", None)
    if verdict is not None:
        return f"its certificate is not trusted: {verdict}"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).strip()
    return f"it could not be asked ({type(error).__name__})"


def _left(deadline: float) -> float:
    left = deadline - steady_time()
    if left <= 0:
        raise TimeoutError
    return left


class _TimedSocket:
    """What ``http.client`` uses of a socket, each call of which ends at the deadline."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def sendall(self, octets: bytes) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(octets)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket, self._deadline))

    def close(self) -> None:
        """Do nothing: whoever has connected the socket closes it, once the body has been read."""


class _TimedReader(io.RawIOBase):
    """Reads a socket until the deadline, and no more than the largest answer."""

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline
        self._room = _LARGEST_ANSWER

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        if self._room <= 0:
            raise FetchFailed(f"it answered more than {LARGEST_BODY // 1024} KiB")
        self._socket.settimeout(_left(self._deadline))
        count = self._socket.recv_into(buffer)
        self._room -= count
        return count
