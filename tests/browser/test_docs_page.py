"""The docs page of the FastAPI example: its lock opens, and what it then sends is admitted.

FastAPI's page loads Swagger UI from a CDN. Here the browser is given those files from the package
``drf-spectacular-sidecar``, which carries them; without it the page's own steps are taken by hand.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser.window import cookies_of
from tests.web.examples import SERVED, Site, served
from tests.web.tls import Certificate

SIDECAR = importlib.util.find_spec("drf_spectacular_sidecar")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Site]:
    with served(SERVED[0], tmp_path_factory.mktemp("site"), certificate) as running:
        yield running


@pytest.mark.skipif(SIDECAR is None, reason="no installed package carries Swagger UI")
def test_the_docs_page_authorises_by_name_and_password(context: Any, site: Site) -> None:
    assert SIDECAR is not None
    assert SIDECAR.origin is not None
    (swagger,) = Path(SIDECAR.origin).parent.rglob("swagger-ui-dist")
    context.route(
        "https://cdn.jsdelivr.net/**",
        lambda route: route.fulfill(path=swagger / route.request.url.rpartition("/")[2]),
    )
    page = context.new_page()
    page.goto(f"{site.origin}/docs")
    page.click("button.authorize")
    page.fill("#oauth_username, [name=username]", "ann")
    page.fill("#oauth_password, [name=password]", "correct horse")
    page.click(".auth-btn-wrapper .authorize")
    page.wait_for_selector("text=Logout")
    page.click(".auth-btn-wrapper .btn-done")
    assert cookies_of(context) == {}  # The page holds the token itself.
    with page.expect_response("**/me") as answer:
        page.click("#operations-default-me_me_get")
        page.click("button.try-out__btn")
        page.click("button.execute")
    assert (answer.value.status, answer.value.json()["sub"]) == (200, "ann")


def test_the_password_flow_that_the_api_document_names_leads_to_a_token_that_is_admitted(
    site: Site,
) -> None:
    with httpx.Client(base_url=site.server.origin(), verify=False) as client:
        document = client.get("/openapi.json").json()
        (requirement,) = document["paths"]["/me"]["get"]["security"]
        (scheme,) = requirement
        flow = document["components"]["securitySchemes"][scheme]["flows"]["password"]
        # A page of a browser sends this, and would get cookies from a login.
        page = {"Origin": site.server.origin(), "Sec-Fetch-Site": "same-origin"}
        form = {"grant_type": "password", "username": "ann", "password": "correct horse"}
        answer = client.post(flow["tokenUrl"], data=form, headers=page)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        token = answer.json()
        assert token["token_type"] == "Bearer"
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        assert client.get("/me", headers=bearer).json()["sub"] == "ann"
        assert client.get("/admin", headers=bearer).status_code == 200
        assert client.get("/me").status_code == 401
