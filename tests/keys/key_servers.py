"""HTTP servers on loopback that publish keys, or do whatever else a server may do.

What a server does with a connection is a function of the test: it gets the connection and the text
of the request. So each octet of an answer, and each silence, is the test's own.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from tokenwheel import KeySet

Answer = Callable[[socket.socket, str], None]


def http(status: int, body: bytes | str = b"", **fields: object) -> Answer:
    """Return what answers with a status, these fields and a body of the length that it says."""
    octets = body.encode() if isinstance(body, str) else body
    fields.setdefault("Content-Length", len(octets))
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return raw(f"HTTP/1.1 {status} Status\r\n{head}\r\n".encode("latin-1") + octets)


def raw(octets: bytes) -> Answer:
    """Return what answers with these octets and hangs up."""

    def answer(connection: socket.socket, request: str) -> None:
        del request
        connection.sendall(octets)

    return answer


def jwks(keys: KeySet | dict[str, Any], **fields: object) -> Answer:
    """Return what answers with the public keys of a set, or with a JSON object."""
    members = keys.jwks() if isinstance(keys, KeySet) else keys
    return http(200, json.dumps(members), **fields)


class KeyServer:
    """A server on loopback. It answers each connection in a thread of its own.

    Args:
        answer: what it does with a request. It can be replaced while the server runs.
        certificate: paths of a certificate and its key, for TLS.

    Attributes:
        requests: the texts of the requests that came.
    """

    def __init__(self, answer: Answer, certificate: tuple[Any, Any] | None = None) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.is_over = threading.Event()
        """For what holds an answer back."""
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*certificate)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://localhost:{self.port}/jwks.json?secret=of-the-query"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def hang(self, connection: socket.socket, request: str) -> None:
        """Answer nothing until the server ends or the client has hung up."""
        del request
        with suppress(OSError):
            connection.recv(1)

    def drip(self, octets: bytes) -> Answer:
        """Return what sends these octets one by one, again and again, for ever."""

        def answer(connection: socket.socket, request: str) -> None:
            del request
            while not self.is_over.wait(0.01):
                for octet in octets:
                    connection.sendall(bytes([octet]))
                    if self.is_over.wait(0.01):
                        return

        return answer

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):  # The client may hang up at any moment.
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
            self._answer(connection)
        connection.close()

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            received = connection.recv(4096)
            if not received:
                return
            request += received
        text = request.decode("latin-1")
        self.requests.append(text)
        self.answer(connection, text)
