"""Another site, on a port of its own: pages by which somebody else would use a user's cookies."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.web.tls import Certificate


class OtherSite:
    """Answers every request with one page, and with the cookies it wants to set."""

    def __init__(self) -> None:
        self.port = 0
        self.set_cookies: list[str] = []

    def origin(self, host: str, scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}"


@contextmanager
def other_site(certificate: Certificate | None) -> Iterator[OtherSite]:
    """Serve another site on a free port, over TLS where there is a certificate."""
    site = OtherSite()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            for line in site.set_cookies:
                self.send_header("Set-Cookie", line)
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>another site</title><p>Hello")

        def log_message(self, *_arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: Any) -> None:  # A browser hangs up when it likes.
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate.chain, certificate.key)
        # The handshake is the thread's of each connection: one that is only opened holds up none.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="other site")
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
