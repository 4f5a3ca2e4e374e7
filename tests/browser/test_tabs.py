"""Two tabs of one browser share its cookies, and refresh at the same moment.

A second tab here goes through a proxy, on another port: cookies know no ports. What the proxy holds
back was sent with the cookies of an earlier moment, as a slow network has it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.window import Window
from tests.servers import Proxy, proxied
from tests.support import forge
from tests.web.examples import HOST, SERVED, Example, Site, served
from tests.web.tls import Certificate
from tokenwheel import Key

ROUNDS = 200
REFRESH_AT_ONCE = """async (rounds) => {
    const channel = new BroadcastChannel("rounds");
    const statuses = [];
    for (let round = 0; round < rounds; round++) {
        const theirs = new Promise((resolve) => {
            channel.onmessage = ({ data }) => resolve(data);
        });
        channel.postMessage("refresh");
        const refreshed = (await fetch("/session/refresh", { method: "POST" })).status;
        const read = (await fetch("/me")).status;
        statuses.push(refreshed, read, ...(await theirs));
    }
    return statuses;
}"""
REFRESH_WHEN_TOLD = """() => {
    const channel = new BroadcastChannel("rounds");
    channel.onmessage = async () => {
        const refreshed = (await fetch("/session/refresh", { method: "POST" })).status;
        channel.postMessage([refreshed, (await fetch("/me")).status]);
    };
}"""


@pytest.fixture(scope="module", params=[SERVED[0], SERVED[-1]], ids=str)
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
) -> Iterator[Site]:
    example: Example = request.param
    with served(example, tmp_path_factory.mktemp("site"), certificate) as running:
        yield running


@pytest.fixture
def slow(site: Site) -> Iterator[Proxy]:
    with proxied(site.server.port) as proxy:
        yield proxy


def test_two_tabs_refresh_at_the_same_moment_and_both_go_on(context: Any, site: Site) -> None:
    first, second = Window(context, site.origin), Window(context, site.origin)
    first.log_in()
    session = first.fetch("GET", "/me")[1]["sid"]
    second.page.evaluate(REFRESH_WHEN_TOLD)
    statuses = first.page.evaluate(REFRESH_AT_ONCE, ROUNDS)
    assert statuses == [200] * (4 * ROUNDS)
    assert second.fetch("GET", "/me")[1]["sid"] == session


def test_the_late_401_of_an_old_token_does_not_log_the_other_tab_out(
    context: Any, site: Site, slow: Proxy
) -> None:
    quick = Window(context, site.origin)
    quick.log_in("ann")
    late = Window(context, f"https://{HOST}:{slow.port}")
    late.wait_signed_in()
    slow.drop()
    late.page.evaluate(
        "() => { window.refreshed = fetch('/session/refresh', { method: 'POST' }); }"
    )
    quick.page.click("#logout")
    quick.wait_signed_out()
    quick.log_in("ben")
    slow.heal()
    assert late.page.evaluate("refreshed.then((answer) => answer.status)") == 401
    assert quick.fetch("GET", "/me")[1]["sub"] == "ben"
    assert quick.fetch("POST", "/session/refresh")[0] == 200
    assert late.fetch("GET", "/me")[1]["sub"] == "ben"


def test_an_answer_that_was_lost_on_the_way_is_had_again_by_the_next_refresh(
    context: Any, site: Site, slow: Proxy
) -> None:
    quick = Window(context, site.origin)
    quick.log_in()
    late = Window(context, f"https://{HOST}:{slow.port}")
    late.wait_signed_in()
    before = context.cookies()
    slow.truncate(0)  # What is asked still reaches the server.
    outcome = late.page.evaluate(
        "fetch('/session/refresh', { method: 'POST' }).then(() => 'answered', () => 'lost')"
    )
    assert outcome == "lost"
    assert context.cookies() == before
    slow.heal()
    assert quick.fetch("POST", "/session/refresh")[0] == 200
    assert quick.fetch("GET", "/me")[0] == 200


def test_requests_that_are_refused_at_once_share_one_refresh(context: Any, site: Site) -> None:
    window = Window(context, site.origin)
    window.log_in()
    expire_access_cookie(context, site)
    asked = []
    window.page.on("request", lambda request: asked.append(request.url.removeprefix(site.origin)))
    statuses = window.page.evaluate(
        """() => Promise.all([1, 2, 3, 4].map(() => request("GET", "/me")))
            .then((answers) => answers.map((answer) => answer.status))"""
    )
    assert statuses == [200] * 4
    assert (asked.count("/me"), asked.count("/session/refresh")) == (8, 1)


def expire_access_cookie(context: Any, site: Site) -> None:
    """Put an access token of the same session in its cookie, which has expired."""
    (cookie,) = (cookie for cookie in context.cookies() if cookie["name"] == "__Host-tw-access")
    payload = cookie["value"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    key = Key.from_jwk((site.folder / "keys.json").read_text())
    past = {"iat": claims["iat"] - 3600, "exp": claims["iat"] - 60}
    context.add_cookies([{**cookie, "value": forge({**claims, **past}, key)}])
