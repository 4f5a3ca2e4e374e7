"""No error of a gate or a route shows a token, though its frames are shown with their locals.

Each is provoked with headers whose repr shows all they hold, as those of frameworks do, and all
frames, causes and contexts are searched, as Sentry, rich and ``cgitb`` would show them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.datastructures import Headers

from tests.security.exposure import Secrets, exposed_by
from tests.web.gates import ACCESS, HOST, REFRESH, House, set_cookies
from tokenwheel import SessionTokens, TokenwheelError
from tokenwheel.web import Cookies
from tokenwheel.web.endpoints import Endpoints, Incoming
from tokenwheel.web.renewing import admit_or_renew


class Provoked:
    """A house, tokens in it, and what is checked of an error that they provoke."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.secrets = Secrets()
        self.tokens = self.know(house.login())
        self.foreign = self.know(house.foreign())

    def know(self, tokens: SessionTokens) -> SessionTokens:
        self.secrets.add_refresh_token(tokens.refresh_token)
        self.secrets.add_access_token(tokens.access_token)
        return tokens

    def headers(self, **said: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in said.items()}
        return Headers({"host": HOST, **named}).get

    def check(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
            call(*arguments, **options)
        assert exposed_by(caught.value, self.secrets) == []


@pytest.fixture
def provoked(house: House) -> Provoked:
    return Provoked(house)


def test_admission_shows_none(provoked: Provoked) -> None:
    token, foreign = provoked.tokens.access_token, provoked.foreign.access_token
    refresh = provoked.tokens.refresh_token
    for said in (
        {"authorization": f"Bearer {foreign}"},
        {"authorization": f"Bearer {token} {token}"},
        {"authorization": f"DPoP {token}"},
        {"authorization": f"Basic x, Bearer {token}"},
        {"authorization": f"Bearer, {token}"},
        {"cookie": f"{ACCESS}={foreign}"},
        {"cookie": f"{ACCESS}={token}; {ACCESS}={token}"},
        {"cookie": f"{REFRESH}={refresh}"},
        {"cookie": f"{ACCESS}={token}", "origin": "null"},
        {"cookie": f"{ACCESS}={token}", "sec_fetch_site": "cross-site"},
        {"cookie": f"{ACCESS}={token}", "origin": "https://evil.example"},
        {"cookie": f"{ACCESS}={token}"},
        {"sec_websocket_protocol": f"bearer.{token}"},
        {"sec_websocket_protocol": f"tokenwheel, bearer.{token}, bearer.{token}"},
        {"sec_websocket_protocol": f"tokenwheel, bearer.{foreign}"},
    ):
        headers = provoked.headers(**said)
        gate = provoked.house.gate()
        provoked.check(gate.admit, "POST", headers, websocket=True)
        if "cookie" not in said:
            provoked.check(gate.admit_optional, "POST", headers, websocket=True)
    good = provoked.headers(authorization=f"Bearer {token}")
    provoked.check(provoked.house.gate().admit, "GET", good, scopes=["admin"])
    provoked.check(provoked.house.gate().admit, "GET", good, scopes="admin")
    provoked.check(provoked.house.gate().admit, "GET", good, websocket=None)
    provoked.house.clock.advance(400)
    provoked.check(provoked.house.gate().admit, "GET", good, max_age=300)
    local = provoked.house.gate(cookies=Cookies(insecure_localhost=True))
    headers = provoked.headers(cookie=f"tw-access={token}; tw-refresh={refresh}")
    provoked.check(local.admit, "GET", headers)
    provoked.check(local.refresh_token, "POST", headers)


def test_what_a_refresh_presents_is_not_shown(provoked: Provoked) -> None:
    token = provoked.tokens.refresh_token
    gate = provoked.house.gate()
    in_json = {"content_type": "application/json"}
    for said, body in (
        ({"cookie": f"{REFRESH}={token}"}, None),
        ({"cookie": f"{REFRESH}={token}; {REFRESH}={token}"}, None),
        ({"cookie": f"{REFRESH}={token}", **in_json}, json.dumps({"refresh_token": token})),
        (in_json, f'{{"refresh_token": "{token}"'),
        (in_json, f'{{"refresh_token": "{token}", "refresh_token": ""}}'),
        (in_json, f'["{token}"]'),
        (in_json, f'{{"refresh_token": ["{token}"]}}'),
        (in_json, f'{{"refresh_token": "{token}\xff"}}'),
        ({"content_type": "application/x-www-form-urlencoded"}, f"refresh_token={token}%ff"),
        ({"content_type": "application/x-www-form-urlencoded"}, f"refresh_token={token}\xff"),
        ({"content_type": "text/plain"}, token * 1000),
    ):
        octets = None if body is None else body.encode("latin-1")
        provoked.check(gate.refresh_token, "POST", provoked.headers(**said), octets)
    provoked.check(gate.refresh_token, "POST", provoked.headers(**in_json), f"{token}")


def test_what_is_handed_out_is_not_shown(provoked: Provoked) -> None:
    tokens = provoked.know(provoked.house.login({"x": "y" * 4000}))
    provoked.check(provoked.house.gate().welcome, tokens, via="cookie")
    provoked.check(provoked.house.gate().welcome, tokens, via="smoke")
    provoked.check(provoked.house.gate(cookies=None).welcome, tokens, via="cookie")
    access, refresh = tokens.access_token, tokens.refresh_token
    provoked.check(Cookies().write, access, refresh, 60)
    provoked.check(Cookies().write, access, f"{refresh};", 60)
    provoked.check(Cookies().write, access, refresh, "60")
    provoked.check(Cookies().read_access, f"{ACCESS}={access}; {ACCESS}={access}")


def test_a_header_s_callable_that_fails_is_not_shown_with_what_it_knows(
    provoked: Provoked,
) -> None:
    provoked.check(provoked.house.gate().admit, "GET", provoked.headers)


def test_an_error_of_the_application_s_own_shows_no_token_of_a_route(provoked: Provoked) -> None:
    def fail(session: object) -> dict[str, Any]:
        raise LookupError("no such user")

    tokens = provoked.tokens
    said = {
        "cookie": f"{ACCESS}={tokens.access_token}; {REFRESH}={tokens.refresh_token}",
        "sec_fetch_site": "same-origin",
    }
    request = Incoming("POST", provoked.headers(**said))
    endpoints = Endpoints(provoked.house.gate(), fail)
    provoked.check(lambda: provoked.house.run(endpoints.refresh(request)))
    provoked.house.clock.advance(1000)
    gate = provoked.house.gate(renew=fail)
    steps: Any = admit_or_renew(gate, request)
    provoked.check(lambda: provoked.house.run(steps))
    refused: Any = admit_or_renew(provoked.house.gate(), request)
    provoked.check(lambda: provoked.house.run(refused))


def test_no_answer_to_a_refusal_repeats_what_was_sent(provoked: Provoked) -> None:
    tokens = provoked.tokens
    said = {"cookie": f"{ACCESS}={tokens.access_token}; {REFRESH}={tokens.refresh_token}"}
    for route in ("refresh", "logout", "logout_others"):
        answer = provoked.house.ask(route, said)
        assert answer.status == 403
        assert not provoked.secrets.are_in(f"{answer.headers} {answer.body!r}")
        assert set_cookies(answer) == {}
    with pytest.raises(TokenwheelError):
        provoked.house.gate().admit("POST", provoked.headers(**said))
