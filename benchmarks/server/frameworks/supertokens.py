"""SuperTokens' SDK beside a stand-in for its core.

The SDK verifies an access token by itself, with the keys that it once fetches from its core. So the
core is played here by a server that has these keys to give, and tokens are signed with them as the
core signs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from ..requests import ORIGIN, Request, Transport, by_bearer, by_cookie
from ..sessions import LIFETIME

KID = "d-1795000000000"  # "d" for a key that the core changes from time to time


@cache
def core() -> tuple[str, Any]:
    """Return the address of the core, and the key by which it signs."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from jwt.algorithms import RSAAlgorithm

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    public = {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KID, "alg": "RS256"}

    class Core(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            versions = {"versions": ["5.0", "5.1", "5.2", "5.3", "5.4"]}
            body = json.dumps({"keys": [public]} if "jwks" in self.path else versions).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing of each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Core)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", key


def start(
    framework: Literal["fastapi", "flask", "django"],
    transport: Transport,
    mode: Literal["asgi", "wsgi"],
) -> Callable[[int], list[Request]]:
    """Configure the SDK, and return what makes requests for it."""
    from supertokens_python import InputAppInfo, SupertokensConfig, init
    from supertokens_python.recipe import session

    address, _ = core()
    init(
        app_info=InputAppInfo(app_name="bench", api_domain=ORIGIN, website_domain=ORIGIN),
        supertokens_config=SupertokensConfig(connection_uri=address),
        framework=framework,
        recipe_list=[
            session.init(
                anti_csrf="VIA_CUSTOM_HEADER",
                get_token_transfer_method=lambda *_: (
                    "header" if transport == "bearer" else "cookie"
                ),
            )
        ],
        mode=mode,
        telemetry=False,
    )

    def requests(count: int) -> list[Request]:
        tokens = [sign(number) for number in range(count)]
        if transport == "bearer":
            return [by_bearer(token) for token in tokens]
        return [by_cookie(token, {"sAccessToken": token}, {"rid": "session"}) for token in tokens]

    return requests


def sign(number: int) -> str:
    import jwt

    now = int(time.time())
    claims = {
        "iat": now,
        "exp": now + LIFETIME,
        "sub": f"uid{number}",
        "rsub": f"uid{number}",
        "tId": "public",
        "sessionHandle": f"{number:08x}-3b0a-4c52-9f1a-8f7f4f1b2c3d",
        "refreshTokenHash1": f"{number:064x}",
        "parentRefreshTokenHash1": None,
        "antiCsrfToken": None,
        "iss": f"{ORIGIN}/auth",
        "role": "user",
        "name": "John",
    }
    return jwt.encode(claims, core()[1], "RS256", {"kid": KID, "version": "5"})
