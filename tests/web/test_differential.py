"""All frameworks give the same status, headers and body for the same requests.

The requests are drawn from a fixed seed, over methods, addresses, transports, tokens in all their
states, what browsers and other clients send, and bodies. A difference is told with the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.web.differential import APPLICATIONS, TRUSTED, Application, Asked, Pairs
from tests.web.gates import ACCESS, REFRESH
from tokenwheel.session import refresh_tokens

SEED = 17
ROUNDS = 500
GUARDED = ("/me", "/admin", "/fresh", "/optional")
ROUTES = (
    ("POST", "/session/refresh"),
    ("POST", "/session/logout"),
    ("POST", "/session/logout/others"),
    ("POST", "/session/logout/everywhere"),
    ("GET", "/session/sessions"),
    ("DELETE", "/session/sessions/{id}"),
    ("GET", "/session/jwks"),
    ("POST", "/login"),
)
SITES: tuple[Pairs, ...] = (
    [],
    [("sec-fetch-site", "same-origin"), ("origin", "https://app.example")],
    [("sec-fetch-site", "same-origin")],
    [("origin", "https://app.example")],
    [("sec-fetch-site", "none")],
    [("sec-fetch-site", "same-site"), ("origin", "https://other.app.example")],
    [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")],
    [("sec-fetch-site", "cross-site"), ("origin", TRUSTED)],
    [("sec-fetch-site", "same-origin"), ("origin", "null")],
    [("origin", "null")],
    [("origin", "https://app.example"), ("origin", "https://evil.example")],
    [("origin", "https://app.example:8443")],
)
STATES = (
    "good", "good", "good", "good", "plain", "old", "expired", "revoked", "restricted", "foreign",
    "reused", "retried", "bob", "nonsense", "none", "none",
)  # fmt: skip
Cast = dict[str, tuple[str, str, str]]


def cast_of(app: Application) -> Cast:
    """Return tokens in all states, as access token, refresh token and session id."""
    app.call("delete_all", "ann")  # Those of the round before.
    login = {"subject": "ann"}
    admin = {"scope": "read admin"}
    tokens: dict[str, Any] = {
        "old": app.call("create", admin, **login),
        "expired": app.call("create", admin, access_ttl=1, **login),
        "reused": app.call("create", admin, **login),
        "restricted": app.call("create", admin, **login),
    }
    app.call("update", tokens["reused"].refresh_token)
    app.call("restrict_one", app.manager.read(tokens["restricted"].access_token))
    app.clock.advance(400)
    tokens |= {
        "good": app.call("create", admin, **login),
        "plain": app.call("create", {}, **login),
        "revoked": app.call("create", admin, **login),
        "retried": app.call("create", admin, **login),
        "bob": app.call("create", admin, subject="bob"),
    }
    app.call("delete_one", "ann", tokens["revoked"].session_id)
    app.call("update", tokens["retried"].refresh_token)
    tokens["foreign"] = app.stranger.create(admin, **login)
    return {
        name: (state.access_token, state.refresh_token, state.session_id)
        for name, state in tokens.items()
    } | {"nonsense": ("x", "y", "z")}


def authorization_of(draw: Random, token: str) -> Pairs:
    value = draw.choice(
        [f"Bearer {token}"] * 8
        + [f"bearer {token}", "Bearer", "Bearer ", f"Bearer  {token}", f"Bearer {token} x",
           f"DPoP {token}", "Basic YTpi", f"Basic YTpi, Bearer {token}", f'Bearer "{token}"', ""]
    )  # fmt: skip
    pairs = [("authorization", value)]
    return pairs * 2 if draw.random() < 0.05 else pairs


def cookies_of(draw: Random, access: str, refresh: str) -> Pairs:
    pairs = [f"{ACCESS}={access}", f"{REFRESH}={refresh}", "theme=dark", 'x="a; b"']
    dropped = draw.random()
    if dropped < 0.15:
        pairs.pop(0)
    elif dropped < 0.3:
        pairs.pop(1)
    elif dropped < 0.35:
        pairs.append(f"{ACCESS}={access}")
    elif dropped < 0.4:
        pairs.append(f"{REFRESH}={refresh}")
    elif dropped < 0.45:
        pairs[0] = f'{ACCESS}="{access}"'
    draw.shuffle(pairs)
    if draw.random() < 0.1:  # As HTTP/2 may send them.
        return [("cookie", pair) for pair in pairs]
    return [("cookie", draw.choice(["; ", ";", " ;\t"]).join(pairs))]


def body_of(draw: Random, token: str) -> tuple[Pairs, bytes]:
    kind, body = draw.choice(
        [
            ("application/json", f'{{"refresh_token": "{token}"}}'),
            ("application/json; charset=utf-8", f'{{"refresh_token": "{token}"}}'),
            ("application/x-www-form-urlencoded", f"refresh_token={token}"),
            ("application/json", "{}"),
            ("application/json", "{"),
            ("application/json", ""),
            ("application/json", f'{{"refresh_token": "{token}", "refresh_token": "x"}}'),
            ("application/json", '{"refresh_token": 1}'),
            ("application/json", "[" * 10_000),
            ("application/json", '{"x": "' + "y" * 16_400 + '"}'),
            ("application/x-www-form-urlencoded", f"refresh_token={token}&refresh_token=x"),
            ("application/x-www-form-urlencoded", "a=b"),
            ("application/x-www-form-urlencoded", "refresh_token=%ff"),
            ("text/plain", f'{{"refresh_token": "{token}"}}'),
            ("multipart/form-data; boundary=x", "--x--"),
        ]
    )
    return [("content-type", kind)], body.encode()


def request_of(draw: Random, cast: Cast) -> Asked:
    method, path = draw.choice(ROUTES)
    if draw.random() < 0.5:
        method, path = draw.choice(["GET", "GET", "POST", "DELETE"]), draw.choice(GUARDED)
    _, _, session_id = cast[draw.choice(["good", "old", "bob", "revoked", "nonsense"])]
    path = path.replace("{id}", session_id)
    headers: Pairs = [("host", "app.example")]
    headers += draw.choice(SITES) if draw.random() < 0.7 else SITES[1]
    state = draw.choice(STATES)
    transport = draw.choice(["bearer", "cookie", "cookie", "body", "both"])
    body = b""
    if state != "none":
        access, refresh, _ = cast[state]
        if transport in ("bearer", "both"):
            headers += authorization_of(draw, access)
        if transport in ("cookie", "both"):
            headers += cookies_of(draw, access, refresh)
        if transport == "body" and method == "POST":
            more, body = body_of(draw, refresh)
            headers += more
    if draw.random() < 0.1:
        headers.append(("if-none-match", draw.choice(["*", '"x"'])))
    draw.shuffle(headers)
    if draw.random() < 0.06:
        method, path = draw.choice(["GET", "GET", "POST"]), "/.well-known/jwks.json"
        headers += draw.choice([[], [("if-none-match", "*")]])
    return Asked(method, path, headers, body)


@pytest.fixture
def applications(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Application]]:
    made = {name: make() for name, make in APPLICATIONS.items()}
    yield made
    for application in made.values():
        application.close()


def test_all_frameworks_answer_alike(
    applications: dict[str, Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes: Counter[tuple[str, int]] = Counter()
    for number in range(ROUNDS):
        replies = {}
        for name, application in applications.items():
            source = Random(f"{SEED} {number} bytes")
            monkeypatch.setattr(refresh_tokens, "random_bytes", source.randbytes)
            application.clock.advance(10)
            asked = request_of(Random(f"{SEED} {number}"), cast_of(application))
            replies[name] = (asked, application.send(asked))
        expected = replies["starlette"]
        different = {name: reply for name, reply in replies.items() if reply != expected}
        assert not different, f"request {number} of seed {SEED}, starlette: {expected}"
        asked, reply = expected
        outcomes[asked.path.partition("sessions/")[0], reply.status] += 1
    # What was drawn has met what there is to meet.
    for path in GUARDED[:3]:
        assert {status for at, status in outcomes if at == path} >= {200, 400, 401, 403}
    assert {status for at, status in outcomes if at == "/session/refresh"} == {200, 400, 401, 403}
    assert {status for at, status in outcomes if at == "/session/logout"} >= {204, 400, 403}
    assert {status for at, status in outcomes if at == "/session/"} >= {204, 404, 401, 403}
    assert {status for at, status in outcomes if at == "/login"} == {200, 403}
    assert {status for at, status in outcomes if at == "/session/jwks"} == {200, 304}
    well_known = {status for at, status in outcomes if at == "/.well-known/jwks.json"}
    assert well_known == {200, 304, 405}
