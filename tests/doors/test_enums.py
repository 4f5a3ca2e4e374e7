"""A service that names its subjects, issuer and audience by members of ``class Who(str, Enum)``.

Each counts by its characters and never by its ``__str__``: in the storage, in tokens and at every
later call. Over memory, a file and a server, and over both managers.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, IntEnum, StrEnum
from typing import Any

import jwt
import pytest

from tests.liars import Text
from tests.places import KINDS, PLACES, Place, opened
from tests.support import SECRET, secret_of
from tokenwheel import AccessTokenRevoked, Device, Key, KeySet, SessionContext


class Who(str, Enum):  # noqa: UP042 - what users had before StrEnum, whose str() is "Who.ANN"
    ANN = "ann"
    BOB = "bob"


class Service(str, Enum):  # noqa: UP042
    ISSUER = "https://auth"
    API = "api"
    ADMIN = "admin"


class Algorithm(StrEnum):
    DEFAULT = "HS512"


class Seconds(IntEnum):
    HOUR = 3600


@pytest.fixture(params=KINDS, ids=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=PLACES)
def place(kind: Any, request: pytest.FixtureRequest) -> Iterator[Place]:
    with opened(request.param, kind, request) as opened_place:
        yield opened_place


def test_a_logout_by_the_text_ends_what_a_login_by_an_enum_began(place: Place) -> None:
    assert str(Who.ANN) == "Who.ANN"
    manager = place.open()
    for subject in (Who.ANN, Text("ann"), "ann"):
        tokens = manager.create(subject=subject)
        claims = manager.read(tokens.access_token)
        assert (claims["sub"], type(claims["sub"])) == ("ann", str)
        assert manager.delete_all("ann") == 1
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)


def test_a_logout_by_an_enum_ends_what_a_login_by_the_text_began(place: Place) -> None:
    manager = place.open()
    tokens = manager.create(subject="ann")
    spared = manager.create(subject="bob")
    assert [*manager.read_all(Who.ANN)] == [tokens.session_id]
    assert manager.update(tokens.refresh_token, subject=Who.ANN).session_id == tokens.session_id
    assert manager.delete_one(Who.BOB, tokens.session_id) is False
    manager.restrict_all(Who.ANN)
    assert manager.delete_one(Who.ANN, Text(tokens.session_id)) is True
    with pytest.raises(AccessTokenRevoked):
        manager.read(tokens.access_token)
    assert manager.read(spared.access_token).subject == "bob"


def test_a_service_set_up_with_enums_shares_its_sessions_with_one_set_up_with_texts(
    place: Place,
) -> None:
    secret = secret_of("shared by both", 64)
    by_enums = place.open(
        keys=secret,
        algorithm=Algorithm.DEFAULT,
        issuer=Service.ISSUER,
        audience=[Service.API, Service.ADMIN],
        accept_audience=Service.API,
        access_ttl=Seconds.HOUR,
    )
    by_texts = place.open(
        keys=secret,
        algorithm="HS512",
        issuer="https://auth",
        audience=["api", "admin"],
        accept_audience="api",
        access_ttl=3600,
    )
    for issuing, other in ((by_enums, by_texts), (by_texts, by_enums)):
        tokens = issuing.create({"n": 1}, subject=Who.ANN)
        plain = jwt.decode(
            tokens.access_token, secret, ["HS512"], audience="api", issuer="https://auth"
        )
        assert other.read(tokens.access_token) == plain
        assert plain["exp"] - plain["iat"] == 3600
        assert other.read(tokens.access_token, audience=Service.ADMIN) == plain
        assert other.update(tokens.refresh_token).session_id == tokens.session_id
        assert other.delete_all("ann") == 1
        with pytest.raises(AccessTokenRevoked):
            other.read(tokens.access_token)


def test_a_device_named_by_enums_comes_back_by_its_texts(place: Place) -> None:
    manager = place.open()
    tokens = manager.create(
        subject="ann", context=SessionContext(Who.ANN, Device(Who.ANN, Who.BOB), Text("Rome"))
    )
    session = manager.read_all("ann")[tokens.session_id]
    texts = [session.ip, session.device.name, session.device.type, session.location]
    assert texts == ["ann", "ann", "bob", "Rome"]
    assert {type(text) for text in texts} == {str}
    context = SessionContext(device=Device("ann", "bob"))
    assert manager.update(tokens.refresh_token, context=context).session_id == tokens.session_id


def test_a_key_named_by_an_enum_is_found_by_its_text() -> None:
    keys = KeySet(Key.from_secret(SECRET, kid=Who.ANN), Key.generate("ES256", kid=Who.BOB))
    assert [key.kid for key in keys] == ["ann", "bob"]
    assert {type(key.kid) for key in keys} == {str}
    keys.sign_with("bob")
    keys.remove(Who.ANN)
    assert [*keys] == [keys.signing]
