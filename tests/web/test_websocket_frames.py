"""Bytes that are no frames, and frames that nobody may send, end a web socket and nothing else.

They are sent over a socket to the FastAPI example behind its real servers: by a user who is signed
in, and by a stranger in place of a handshake.
"""

from __future__ import annotations

import base64
import json
import random
import socket
import struct
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.examples import Example, Site, served
from tests.web.servers import hypercorn, uvicorn

OF_THE_APPLICATION = ("Exception in ASGI application", "Error in ASGI Framework")
MASK = b"\x01\x02\x03\x04"
TEXT, BINARY, CLOSE, PING, RESERVED = 0x1, 0x2, 0x8, 0x9, 0x5
FINAL = 0x80


def frame(opcode: int, payload: bytes = b"", *, first: int = FINAL, masked: bool = True) -> bytes:
    """Return a frame of a client (RFC 6455, section 5.2), or one that it must not send."""
    length = len(payload)
    sizes = bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length)
    head = bytes([first | opcode]) + bytes([sizes[0] | (0x80 if masked else 0)]) + sizes[1:]
    if not masked:
        return head + payload
    return head + MASK + bytes(octet ^ MASK[at % 4] for at, octet in enumerate(payload))


HOSTILE = {
    "text-that-is-no-utf8": frame(TEXT, b"\xff\xfe\xed\xa0\x80"),
    "binary": frame(BINARY, bytes(range(256))),
    "not-masked": frame(TEXT, b"hello", masked=False),
    "reserved-opcode": frame(RESERVED, b"hello"),
    "reserved-bits": frame(TEXT, b"hello", first=0xF0),
    "fragmented-ping": frame(PING, b"", first=0),
    "long-ping": frame(PING, b"x" * 200),
    "continuation-of-nothing": frame(0, b"hello"),
    "text-within-a-text": frame(TEXT, b"a", first=0) + frame(TEXT, b"b"),
    "close-with-one-byte": frame(CLOSE, b"\x03"),
    "close-with-a-code-that-nobody-sends": frame(CLOSE, struct.pack(">H", 1006)),
    "length-beyond-memory": bytes([FINAL | BINARY, 0xFF]) + b"\x7f" + b"\xff" * 7 + MASK,
    "half-a-frame": frame(TEXT, b"hello")[:4],
    "no-frame": random.Random(17).randbytes(4096),
    "nothing": b"",
}


@pytest.fixture(
    scope="module",
    params=[
        Example("fastapi_app:app", uvicorn, 1),
        Example("fastapi_app:app", hypercorn, 1),
    ],
    ids=str,
)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    with served(request.param, folder, None) as running:
        yield running


@pytest.fixture(scope="module")
def token(site: Site) -> str:
    request = urllib.request.Request(
        f"{site.server.origin()}/login",
        json.dumps({"name": "ben", "password": "correct horse"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["access_token"])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_frames_of_someone_who_is_signed_in_leave_the_server_well(
    site: Site, token: str, name: str
) -> None:
    with socket.create_connection(("127.0.0.1", site.server.port), 60) as connection:
        connection.sendall(handshake(f"Authorization: Bearer {token}"))
        assert connection.recv(12) == b"HTTP/1.1 101"
        connection.sendall(HOSTILE[name])
        connection.shutdown(socket.SHUT_WR)
        read_to_the_end(connection)
    assert is_well(site, token)


HOSTILE_HEADERS = {
    "no-token": "X: y",
    "subprotocol-without-a-token": "Sec-WebSocket-Protocol: tokenwheel",
    "subprotocol-with-an-empty-token": "Sec-WebSocket-Protocol: tokenwheel, bearer.",
    "two-tokens": "Sec-WebSocket-Protocol: tokenwheel, bearer.a, bearer.b",
    "a-token-and-a-bearer": (
        "Sec-WebSocket-Protocol: tokenwheel, bearer.a\r\nAuthorization: Bearer b"
    ),
    "two-bearers": "Authorization: Bearer a\r\nAuthorization: Bearer b",
    "two-cookies": "Cookie: __Host-tw-access=a; __Host-tw-access=b",
    "bytes-that-are-no-text": "Cookie: __Host-tw-access=\xff\xfe",
    "a-long-token": "Authorization: Bearer " + "a" * 8_000,
    "another-scheme": "Authorization: DPoP abc",
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_hostile_handshakes_are_refused_by_real_servers(site: Site, token: str, name: str) -> None:
    with socket.create_connection(("127.0.0.1", site.server.port), 60) as connection:
        connection.sendall(handshake(HOSTILE_HEADERS[name]))
        status = int(connection.recv(12)[9:])
        read_to_the_end(connection)
    assert 400 <= status < 500
    assert is_well(site, token)


def handshake(header: str) -> bytes:
    key = base64.b64encode(bytes(16)).decode()
    lines = (
        "GET /messages HTTP/1.1",
        "Host: app.example",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        header,
    )
    return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def read_to_the_end(connection: socket.socket) -> None:
    try:
        while connection.recv(2**16):
            pass
    except ConnectionResetError:
        pass


def is_well(site: Site, token: str) -> bool:
    """Return True where the server answers as before, and has logged no error of the application.

    uvicorn logs a traceback of its own where a text is no UTF-8.
    """
    request = urllib.request.Request(
        f"{site.server.origin()}/me", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["sub"] == "ben"
    log = site.server.read_log()
    assert [sign for sign in (*OF_THE_APPLICATION, "/tokenwheel/") if sign in log] == []
    return True
