"""Behind nginx over TLS, with the Host passed on and without, by a browser and by other clients.

A browser's requests say ``Sec-Fetch-Site``, which needs no ``Host``. The handshakes of its web
sockets say only ``Origin``, as other clients may: these need a proxy that passes the ``Host`` on,
or their origin among the trusted ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.browser.window import Window, cookies_of
from tests.web.examples import HOST, SERVED, served
from tests.web.servers import Server, nginx
from tests.web.tls import Certificate

ORIGIN = f"https://{HOST}"  # The default port, on which only root could listen.
BEN = {"name": "ben", "password": "correct horse"}
PASS_HOST = "proxy_set_header Host $host;"


class Setting(NamedTuple):
    """How nginx is set up, and the application behind it."""

    passes_host: bool
    trusted_origins: str

    def __str__(self) -> str:
        trusted = "-trusted" if self.trusted_origins else ""
        return f"{'host' if self.passes_host else 'no-host'}{trusted}"


@pytest.fixture(
    scope="module",
    params=[Setting(True, ""), Setting(False, ""), Setting(False, ORIGIN)],
    ids=str,
)
def setting(request: pytest.FixtureRequest) -> Setting:
    chosen: Setting = request.param
    return chosen


@pytest.fixture(scope="module")
def proxy(
    setting: Setting, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    more = PASS_HOST if setting.passes_host else ""
    with (
        served(SERVED[0], folder, None, TRUSTED_ORIGINS=setting.trusted_origins) as site,
        nginx(site.server, folder, certificate, more=more) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def browser(launch: Callable[..., Any], proxy: Server) -> Any:
    return launch(f"MAP {HOST}:443 127.0.0.1:{proxy.port}")


def test_a_browser_logs_in_refreshes_and_logs_out(context: Any) -> None:
    window = Window(context, ORIGIN)
    window.log_in()
    assert cookies_of(context).keys() == {"__Host-tw-access", "__Host-tw-refresh"}
    assert window.fetch("POST", "/session/refresh")[0] == 200
    window.log_out()
    assert cookies_of(context) == {}


def test_a_browsers_web_socket_needs_the_host_passed_on_or_its_origin_trusted(
    context: Any, setting: Setting
) -> None:
    window = Window(context, ORIGIN)
    window.log_in()
    is_known = setting.passes_host or setting.trusted_origins
    window.wait_socket("open" if is_known else "closed with 1006")


def test_a_client_that_says_only_its_origin_needs_the_host_passed_on_or_the_origin_trusted(
    proxy: Server, setting: Setting
) -> None:
    headers = {"Host": HOST, "Origin": ORIGIN}
    with httpx.Client(base_url=proxy.origin(), verify=False, headers=headers) as client:
        answer = client.post("/login", json=BEN)
        if not setting.passes_host and not setting.trusted_origins:
            assert (answer.status_code, answer.json()["code"]) == (403, "cross_origin")
            assert "let the proxy pass Host on" in answer.json()["detail"]
            assert "set-cookie" not in answer.headers
            return
        assert answer.status_code == 200
        lines = answer.headers.get_list("set-cookie")
        client.headers["Cookie"] = "; ".join(line.partition(";")[0] for line in lines)
        client.cookies.clear()
        assert client.get("/me").json()["sub"] == "ben"
        refused = client.post("/session/logout", headers={"Origin": "https://evil.example.test"})
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_origin")
        assert client.get("/me").status_code == 200
        assert client.post("/session/refresh").status_code == 200


def test_a_client_that_is_no_browser_needs_neither(proxy: Server) -> None:
    with httpx.Client(base_url=proxy.origin(), verify=False, headers={"Host": HOST}) as client:
        answer = client.post("/login", json=BEN)
        tokens = answer.json()
        assert (answer.status_code, tokens["token_type"]) == (200, "Bearer")
        assert "set-cookie" not in answer.headers
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert client.get("/me", headers=bearer).json()["sub"] == "ben"
        body = {"refresh_token": tokens["refresh_token"]}
        assert client.post("/session/refresh", json=body).status_code == 200
