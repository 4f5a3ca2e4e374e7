"""A web server for the tests that publishes keys, and can be told to do so badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers import LONGEST_WAIT, until

__all__ = ["FAULTS", "Publisher", "publishing"]

FAULTS = ["hangs", "500", "HTML", "10 MiB", "an empty set", "half a body", "an old set", "refuses"]


class Publisher:
    """What the server answers, and how often it was asked.

    Attributes:
        key_set: what it publishes.
        old_set: what it published before that.
        fault: one of ``FAULTS``, or None.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/jwks.json"
        self.key_set: dict[str, Any] = {"keys": []}
        self.old_set: dict[str, Any] = {"keys": []}
        self.fault: str | None = None
        self.requests = 0
        self.held = 0  # requests that wait for an answer
        self.may_answer = threading.Event()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        fault = self.fault
        if fault == "hangs":
            self.held += 1
            self.may_answer.wait(LONGEST_WAIT)
            self.held -= 1
            return
        if fault == "refuses":
            return
        body = json.dumps(self.old_set if fault == "an old set" else self.key_set).encode()
        if fault == "an empty set":
            body = b'{"keys": []}'
        elif fault == "HTML":
            body = b"<!doctype html><title>Sign in</title>"
        elif fault == "10 MiB":
            body = body[:-1] + b" " * 10 * 2**20 + b"}"
        handler.send_response(500 if fault == "500" else 200)
        handler.send_header("Content-Type", "text/html" if fault == "HTML" else "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: len(body) // 2] if fault == "half a body" else body)

    def wait_for_requests(self, more: int) -> None:
        """Wait until so many more have come, so that the ones before have been answered."""
        least = self.requests + more
        until(lambda: self.requests >= least, "another fetch")


@contextmanager
def publishing() -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                publisher.answer(self)
            except OSError:
                """Whoever asked has seen enough of it."""

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    publisher = Publisher(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield publisher
    finally:
        publisher.may_answer.set()
        server.shutdown()
        server.server_close()
        thread.join()
