"""Key sets of identity providers are read as they are, and what we publish is read by PyJWT."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest

from tokenwheel import InvalidAccessToken, Key, KeySet, SessionManager

from .provider_shapes import PROVIDERS

OPTIONS = {"issuer": "https://issuer.example", "audience": "service"}
KNOWN_TO_PYJWT = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "ES256K", "EdDSA"),
]


def token_by(key: Key) -> str:
    with SessionManager(KeySet(key), **OPTIONS) as login:  # type: ignore[arg-type]
        return login.create(subject="ann").access_token


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_set_of_a_provider_is_read_and_its_tokens_verify(name: str) -> None:
    published = PROVIDERS[name]()
    text = json.dumps(published.jwks)
    for jwks in (published.jwks, text, text.encode()):
        keys = KeySet.from_jwks(jwks, algorithms=published.algorithms)
        assert [key.to_jwk() for key in keys] == [key.to_jwk() for key in published.signing]
        assert keys.signing is None
    with SessionManager(keys, **OPTIONS) as service:  # type: ignore[arg-type]
        for signing in published.signing:
            assert service.read(token_by(signing)).subject == "ann"
            stranger = Key.generate("ES256", kid=signing.kid)
            with pytest.raises(InvalidAccessToken, match=r"'alg' is not that|signature is not by"):
                service.read(token_by(stranger))


def test_there_are_more_than_twenty_providers() -> None:
    assert len(PROVIDERS) > 20


@contextmanager
def _served(jwks: dict[str, Any]) -> Iterator[str]:
    """Serve a set on a free port of loopback. Yield its URL."""
    body = json.dumps(jwks).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/jwk-set+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def keys() -> dict[str, Key]:
    return {name: Key.generate(name) for name in [*KNOWN_TO_PYJWT, "Ed25519", "Ed448", "HS256"]}


@pytest.fixture(params=[[], ["Ed25519", "Ed448", "HS256"]], ids=["known", "others beside them"])
def manager(request: pytest.FixtureRequest, keys: dict[str, Key]) -> Iterator[SessionManager]:
    """Return a manager that publishes a key of each algorithm of PyJWT, and perhaps others."""
    names = [*request.param, *KNOWN_TO_PYJWT]
    with SessionManager(KeySet(*(keys[name] for name in names)), **OPTIONS) as manager:
        yield manager


def _decoded(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, key, [algorithm], **OPTIONS)  # type: ignore[arg-type]
    return claims


def test_pyjwts_client_reads_what_we_publish(manager: SessionManager, keys: dict[str, Key]) -> None:
    with _served(manager.jwks()) as url:
        client = jwt.PyJWKClient(url)
        for name in KNOWN_TO_PYJWT:
            token = token_by(keys[name])
            found = client.get_signing_key_from_jwt(token)
            assert found.algorithm_name == name
            assert _decoded(token, found, name)["sub"] == "ann"


def test_pyjwts_key_set_reads_what_we_publish(
    manager: SessionManager, keys: dict[str, Key]
) -> None:
    found = jwt.PyJWKSet.from_dict(manager.jwks())
    assert [(key.key_id, key.algorithm_name) for key in found.keys] == [
        (keys[name].kid, name) for name in KNOWN_TO_PYJWT
    ]
    for name, key in zip(KNOWN_TO_PYJWT, found.keys, strict=True):
        assert _decoded(token_by(keys[name]), key, name)["sub"] == "ann"


def test_pyjwt_reads_an_ed25519_key_once_it_knows_the_name(keys: dict[str, Key]) -> None:
    """Only by hand: its ``PyJWK`` looks for the names that PyJWT itself has."""
    key = keys["Ed25519"]
    reader = jwt.PyJWT()
    reader._jws.register_algorithm("Ed25519", jwt.get_algorithm_by_name("EdDSA"))
    public = jwt.PyJWK(KeySet(key).jwks()["keys"][0], "EdDSA").key
    claims = reader.decode(token_by(key), public, ["Ed25519"], **OPTIONS)  # type: ignore[arg-type]
    assert claims["sub"] == "ann"


def test_another_service_reads_what_the_login_service_publishes(
    manager: SessionManager, keys: dict[str, Key]
) -> None:
    published = manager.jwks()
    with SessionManager(KeySet.from_jwks(published), **OPTIONS) as service:  # type: ignore[arg-type]
        for jwk in published["keys"]:
            assert service.read(token_by(keys[jwk["alg"]])).subject == "ann"
