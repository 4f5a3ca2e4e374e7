"""Who gets the public keys at ``/.well-known/jwks.json``, and when, in every framework."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

import pytest

from tests.support import SECRET, secret_of
from tests.web.differential import APPLICATIONS, Application, Asked, Pairs, Reply
from tests.web.gates import ACCESS, REFRESH
from tokenwheel import Key, KeySet, StorageUnavailable
from tokenwheel.keys import LivingKeySet
from tokenwheel.web.well_known import keys_or_none

PATH = "/.well-known/jwks.json"
HOST: Pairs = [("host", "app.example")]
Make = Callable[..., Application]


@pytest.fixture(params=APPLICATIONS.values(), ids=APPLICATIONS)
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Return what makes the application of a framework, with the manager's options."""
    made: list[Application] = []

    def make(**options: Any) -> Application:
        made.append(request.param(**options))
        return made[-1]

    yield make
    for application in made:
        application.close()


class Followed(LivingKeySet):
    """A key set whose publication the test decides upon."""

    __slots__ = ("published",)

    def look(self) -> None:
        """See nothing new."""

    def jwks(self) -> dict[str, Any]:
        if self.published is None:
            raise StorageUnavailable("the keys could not be read so far")
        published: dict[str, Any] = self.published
        return published


def get(application: Application, *headers: tuple[str, str], method: str = "GET") -> Reply:
    return application.send(Asked(method, PATH, [*HOST, *headers], b""))


def header(reply: Reply, name: str) -> str | None:
    return dict(reply.headers).get(name)


def test_everybody_gets_the_public_keys_and_may_keep_them_for_five_minutes(make: Make) -> None:
    application = make()
    expired = application.call("create", access_ttl=1, subject="ann")
    application.clock.advance(100)
    good = application.call("create", subject="ann").access_token
    replies = [
        get(application),
        get(application, ("authorization", f"Bearer {good}")),
        get(application, ("authorization", "Bearer nonsense")),
        get(application, ("authorization", "Bearer")),
        get(application, ("cookie", f"{ACCESS}={expired.access_token}")),
        get(application, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")),
    ]
    assert replies == [replies[0]] * len(replies)
    status, headers, body = replies[0]
    assert status == 200
    assert json.loads(body) == application.manager.jwks() != {"keys": []}
    assert {name for name, _ in headers} == {"cache-control", "content-type", "etag"}
    assert header(replies[0], "cache-control") == "public, max-age=300"
    assert header(replies[0], "content-type") == "application/jwk-set+json"


def test_whoever_has_the_keys_is_told_so_in_short(make: Make) -> None:
    application = make()
    tag = header(get(application), "etag")
    assert tag is not None
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        reply = get(application, ("if-none-match", known))
        assert (reply.status, reply.body, header(reply, "etag")) == (304, b"", tag)
    assert get(application, ("if-none-match", '"x"')).status == 200


def test_the_keys_can_only_be_read(make: Make) -> None:
    application = make()
    assert get(application, method="HEAD").status == 200
    for method in ("POST", "PUT", "DELETE"):
        reply = get(application, method=method)
        assert (reply.status, json.loads(reply.body)["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "keys",
    [
        SECRET,
        KeySet(Key.from_jwk(Key.generate("ES256").to_jwk())),
        KeySet(Key.from_secret(SECRET), Key.from_secret(secret_of("old"), kid="old")),
    ],
    ids=["a shared secret", "public keys of another service", "shared secrets"],
)
def test_a_service_whose_tokens_no_public_key_verifies_has_nothing_there(
    make: Make, keys: Any
) -> None:
    application = make(keys=keys)
    reply = get(application)
    missing = application.send(Asked("GET", "/nothing/here", HOST, b""))
    if missing.status == 404:
        assert (reply.status, header(reply, "etag")) == (404, None)
        assert get(application, method="POST").status == 404
    else:  # The middleware of Starlette's application lets nobody in who is not signed in.
        assert reply == missing
        token = application.call("create", subject="a").access_token if keys is SECRET else "x"
        signed_in = get(application, ("authorization", f"Bearer {token}"))
        assert signed_in.status == (404 if keys is SECRET else 401)


def test_a_service_that_verifies_by_the_keys_of_another_has_nothing_there_before_they_come(
    make: Make,
) -> None:
    keys = Followed(Key.from_jwk(Key.generate("ES256").to_jwk()))
    keys.published = None
    assert get(make(keys=keys)).status in {404, 401}


def test_keys_that_could_not_be_read_so_far_are_a_problem_to_try_again(make: Make) -> None:
    keys = Followed(Key.generate("ES256"))
    keys.published = None
    application = make(keys=keys)
    for path in (PATH, "/session/jwks"):
        reply = application.send(Asked("GET", path, HOST, b""))
        assert (reply.status, json.loads(reply.body)["code"]) == (503, "storage_unavailable")
        assert header(reply, "retry-after") == "1"
        assert header(reply, "cache-control") == "no-store"


def test_a_change_of_the_keys_is_told_at_once(make: Make) -> None:
    keys = KeySet(Key.generate("ES256"))
    application = make(keys=keys)
    first = get(application)
    keys.add(Key.generate("EdDSA", kid="next"))
    second = get(application)
    assert [key["kid"] for key in json.loads(second.body)["keys"]].count("next") == 1
    assert header(first, "etag") != header(second, "etag")
    keys.remove("next")
    assert get(application) == first


def test_a_new_time_of_the_set_is_another_etag(make: Make) -> None:
    keys = Followed(Key.generate("ES256"))
    keys.published = {"keys": [Key.to_jwk(key) for key in keys], "tokenwheel_updated_at": 1}
    application = make(keys=keys)
    first = get(application)
    keys.published = {**keys.published, "tokenwheel_updated_at": 2}
    second = get(application)
    assert json.loads(second.body) == keys.published
    assert header(first, "etag") != header(second, "etag")


def test_processes_which_have_the_keys_in_another_order_answer_alike(make: Make) -> None:
    keys = [Key.generate("ES256"), Key.generate("EdDSA"), Key.generate("RS256")]
    assert get(make(keys=KeySet(*keys))) == get(make(keys=KeySet(*reversed(keys))))


def test_asking_for_the_keys_renews_no_session(make: Make) -> None:
    application = make(renew=lambda session: {})
    tokens = application.call("create", access_ttl=1, subject="ann")
    application.clock.advance(100)
    pair = f"{ACCESS}={tokens.access_token}; {REFRESH}={tokens.refresh_token}"
    reply = get(application, ("cookie", pair), ("sec-fetch-site", "same-origin"))
    assert (reply.status, header(reply, "set-cookie")) == (200, None)
    assert header(reply, "cache-control") == "public, max-age=300"
    application.clock.advance(100)  # After the grace, so that it would be refused as used.
    assert application.call("update", tokens.refresh_token) is not None


def test_the_path_is_told_exactly(make: Make) -> None:
    application = make()
    for path in (f"{PATH}/", f"/x{PATH}", PATH.upper(), "/.well-known/jwks"):
        assert application.send(Asked("GET", path, HOST, b"")).status in {404, 401}, path


def test_what_is_refused_by_its_method_names_those_that_there_are() -> None:
    """A 405 has ``Allow`` (RFC 9110, section 15.5.6)."""
    application = APPLICATIONS["flask"]()
    answer = keys_or_none(application.gate, "POST", None)
    application.close()
    assert answer is not None
    assert dict(answer.headers)["Allow"] == "GET, HEAD"
    assert answer.status == HTTPStatus.METHOD_NOT_ALLOWED


def test_a_preflight_is_left_to_the_application(make: Make) -> None:
    application = make()
    reply = get(application, method="OPTIONS")
    assert reply == application.send(Asked("OPTIONS", "/nothing/here", HOST, b""))
