"""Reading tokens seen before, by keys that a service of its own publishes."""

from __future__ import annotations

import json
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.claims import ACCEPTED, AUDIENCE, ISSUER
from benchmarks.peers.jwt_libraries import Material, Verify, read_key

from .reading import Seen


class Following(Seen):
    """The same public key, handed in, in a file that is followed, or behind a URL that is."""

    def __init__(self, peer: str, *, tokens: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        super().__init__(peer, tokens=tokens, make=self.make_reader)

    def make_reader(self, material: Material) -> Verify:
        from tokenwheel import SessionManager

        manager = SessionManager(
            self.keys_of(material), issuer=ISSUER, audience=AUDIENCE, accept_audience=ACCEPTED
        )
        read: Verify = manager.read
        return read

    def keys_of(self, material: Material) -> Any:
        from tokenwheel import KeyFile, KeySet, RemoteKeySet

        jwks = KeySet(read_key(material)).jwks()
        if self.peer == "key_file":
            path = Path(self.folder.name, "keys.json")
            path.write_text(json.dumps(jwks))
            return KeyFile(path)
        if self.peer == "remote_keys":
            return RemoteKeySet(serve(json.dumps(jwks).encode()))
        return KeySet.from_jwks(jwks)


def serve(body: bytes) -> str:
    """Serve a JWK Set on loopback for as long as the process lives. Return its URL."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/jwk-set+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/jwks.json"
