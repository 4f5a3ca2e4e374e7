"""The verifier: what each read checks and in which order, on both twins.

Attacks belong in ``tests/security``.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jwt
import pytest

from tests.support import KEY, SECRET, FakeClock, base64url, forge, secret_of
from tests.twins.conftest import TWINS
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    InvalidAccessToken,
    InvalidArgument,
    Key,
)
from tokenwheel.json_text import dumps

NOW = 1_700_000_000
Make = Callable[..., Any]


def token(secret: str = SECRET, *, kid: str | None = None, **changes: Any) -> str:
    claims = {
        "iss": "i",
        "aud": ["a", "b"],
        "sub": "uid1",
        "sid": "A" * 16,
        "iat": NOW - 100,
        "exp": NOW + 900,
        **changes,
    }
    return jwt.encode(claims, secret, headers={"typ": "at+jwt", **({"kid": kid} if kid else {})})


def signed(header: Any, claims: Any) -> str:
    """Return a token by the right key, whatever it says, its JSON as terse as the library's own."""
    terse = [part if isinstance(part, bytes) else dumps(part) for part in (header, claims)]
    return forge(terse[1], KEY, terse[0])


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def revocations(load: Callable[[str], ModuleType], clock: FakeClock) -> Any:
    return load("revocations").RevocationTable(clock=clock)


@pytest.fixture(params=[0, 100], ids=["unremembered", "remembered"])
def make(
    request: pytest.FixtureRequest,
    load: Callable[[str], ModuleType],
    clock: FakeClock,
    revocations: Any,
) -> Make:
    def make(*keys: Key, **options: Any) -> Any:
        options = {
            "audience": ("a",),
            "leeway": 0,
            "largest_leeway": 60,
            "clock": clock,
            "revocations": revocations,
            **options,
        }
        return load("verifier").Verifier(
            keys or [KEY], issuer="i", cache_size=request.param, **options
        )

    return make


def test_a_token_is_good_until_the_second_it_expires_and_no_longer(
    make: Make, clock: FakeClock
) -> None:
    verifier = make(leeway=5)
    for exp in (NOW, NOW + 0.5):  # a fraction is left out, as PyJWT does
        clock.now = NOW
        text = token(exp=exp)
        assert verifier.verify(text, leeway=1).expires_at == NOW
        with pytest.raises(AccessTokenExpired):
            verifier.verify(text, leeway=0)
        clock.now = NOW + 4.999
        assert verifier.verify(text).expires_at == NOW
        clock.now = NOW + 5
        with pytest.raises(AccessTokenExpired):
            verifier.verify(text)


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_is_good_from_its_nbf_and_its_iat_on_and_no_earlier(
    make: Make, clock: FakeClock, name: str
) -> None:
    verifier = make(leeway=5)
    text = token(**{name: NOW + 10})
    for now, leeway in ((NOW + 10, 0), (NOW + 5, None), (NOW, 10)):
        clock.now = now
        assert verifier.verify(text, leeway=leeway).subject == "uid1"
        clock.now = now - 0.001
        with pytest.raises(AccessTokenNotYetValid):
            verifier.verify(text, leeway=leeway)


def test_dates_may_be_whole_fractional_or_zero(make: Make) -> None:
    claims = make().verify(token(iat=0, nbf=0.0, exp=NOW + 0.25 + 1))
    assert (claims.issued_at, claims["nbf"], claims.expires_at, claims["exp"]) == (
        0,
        0,
        NOW + 1,
        NOW + 1.25,
    )
    assert make().verify(token(exp=2**53)).expires_at == 2**53


def test_a_subject_has_up_to_255_characters_of_any_script(make: Make) -> None:
    for subject in ("x", "x" * 255, "\U0001f600" * 255, "a:b@c *"):
        assert make().verify(token(sub=subject)).subject == subject


def test_a_generation_is_refused_below_the_lowest_that_is_good(
    make: Make, revocations: Any
) -> None:
    verifier = make()
    tokens = {gen: token(gen=gen) for gen in (0, 1, 7, 2**32 - 2)}
    for gen, text in tokens.items():
        assert verifier.verify(text)["gen"] == gen
    revocations.revoke("A" * 16, 60, before=7)
    for gen, text in tokens.items():
        if gen < 7:
            with pytest.raises(AccessTokenRevoked):
                verifier.verify(text)
        else:
            assert verifier.verify(text)["gen"] == gen
    assert verifier.verify(token(sid="B" * 16)).session_id == "B" * 16


def test_the_checks_come_in_order_audience_then_time_then_revocation(
    make: Make, clock: FakeClock, revocations: Any
) -> None:
    verifier = make()
    text = token()
    verifier.verify(text)
    revocations.revoke("A" * 16, 10_000)
    clock.now = NOW + 900
    with pytest.raises(InvalidAccessToken, match="audience"):
        verifier.verify(text, audience="c")
    with pytest.raises(AccessTokenExpired):
        verifier.verify(text)
    clock.now = NOW - 101
    with pytest.raises(AccessTokenNotYetValid):
        verifier.verify(text)
    clock.now = NOW
    with pytest.raises(AccessTokenRevoked):
        verifier.verify(text)


def test_news_of_a_revocation_is_taken_in_before_the_very_read(
    make: Make, revocations: Any
) -> None:
    verifier = make()
    text = token()
    verifier.verify(text)
    revocations.before_lookup = lambda: revocations.revoke("A" * 16, 60)
    with pytest.raises(AccessTokenRevoked):
        verifier.verify(text)


def test_what_fails_while_news_is_taken_in_refuses(make: Make, revocations: Any) -> None:
    def fail() -> None:
        raise ConnectionError("the feed is out of reach")

    verifier = make()
    text = token()
    verifier.verify(text)
    revocations.before_lookup = fail
    with pytest.raises(ConnectionError, match="the feed is out of reach"):
        verifier.verify(text)
    revocations.before_lookup = None
    assert verifier.verify(text).subject == "uid1"


def test_a_revocation_ends_by_the_clock_of_its_list(
    load: Callable[[str], ModuleType], make: Make, clock: FakeClock
) -> None:
    other = FakeClock(5_000)
    revocations = load("revocations").RevocationTable(clock=other)
    verifier = make(revocations=revocations)
    text = token()
    revocations.revoke("A" * 16, 60)
    clock.advance(300)
    with pytest.raises(AccessTokenRevoked):
        verifier.verify(text)
    other.advance(60)
    assert verifier.verify(text).subject == "uid1"


def test_texts_of_quotes_colons_and_backslashes_are_read_as_they_are_and_hide_no_second_name(
    make: Make,
) -> None:
    """How many names a text has is counted in the text itself.

    These characters are what could be miscounted there.
    """
    verifier = make()
    header, good = (
        {"alg": "HS256", "typ": "at+jwt"},
        dumps(dict(verifier.verify(token())))[:-1],
    )
    for length in range(1, 5):
        for characters in itertools.product('":\\a', repeat=length):
            text = "".join(characters)
            name, value = dumps(f"x{text}"), dumps(text)
            claims = verifier.verify(signed(header, b"%s,%s:%s}" % (good, name, value)))
            assert claims[f"x{text}"] == text
            with pytest.raises(InvalidAccessToken, match="not one well-formed"):
                verifier.verify(signed(header, b"%s,%s:%s,%s:1}" % (good, name, value, name)))


def test_one_of_the_accepted_audiences_is_enough_and_one_read_may_ask_for_others(
    make: Make,
) -> None:
    verifier = make(audience=("x", "b"))
    assert verifier.verify(token()).subject == "uid1"
    assert verifier.verify(token(aud="x"))["aud"] == "x"
    assert verifier.verify(token(aud="c"), audience=["d", "c"])["aud"] == "c"
    assert verifier.verify(token(aud="c"), audience=("c",))["aud"] == "c"
    for audience in ("A", "a ", "ab", ["ab", "c"]):
        with pytest.raises(InvalidAccessToken, match="another audience"):
            verifier.verify(token(), audience=audience)
    with pytest.raises(InvalidAccessToken, match="another audience"):
        verifier.verify(token(aud=["a", "c"]))


@pytest.mark.parametrize(
    "audience",
    ["", [], (), [""], ["a", ""], ["a", None], [7], 7, b"a", {"a"}, {"a": 1}, NotImplemented],
    ids=repr,
)
def test_an_audience_that_is_none_is_the_callers_mistake(make: Make, audience: Any) -> None:
    verifier = make()
    for _ in range(2):
        with pytest.raises(InvalidArgument, match="audience"):
            verifier.verify(token(), audience=audience)


@pytest.mark.parametrize(
    "leeway",
    [
        -1,
        -0.001,
        60.001,
        61,
        10**400,
        float("nan"),
        float("inf"),
        float("-inf"),
        True,
        False,
        "1",
        [1],
    ],
    ids=repr,
)
def test_cve_2026_107721_a_leeway_without_end_is_the_callers_mistake(
    make: Make, leeway: Any
) -> None:
    """fast-jwt took an infinite tolerance, which made tokens good for ever, also in its cache."""
    verifier = make()
    expired = token(exp=NOW - 30)
    assert verifier.verify(expired, leeway=31).subject == "uid1"
    with pytest.raises(InvalidArgument, match="leeway must be a number of seconds from 0 to 60"):
        verifier.verify(expired, leeway=leeway)
    with pytest.raises(AccessTokenExpired):
        verifier.verify(expired)


def test_keys_are_told_apart_by_their_kid_and_leave_when_they_are_taken_away(make: Make) -> None:
    secrets = {"old": secret_of("old"), "new": secret_of("new")}
    keys = {kid: Key.from_secret(secret, kid=kid) for kid, secret in secrets.items()}
    verifier = make(*keys.values())
    tokens = {kid: token(secret, kid=kid) for kid, secret in secrets.items()}
    for kid, secret in secrets.items():
        assert verifier.verify(tokens[kid]).subject == "uid1"
        with pytest.raises(InvalidAccessToken, match="names no key of this service"):
            verifier.verify(token(secret))
    verifier.set_keys([keys["new"]])
    assert verifier.verify(tokens["new"]).subject == "uid1"
    with pytest.raises(InvalidAccessToken, match="names no key of this service"):
        verifier.verify(tokens["old"])


@pytest.mark.parametrize(
    "header, reason",
    [
        ({"kid": "unknown"}, "names no key"),
        ({"kid": None}, "names no key"),
        ({"kid": ""}, "names no key"),
        ({"kid": 0}, "names no key"),
        ({"kid": []}, "names no key"),
        ({"alg": "HS384"}, "'alg' is not that of its key"),
        ({"typ": "JWT"}, "'typ' is another"),
        ({"crit": ["exp"]}, "extension"),
        ({"crit": None}, "extension"),
        ({"b64": True}, "extension"),
    ],
    ids=str,
)
def test_a_header_is_refused_for_what_it_says_however_good_the_signature(
    make: Make, header: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidAccessToken, match=reason):
        make().verify(
            signed({"alg": "HS256", "typ": "at+jwt", **header}, {**make().verify(token())})
        )


def test_a_header_cut_short_is_none_of_ours(make: Make) -> None:
    whole = token().partition(".")[0]
    payload = token().split(".")[1]
    for length in range(1, len(whole)):
        text = f"{whole[:length]}.{payload}"
        with pytest.raises(InvalidAccessToken, match=r"header is not|not canonical"):
            make().verify(f"{text}.{base64url(KEY.sign(text.encode()))}")


@pytest.mark.parametrize(
    "claims, reason",
    [
        ([], "not one well-formed JSON object"),
        ({}, "another issuer"),
        ({"iss": "i"}, "'aud' is missing or malformed"),
        ({"iss": "i", "aud": "a"}, "'sub' is missing or malformed"),
        ({"iss": "i", "aud": "a", "sub": "u"}, "'sid' is missing or malformed"),
        ({"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "gen": -1}, "'gen' is malformed"),
        ({"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "jti": 7}, "'jti' is malformed"),
        (
            {"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "iat": 1},
            "'exp' is missing or malformed",
        ),
        (
            {"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "exp": 1},
            "'iat' is missing or malformed",
        ),
        (
            {"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "iat": 1, "exp": 1, "nbf": None},
            "'nbf' is missing or malformed",
        ),
    ],
    ids=str,
)
def test_claims_are_refused_for_the_first_of_them_that_is_wrong(
    make: Make, claims: Any, reason: str
) -> None:
    with pytest.raises(InvalidAccessToken, match=reason):
        make().verify(signed({"alg": "HS256", "typ": "at+jwt"}, claims))


def test_a_clock_that_fails_is_heard_of_and_spoils_nothing(make: Make, revocations: Any) -> None:
    clock = iter([NOW, ZeroDivisionError(), NOW])

    def fail_once() -> float:
        now = next(clock)
        if isinstance(now, Exception):
            raise now
        return now

    verifier = make(clock=fail_once, revocations=revocations)
    text = token()
    assert verifier.verify(text).subject == "uid1"
    with pytest.raises(ZeroDivisionError):
        verifier.verify(text)
    assert verifier.verify(text).subject == "uid1"


def test_its_repr_counts_and_shows_nothing_it_knows(make: Make) -> None:
    verifier = make()
    text = token()
    verifier.verify(text)
    assert f"<Verifier with 1 keys, {verifier.remembered} tokens remembered>" == repr(verifier)


def test_a_clock_that_tells_no_time_makes_no_token_good(make: Make) -> None:
    with pytest.raises(InvalidArgument, match="a clock must return a number of seconds"):
        make(clock=lambda: float("nan")).verify(token())


def test_it_is_neither_copied_nor_pickled(make: Make) -> None:
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            attempt(make())


@pytest.mark.parametrize("implementation", TWINS)
def test_json_is_read_of_the_header_and_then_of_nothing_whose_signature_is_bad(
    implementation: str,
) -> None:
    """The compiled twin takes hold of the JSON reader when it is imported.

    So the spy must be there first.
    """
    script = f"""
import time, types
import msgspec.json
read, real = [], msgspec.json.decode
spy = types.SimpleNamespace(decode=lambda text: read.append(text) or real(text))
msgspec.json.Decoder = lambda: spy
import jwt
from tokenwheel import InvalidAccessToken, Key
from tokenwheel._{implementation}.revocations import RevocationTable
from tokenwheel._{implementation}.verifier import Verifier
key = Key.from_secret({SECRET!r})
options = {{"leeway": 0, "largest_leeway": 0, "cache_size": 9, "clock": time.time}}
options["revocations"] = RevocationTable()
verify = Verifier([key], issuer="i", audience=("a",), **options).verify
claims = {{"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "iat": 1, "exp": 4_000_000_000}}
claims["ratio"] = 0.5  # Without it, the compiled twin would need no reader of JSON.
read.clear()
header, payload, signature = jwt.encode(claims, {SECRET!r}, headers={{"typ": "at+jwt"}}).split(".")
for bad in ("A" * 43, signature[:-4] + "AAAA", signature + "AAAA"):
    try:
        verify(f"{{header}}.{{payload}}.{{bad}}")
    except InvalidAccessToken:
        pass
assert all(b"iss" not in text for text in read), read
verify(f"{{header}}.{{payload}}.{{signature}}")
assert any(b"iss" in text for text in read), read
"""
    subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_however_a_text_came_about_it_is_the_same_token(make: Make) -> None:
    class Text(str):
        __slots__ = ()

    verifier, text = make(), token()
    for same in (
        text,
        (text + "x")[:-1],
        ("😀" + text)[1:],
        "".join(text),
        text.encode().decode("latin-1"),
        Text(text),
    ) * 2:
        assert verifier.verify(same).subject == "uid1"
    for other in (
        text[:-1] + "é",
        text[:-1] + "Ł",
        text[:-1] + "😀",
        text + "\ud800",
        Text("é" + text),
    ):
        with pytest.raises(InvalidAccessToken, match="not canonical base64url"):
            verifier.verify(other)


def test_each_character_of_a_payload_that_is_no_digit_is_told_wherever_it_stands(
    make: Make,
) -> None:
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    verifier, (header, payload, signature) = make(), token().encode().split(b".")
    for place in range(37):  # two blocks of 16 digits, and some of the rest
        # From the end, but not the last digit, in which not all bits count.
        for octet in set(range(256)) - {payload[-2 - place], ord(".")}:
            changed = bytearray(payload)
            changed[-2 - place] = octet
            is_digit = chr(octet) in digits
            message = "signature is not by a key" if is_digit else "not canonical base64url"
            with pytest.raises(InvalidAccessToken, match=message):
                verifier.verify(b".".join([header, bytes(changed), signature]))


@pytest.mark.parametrize("size", range(1, 50))
def test_a_payload_of_each_length_reads_as_it_was_signed(make: Make, size: int) -> None:
    text = "".join(chr(0x20 + place * 7 % 95) for place in range(size))
    text = text.replace('"', "!").replace("\\", "!")
    claims = {"iss": "i", "aud": ["a"], "sub": text, "sid": "A" * 16, "iat": NOW, "exp": NOW + 9}
    for value in (text, [text, text], text + "\x7f", text + '"'):
        given = {**claims, "note": value, text: 1}
        known = make().verify(signed({"alg": "HS256", "typ": "at+jwt"}, given))
        assert known.subject == text
        assert known.to_dict() == given


FAKED_BEFORE = """
import time
time.time = lambda: {now}
time.monotonic = lambda: {now}
from tokenwheel._{implementation}.cache import ExpiringCache
from tokenwheel._{implementation}.revocations import RevocationTable
from tokenwheel._{implementation}.verifier import Verifier
from tokenwheel import AccessTokenNotYetValid, Key
import jwt
options = {{"leeway": 0, "largest_leeway": 0, "cache_size": 9, "clock": time.time}}
options["revocations"] = RevocationTable()
verify = Verifier([Key.from_secret({SECRET!r})], issuer="i", audience=("a",), **options).verify
claims = {{"iss": "i", "aud": "a", "sub": "u", "sid": "A" * 16, "iat": 1000, "exp": 1001}}
verify(jwt.encode(claims, {SECRET!r}, headers={{"typ": "at+jwt"}}))
cache = ExpiringCache()
cache.set("one", 1, 60)
assert cache.ttl("one") == 60
"""


def test_a_clock_that_was_replaced_before_is_the_one_that_counts(implementation: str) -> None:
    """Where the clock is Python's own, the compiled twin reads it without asking Python.

    A test's fake clock must not be passed by.
    """
    script = FAKED_BEFORE.format(now=1000.5, implementation=implementation, SECRET=SECRET)
    subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TOKENWHEEL_IMPL": implementation},
        check=True,
    )


def test_what_tokens_have_in_common_is_changed_by_nobody(make: Make) -> None:
    verifier = make()
    texts = [token(sub=f"u{number}", aud=["a", "b"]) for number in range(3)]
    for text in (*texts, *texts):
        claims = verifier.verify(text)
        assert claims["aud"] == claims.to_dict()["aud"] == ["a", "b"]
        claims["aud"].append("c")
        claims.to_dict()["aud"].clear()
    assert verifier.verify(token(aud=["b", "a"]))["aud"] == ["b", "a"]
    assert verifier.verify(token(aud="a"))["aud"] == "a"
    assert [verifier.verify(text)["aud"] for text in texts] == [["a", "b"]] * 3


def test_verify_tells_its_parameters_and_what_it_does(make: Make) -> None:
    verify = make().verify
    assert [*inspect.signature(verify).parameters] == ["access_token", "audience", "leeway"]
    assert verify.__doc__.startswith("Return the claims of an access token that is valid now.")
