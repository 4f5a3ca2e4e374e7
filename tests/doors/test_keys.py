"""Every public call of keys and sets of keys, with whatever a caller may hand in.

Invariant: what counts as a text, octets, a mapping or a sequence is taken for its characters, its
octets, its items at one look, and the key is the same as that of the plain value. Anything else is
refused by an error of the library's own, and the set is what it was.

Calls and parameters are found by ``inspect``: a new one needs a line in ``CALLS``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from tests.liars import Impostor, Octets, Text
from tests.support import secret_of
from tokenwheel import (
    ConfigurationError,
    InvalidAccessToken,
    InvalidArgument,
    Key,
    KeySet,
    SessionManager,
    TokenwheelError,
)
from tokenwheel.exact import type_name_of

from .guises import HOSTILE, Pick, disguised, hostile, pick_from
from .worlds import plain_parts

EC = Key.generate("ES256", kid="ec")
SHARED = Key.from_secret(secret_of("shared"), kid="shared")
PASSWORD = secret_of("password", 12)
ENCRYPTED = EC._private.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.BestAvailableEncryption(PASSWORD.encode()),
)
JWK = EC.to_jwk(private=True) | {"key_ops": ["sign", "verify"], "x5c": []}
JWKS = {"keys": [JWK, SHARED.to_jwk(private=True)], "more": {"a": [1, None]}}


def _set() -> KeySet:
    return KeySet(EC, SHARED)


def subscriber() -> None:
    """Hear of changes. A set holds it weakly, so it must live on."""


# What makes the object that each call is made on, and what each of its parameters is given.
CALLS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "Key.from_secret": (
        lambda: Key,
        {"secret": secret_of("a").encode(), "algorithm": "HS256", "kid": "k"},
    ),
    "Key.from_pem": (
        lambda: Key,
        {"pem": ENCRYPTED, "algorithm": "ES256", "kid": "k", "password": PASSWORD},
    ),
    "Key.from_jwk": (lambda: Key, {"jwk": JWK, "algorithm": "ES256", "kid": "k"}),
    "Key.generate": (lambda: Key, {"algorithm": "ES256", "kid": "k"}),
    "Key.sign": (lambda: SHARED, {"message": b"message"}),
    "Key.verify": (
        lambda: EC,
        {"message": b"message", "signature": EC.sign(b"message")},
    ),
    "Key.public": (lambda: EC, {}),
    "Key.to_jwk": (lambda: EC, {"private": True}),
    "Key.to_pem": (lambda: EC, {"private": True}),
    "KeySet": (lambda: None, {"keys": SHARED, "signing": "shared"}),
    "KeySet.from_secret": (
        lambda: KeySet,
        {"secret": secret_of("a"), "algorithm": "HS256", "kid": "k"},
    ),
    "KeySet.from_pem": (
        lambda: KeySet,
        {"pem": ENCRYPTED.decode(), "algorithm": "ES256", "kid": "k", "password": PASSWORD},
    ),
    "KeySet.from_jwk": (lambda: KeySet, {"jwk": JWK, "algorithm": "ES256", "kid": "k"}),
    "KeySet.from_jwks": (
        lambda: KeySet,
        {"jwks": JWKS, "signing": "shared", "algorithms": ["HS256", "ES256"]},
    ),
    "KeySet.add": (_set, {"key": Key.generate("HS256", kid="new"), "sign": True}),
    "KeySet.sign_with": (_set, {"kid": "shared"}),
    "KeySet.remove": (_set, {"kid": "shared"}),
    "KeySet.jwks": (_set, {}),
    "KeySet.subscribe": (_set, {"callback": subscriber}),
    "KeySet.__contains__": (_set, {"kid": "shared"}),
}
DOORS = [(call, name) for call, (_, arguments) in CALLS.items() for name in arguments]


def _call(call: str, target: Any, arguments: dict[str, Any]) -> Any:
    if call == "KeySet":
        return KeySet(EC, arguments["keys"], signing=arguments["signing"])
    if call == "KeySet.__contains__":
        return arguments["kid"] in target
    return getattr(target, call.rpartition(".")[2])(**arguments)


def _told(answer: Any) -> Any:
    """Return what can be compared of a key, of a set, or of what they answer."""
    if isinstance(answer, KeySet):
        signing = None if answer.signing is None else answer.signing.kid
        return [[_told(key) for key in answer], signing]
    if isinstance(answer, Key):
        assert plain_parts([answer.kid, answer.algorithm, answer._secret])
        parts = answer.to_jwk(private=True) if answer._secret else answer.to_jwk()
        return [answer.kid, answer.algorithm, answer.can_sign, parts]
    assert plain_parts(answer)
    return answer


def test_every_call_of_keys_and_key_sets_is_driven() -> None:
    """A new call or parameter needs a line in ``CALLS``."""
    found = {"KeySet": [*inspect.signature(KeySet).parameters]}
    for kind in (Key, KeySet):
        for name, method in inspect.getmembers(kind, callable):
            if (name.startswith("_") and name != "__contains__") or name == "renew":  # after a fork
                continue
            parameters = [*inspect.signature(method).parameters]
            found[f"{kind.__name__}.{name}"] = [each for each in parameters if each != "self"]
    assert found == {call: [*arguments] for call, (_, arguments) in CALLS.items()}


def _disguise(name: str, value: Any, pick: Pick) -> Any:
    """Disguise a value; a JSON object may also come as its text or the octets of that."""
    spelling = pick(["mapping", "text", "octets"]) if name in ("jwk", "jwks") else "as it is"
    if spelling in ("text", "octets"):
        value = json.dumps(value)
    return disguised(value.encode() if spelling == "octets" else value, pick)


@given(data=st.data(), call=st.sampled_from([*CALLS]))
def test_an_argument_under_another_guise_gives_the_same_key(data: st.DataObject, call: str) -> None:
    target, arguments = CALLS[call]
    expected, answered = target(), target()
    plain = _told(_call(call, expected, arguments))
    given_arguments = {
        name: _disguise(name, value, pick_from(data)) for name, value in arguments.items()
    }
    answer = _told(_call(call, answered, given_arguments))
    if call.endswith("generate"):  # another key each time
        answer, plain = answer[:3], plain[:3]
    assert answer == plain
    assert _told(answered) == _told(expected) if isinstance(answered, KeySet) else True


@given(door=st.sampled_from(DOORS), name=st.sampled_from([*HOSTILE]))
def test_a_hostile_argument_is_refused_and_the_set_is_what_it_was(
    door: tuple[str, str], name: str
) -> None:
    call, parameter = door
    make, arguments = CALLS[call]
    target = make()
    before = _told(target) if isinstance(target, KeySet) else None
    try:
        answer = _call(call, target, arguments | {parameter: hostile(name)})
    except TokenwheelError as error:
        words = f"{error} {error.__cause__!r}"
        for secret in (secret_of("a"), secret_of("shared"), PASSWORD, JWK["d"]):
            assert secret not in words
        assert before is None or _told(target) == before
    else:
        _told(answer)


@pytest.mark.long
@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_each_hostile_argument_at_each_door(door: tuple[str, str]) -> None:
    try_it = test_a_hostile_argument_is_refused_and_the_set_is_what_it_was.hypothesis.inner_test
    for name in HOSTILE:
        try_it(door, name)


MEMBERS = ["kty", "crv", "x", "y", "d", "alg", "use", "kid", "key_ops", "n", "e", "k", "oth"]


@given(name=st.sampled_from([*HOSTILE]), member=st.sampled_from(MEMBERS), data=st.data())
def test_a_hostile_member_of_a_jwk_is_refused_or_makes_no_other_key(
    name: str, member: str, data: st.DataObject
) -> None:
    jwk = data.draw(st.sampled_from([JWK, EC.to_jwk(), SHARED.to_jwk(private=True)]))
    expected = Key.from_jwk(jwk)
    for read in (Key.from_jwk, lambda jwk: next(iter(KeySet.from_jwks({"keys": [jwk]})))):
        made: Any = None
        with suppress(ConfigurationError):
            made = read({**jwk, member: hostile(name)})
        if made is None:
            continue
        assert (made.algorithm, made._public or made._secret) == (
            expected.algorithm, expected._public or expected._secret
        )  # fmt: skip
        assert member == "kid" or made.kid == expected.kid


@pytest.mark.parametrize("kid", ["shared", Text("shared")])
def test_a_kid_counts_by_its_characters_wherever_it_names_a_key(kid: Any) -> None:
    keys = KeySet(EC, SHARED)
    assert kid in keys
    keys.sign_with(kid)
    assert keys.signing is SHARED
    keys.sign_with(Text("ec"))
    keys.remove(kid)
    assert kid not in keys
    assert KeySet(EC, SHARED, signing=kid).signing is SHARED


def test_what_is_no_kid_is_in_no_set() -> None:
    keys = KeySet(EC, SHARED)
    for other in ([], {}, 7, b"shared", object(), SHARED, None, Impostor(str)):
        assert other not in keys
    assert None in KeySet(Key.from_secret(secret_of("a")))


def test_a_second_secret_without_a_kid_is_told_to_be_given_one() -> None:
    first, second = (Key.from_secret(secret_of(name)) for name in ("first", "second"))
    reason = r"a shared secret has no kid of its own: .*Key\.from_secret\(secret, kid="
    with pytest.raises(ConfigurationError, match=f"at most one may have none. {reason}"):
        KeySet(first, second)
    keys = KeySet(first)
    with pytest.raises(InvalidArgument, match=f"a key without kid already. {reason}"):
        keys.add(second)
    assert [*keys] == [first]
    keys.add(Key.from_secret(secret_of("second"), kid="2030-01"), sign=True)
    assert len(keys) == 2


def test_two_keys_of_one_kid_are_not_told_of_shared_secrets() -> None:
    with pytest.raises(ConfigurationError) as caught:
        KeySet(EC, EC.public())
    assert "shared secret" not in str(caught.value)


@pytest.mark.parametrize("given_key", ["secret", None, [EC], Impostor(Key)], ids=type_name_of)
def test_what_is_no_key_is_named_by_its_type(given_key: Any) -> None:
    kind = type(given_key).__name__
    with pytest.raises(ConfigurationError, match=f"keys must be one or more Key, not {kind}"):
        KeySet(given_key)
    with pytest.raises(InvalidArgument, match=f"key must be a Key, not {kind}"):
        KeySet(EC).add(given_key)


@pytest.mark.parametrize("value", ["text", None, 7, bytearray(b"x"), memoryview(b"x")])
def test_a_message_or_signature_that_is_no_bytes_is_refused(value: Any) -> None:
    for key in (EC, SHARED):
        for call in (
            lambda: key.sign(value),
            lambda: key.verify(value, b""),
        ):
            with pytest.raises(InvalidArgument, match="message must be bytes, not"):
                call()
        with pytest.raises(InvalidArgument, match="signature must be bytes, not"):
            key.verify(b"message", value)
        signature = key.sign(Octets(b"message"))
        assert key.verify(b"message", Octets(signature))


@pytest.mark.parametrize("value", [1, 0, None, "yes", [], Impostor(bool)], ids=type_name_of)
def test_a_private_part_is_given_out_for_true_alone(value: Any) -> None:
    for call in (EC.to_jwk, EC.to_pem):
        with pytest.raises(InvalidArgument, match="private must be a bool, not"):
            call(private=value)
    with pytest.raises(InvalidArgument, match="sign must be a bool, not"):
        KeySet(EC).add(SHARED, sign=value)


def test_a_subscriber_that_raises_keeps_no_manager_from_following() -> None:
    """A key that was removed must not be good where somebody else failed to hear of that."""

    def broken() -> None:
        raise OSError("the subscriber's own")

    keys = KeySet(EC, SHARED)
    keys.subscribe(broken)
    with SessionManager(keys, issuer="i", audience="a") as manager:
        token = manager.create(subject="ann").access_token
        with pytest.raises(OSError, match="the subscriber's own"):
            keys.sign_with("shared")
        with pytest.raises(OSError, match="the subscriber's own"):
            keys.remove("ec")
        with pytest.raises(InvalidAccessToken, match="names no key of this service"):
            manager.read(token)


@pytest.mark.parametrize("callback", [None, 7, "text", Impostor(type)], ids=type_name_of)
def test_what_cannot_be_called_is_no_subscriber(callback: Any) -> None:
    with pytest.raises(InvalidArgument, match="callback must be a callable without arguments"):
        KeySet(EC).subscribe(callback)
