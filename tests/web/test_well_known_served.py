"""Others read the public keys of the examples behind real servers, and verify by them."""

from __future__ import annotations

from pathlib import Path

import httpx
import jwt
import pytest

from tests.web.examples import SERVED, Example, served
from tests.web.test_well_known import PATH


@pytest.mark.parametrize("example", SERVED, ids=str)
def test_pyjwt_verifies_a_login_by_the_keys_that_it_finds(example: Example, tmp_path: Path) -> None:
    with (
        served(example, tmp_path, None, INSECURE_LOCALHOST="yes") as site,
        httpx.Client(base_url=site.server.origin(), timeout=60) as client,
    ):
        login = client.post("/login", json={"name": "ann", "password": "correct horse"})
        token = login.json()["access_token"]
        kid = jwt.get_unverified_header(token)["kid"]
        found = jwt.PyJWKClient(f"{site.server.origin()}{PATH}", timeout=60)
        for key in (found.get_signing_key(kid), found.get_signing_key_from_jwt(token)):
            claims = jwt.decode(
                token, key, ["ES256"], issuer="auth.example", audience="api.example"
            )
            assert claims["sub"] == "ann"
        answer = client.get(PATH)
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert answer.headers["content-type"] == "application/jwk-set+json"
        head = client.head(PATH)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(answer.content))
        known = client.get(PATH, headers={"If-None-Match": answer.headers["etag"]})
        assert (known.status_code, known.content) == (304, b"")
        assert client.post(PATH).status_code == 405
        assert client.get("/session/jwks").content == answer.content
