"""One HTTP GET of keys: what it asks, how long it takes at most, and what it refuses to read."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.keys.key_servers import KeyServer, http, raw
from tests.web.tls import Certificate, make_certificate
from tokenwheel.errors import ConfigurationError
from tokenwheel.keys.remote.answers import LARGEST_BODY, FetchFailed
from tokenwheel.keys.remote.fetching import HttpFetch
from tokenwheel.keys.remote.key_url import parse_url

PATIENT = 30.0  # seconds
QUICK = 0.3  # seconds, where the limit itself is what is tested


@pytest.fixture
def server() -> Iterator[KeyServer]:
    with KeyServer(http(200, b"{}")) as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"), "localhost")


def fetch(server: KeyServer, timeout: float = PATIENT, **headers: str) -> Any:
    return HttpFetch(parse_url(server.url), timeout)(headers)


def failure(server: KeyServer, timeout: float = PATIENT) -> str:
    with pytest.raises(FetchFailed) as caught:
        fetch(server, timeout)
    reason = str(caught.value)
    assert "of-the-query" not in reason
    return reason


def test_it_asks_for_the_path_and_the_query_with_the_fields_given(server: KeyServer) -> None:
    response = fetch(server, Accept="application/json")
    assert (response.status_code, response.content) == (200, b"{}")
    line, *fields = server.requests[0].strip().split("\r\n")
    assert line == "GET /jwks.json?secret=of-the-query HTTP/1.1"
    assert f"Host: localhost:{server.port}" in fields
    assert "Accept: application/json" in fields
    assert "Accept-Encoding: identity" in fields


def test_a_chunked_body_is_read_whole(server: KeyServer) -> None:
    server.answer = raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{ }\r\n2\r\n  \r\n0\r\n\r\n"
    )
    assert fetch(server).content == b"{ }  "


def test_fields_of_one_name_are_joined(server: KeyServer) -> None:
    server.answer = raw(
        b"HTTP/1.1 200 OK\r\nCache-Control: private\r\nCache-Control: max-age=7\r\n\r\n{}"
    )
    assert fetch(server).headers["cache-control"] == "private, max-age=7"


@pytest.mark.parametrize("octets", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_header_that_drips_ends_with_the_time_for_all(server: KeyServer, octets: bytes) -> None:
    server.answer = server.drip(octets)
    assert failure(server, QUICK) == "no whole answer came within 0.3 seconds"


def test_a_body_that_drips_ends_with_the_time_for_all(server: KeyServer) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        server.drip(b" ")(connection, request)

    server.answer = answer
    assert failure(server, QUICK) == "no whole answer came within 0.3 seconds"


def test_silence_ends_with_the_time_for_all(server: KeyServer) -> None:
    server.answer = server.hang
    assert failure(server, QUICK) == "no whole answer came within 0.3 seconds"


def test_silence_before_tls_ends_with_the_time_for_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = parse_url(f"https://localhost:{listening.getsockname()[1]}/")
        with pytest.raises(FetchFailed, match=r"no whole answer came within 0\.3 seconds"):
            HttpFetch(url, QUICK)({})


def test_a_body_of_256_kib_is_read_and_one_octet_more_is_not(server: KeyServer) -> None:
    server.answer = http(200, b" " * LARGEST_BODY)
    assert len(fetch(server).content) == LARGEST_BODY
    server.answer = http(200, b" " * (LARGEST_BODY + 1))
    assert failure(server) == "it answered more than 256 KiB"


def test_a_length_that_is_too_large_is_refused_before_the_body_comes(server: KeyServer) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")
        server.hang(connection, request)

    server.answer = answer
    assert failure(server) == "it answered more than 256 KiB"


def test_no_more_than_its_room_is_read_of_a_body_without_end(server: KeyServer) -> None:
    sent: list[int] = []

    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent.append(connection.send(b" " * 65_536))

    server.answer = answer
    response = fetch(server)
    assert len(response.content) == LARGEST_BODY + 1  # which tells that there is more


def test_chunks_without_end_are_refused(server: KeyServer) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"1\r\n \r\n" * 1000)

    server.answer = answer
    assert failure(server) == "it answered more than 256 KiB"


def test_a_header_without_end_is_refused(server: KeyServer) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X: " + b"y" * 60_000 + b"\r\n")

    server.answer = answer
    assert "more than 256 KiB" in failure(server)


@pytest.mark.parametrize(
    "octets, reason",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "ended in the midst of its body"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "not whole"),
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}"), "compressed"),
    ],
    ids=["half a body", "half a chunk", "nothing", "no HTTP", "gzip"],
)
def test_what_is_not_whole_is_refused(server: KeyServer, octets: bytes, reason: str) -> None:
    server.answer = raw(octets)
    assert reason in failure(server)


def test_a_port_that_nobody_listens_on_is_told(server: KeyServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchFailed, match="refused"):
        HttpFetch(parse_url(f"http://127.0.0.1:{port}/"), PATIENT)({})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_same_place_is_followed(server: KeyServer, status: int) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        if request.startswith("GET /jwks.json"):
            http(status, Location="/keys/others.json?x=1#part")(connection, request)
        else:
            http(200, b"found")(connection, request)

    server.answer = answer
    assert fetch(server).content == b"found"
    assert server.requests[1].startswith("GET /keys/others.json?x=1 HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "location",
    [
        "https://localhost:{port}/",
        "http://127.0.0.1:{port}/",
        "http://localhost:1/",
        "//evil.example/",
        "http://localhost@evil.example:{port}/",
        "http://user@localhost:{port}/",
        "file:///etc/passwd",
        "http:\\\\evil.example",
        "http://[",
        "\x01",
    ],
)
def test_a_redirect_to_elsewhere_is_refused_and_said(server: KeyServer, location: str) -> None:
    server.answer = http(302, Location=location.format(port=server.port))
    assert "redirects to another scheme, host or port" in failure(server)
    assert len(server.requests) == 1


def test_redirects_without_end_and_to_nowhere_are_refused(server: KeyServer) -> None:
    server.answer = http(302, Location="/again")
    assert failure(server) == "it redirects more than 3 times"
    assert len(server.requests) == 4
    server.answer = http(302)
    assert failure(server) == "it redirects to nowhere"


def test_the_body_of_an_answer_that_is_not_200_is_not_read(server: KeyServer) -> None:
    server.answer = http(500, "<html>")
    assert fetch(server)[::2] == (500, b"")


def test_a_certificate_that_nobody_trusts_is_refused(certificate: Certificate) -> None:
    with KeyServer(http(200, b"{}"), certificate) as server:
        assert "its certificate is not trusted: self-signed certificate" in failure(server)
        assert server.requests == []


def test_a_certificate_that_is_trusted_is_taken_for_its_own_host(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.chain))
    with KeyServer(http(200, b"{}"), certificate) as server:
        assert fetch(server).content == b"{}"
        other = parse_url(server.url.replace("localhost", "127.0.0.1"))
        with pytest.raises(
            FetchFailed, match="its certificate is not trusted: IP address mismatch"
        ):
            HttpFetch(other, PATIENT)({})


def test_no_proxy_is_used(server: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch(server).status_code == 200


@pytest.mark.parametrize("where", ["header", "body"])
def test_a_fetch_can_be_broken_off_wherever_it_waits(where: str, server: KeyServer) -> None:
    arrived = threading.Event()

    def answer(connection: socket.socket, request: str) -> None:
        if where == "body":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
        arrived.set()
        server.hang(connection, request)

    server.answer = answer
    fetching = HttpFetch(parse_url(server.url), PATIENT)
    reasons: list[str] = []

    def run() -> None:
        try:
            fetching({})
        except FetchFailed as error:
            reasons.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    assert arrived.wait(PATIENT)
    fetching.break_off()
    thread.join()
    assert len(reasons) == 1
    assert "within" not in reasons[0]
    with pytest.raises(FetchFailed, match="the fetch was broken off"):
        fetching({})


# Which URLs are taken.


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example/jwks.json",
        "https://login.example",
        "https://login.example:8443/a?b=c",
        "https://xn--bcher-kva.example/",
        "https://auth_service/",
        "https://10.0.0.1/",
        "https://[2001:db8::1]:8443/",
        "http://localhost:8000/",
        "http://LOCALHOST/",
        "http://127.0.0.1/",
        "http://127.255.0.9:1/",
        "http://[::1]:5000/",
        "http://[0:0:0:0:0:0:0:1]/",
    ],
)
def test_a_url_that_leads_where_it_seems_to_is_taken(url: str) -> None:
    parts = parse_url(url)
    assert parse_url(parts.whole) == parts


@pytest.mark.parametrize(
    "url, reason",
    [
        (7, "url must be a str, not int"),
        ("", "not be empty"),
        ("login.example/jwks.json", "begin with https://"),
        ("ftp://login.example/", "begin with https://"),
        ("file:///etc/passwd", "begin with https://"),
        ("https:login.example", "begin with https://"),
        ("https:///jwks.json", "url must have a host"),
        ("https://:443/", "url must have a host"),
        ("https://ann@login.example/", "no user name or password"),
        ("https://ann:pass@login.example/", "no user name or password"),
        ("https://login.example/#keys", "no fragment"),
        ("https://login.example/#", "no fragment"),
        ("https://login.example:0/", "a port from 1 to 65535"),
        ("https://login.example:65536/", "a port from 1 to 65535"),
        ("https://login.example:abc/", "a host name or an address"),
        ("https://login.example/a b", "blanks, control characters"),
        ("https://login.example/\n", "blanks, control characters"),
        ("\x00https://login.example/", "blanks, control characters"),
        ("https://login.example\\@evil.example/", "backslashes"),
        ("https://bücher.example/", "letters beyond ASCII"),
        ("https://login%2eexample/", "a host of letters"),
        ("https://a..b/", "a host of letters"),
        (f"https://{'a' * 64}.example/", "labels of at most 63"),
        (f"https://login.example/{'a' * 2048}", "at most 2048 characters"),
        ("https://[::1%25lo]/", "an IPv6 address without zone"),
        ("https://[/", "url must"),
        ("https://2130706433/", "four decimal numbers"),
        ("http://127.1/", "four decimal numbers"),
        ("http://0x7f.0.0.1/", "four decimal numbers"),
        ("http://0177.0.0.1/", "four decimal numbers"),
        ("http://login.example/", "url must be https"),
        ("http://localhost.evil.example/", "url must be https"),
        ("http://127.0.0.1.evil.example/", "url must be https"),
        ("http://evil-localhost/", "url must be https"),
        ("http://0.0.0.0/", "url must be https"),
        ("http://10.0.0.1/", "url must be https"),
        ("http://[::]/", "url must be https"),
        ("http://[::ffff:127.0.0.1]/", "url must be https"),
        ("http://localhost@evil.example/", "no user name or password"),
    ],
)
def test_a_url_that_can_be_read_in_two_ways_is_refused(url: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert reason in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_http_elsewhere_is_taken_where_the_caller_says_so() -> None:
    assert parse_url("http://login.example/", allow_http=True).port == 80


def test_messages_name_a_url_without_its_query() -> None:
    url = parse_url("https://login.example:443/a/b?secret=of-the-query")
    assert (str(url), url.target) == ("https://login.example/a/b", "/a/b?secret=of-the-query")
    assert "of-the-query" not in repr(url)
