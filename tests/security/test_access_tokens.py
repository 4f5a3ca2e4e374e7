"""Attacks on access tokens (RFC 8725, RFC 7515, advisories of peers).

Each is named after what is tried and has the forged token in it. Each must end in
InvalidAccessToken: no crash, no other error, and nothing of the token in what the error carries.
"""

from __future__ import annotations

import hmac
import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.support import CLAIMS, base64url, forge, refused, with_claims
from tests.twins.conftest import TWINS
from tokenwheel import Key

from .conftest import EC, ED, HMAC, NAMED, RSA

MALFORMED_SIGNATURE = "not canonical base64url|signature is not by a key|came with white space"
MALFORMED_TOKEN = (
    "not canonical base64url|has three parts|signature is not by a key|"
    "came with (white space|'Bearer')"
)


def test_tokens_made_as_this_service_makes_them_are_good(read: Callable[..., Any]) -> None:
    for key in (HMAC, NAMED, RSA, EC, ED):
        assert read(forge(key=key)).to_dict() == CLAIMS


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, 0, [], "HS256 ", "hs256"]
)
def test_alg_none_in_any_spelling(read: Callable[..., Any], alg: Any) -> None:
    unsigned = (
        f"{base64url(json.dumps({'alg': alg, 'typ': 'at+jwt'}))}.{base64url(json.dumps(CLAIMS))}"
    )
    refused(read, f"{unsigned}.", "not canonical base64url")
    refused(read, unsigned, "has three parts")
    for token in (f"{unsigned}.AA", forge(alg=alg)):
        refused(read, token, "'alg' is not that of its key")


def test_cve_2015_9235_a_public_key_as_the_hmac_secret(read: Callable[..., Any]) -> None:
    for public in (RSA, EC, ED):
        for secret in (
            public.to_pem(),
            public.to_pem().strip(),
            json.dumps(public.to_jwk()).encode(),
        ):
            for kid, reason in (
                ({"kid": public.kid}, "'alg' is not that of its key"),
                ({}, "signature is not by a key"),
            ):
                header = {"alg": "HS256", "typ": "at+jwt", **kid}
                signed = f"{base64url(json.dumps(header))}.{base64url(json.dumps(CLAIMS))}"
                signature = hmac.digest(secret, signed.encode(), "sha256")
                refused(read, f"{signed}.{base64url(signature)}", reason)


def test_the_algorithm_is_the_keys_and_is_refused_before_any_cryptography() -> None:
    class Spy:
        algorithm, kid, _secret = "ES256", "ec", None

        def verify(self, message: bytes, signature: bytes) -> bool:
            raise AssertionError("the signature was looked at")

    for name in TWINS:
        module, table = (
            importlib.import_module(f"tokenwheel._{name}.{part}")
            for part in ("verifier", "revocations")
        )
        options = {
            "issuer": "i",
            "audience": ("a",),
            "leeway": 0,
            "largest_leeway": 0,
            "cache_size": 9,
            "clock": time.time,
        }
        read = module.Verifier([Spy()], revocations=table.RevocationTable(), **options).verify
        for alg in ("ES384", "RS256", "HS256", "EdDSA", "none", "ES256K"):
            refused(read, forge(key=EC, alg=alg), "'alg' is not that of its key")
        refused(read, forge(key=EC, typ="JWT"), "'typ' is another")
        refused(read, forge(key=EC, crit=["exp"]), "demands an extension")


def test_a_signature_of_the_same_key_by_another_algorithm(read: Callable[..., Any]) -> None:
    header = {"alg": "RS256", "typ": "at+jwt", "kid": "rsa"}
    signed = ".".join(base64url(json.dumps(part)) for part in (header, CLAIMS))
    for scheme, digest in (
        (padding.PKCS1v15(), hashes.SHA512()),
        (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    ):
        signature = RSA._private.sign(signed.encode(), scheme, digest)
        refused(read, f"{signed}.{base64url(signature)}", "signature is not by a key")


@pytest.mark.parametrize(
    "kid",
    [
        "unknown",
        "",
        "../../../dev/null",
        "' OR 1=1; --",
        "x" * 5000,
        "named\0",
        "NAMED",
        None,
        7,
        ["named"],
        {"a": 1},
        True,
    ],
)
def test_kid_only_indexes_the_keys_in_memory(read: Callable[..., Any], kid: Any) -> None:
    refused(read, forge(key=NAMED, kid=kid), "names no key of this service")


def test_kid_that_names_another_key_or_is_no_unicode(read: Callable[..., Any]) -> None:
    refused(read, forge(key=NAMED, kid="rsa"), "'alg' is not that of its key")
    refused(read, forge(key=NAMED, kid="\ud800"), "header is not one well-formed JSON object")


def test_a_key_without_kid_serves_no_token_that_names_one_and_the_other_way_round(
    read: Callable[..., Any],
) -> None:
    for token in (
        forge(key=HMAC, kid="named"),
        forge(key=NAMED, header={"alg": "HS256", "typ": "at+jwt"}),
    ):
        refused(read, token, "signature is not by a key")


def test_keys_brought_along_by_the_token_are_ignored(read: Callable[..., Any]) -> None:
    mine = Key.generate("ES256", kid="ec")
    brought = {
        "jwk": mine.to_jwk(),
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/cert",
        "x5c": ["MII"],
    }
    refused(read, forge(key=mine, **brought), "signature is not by a key")
    assert read(forge(key=EC, **brought)).subject == "uid1"


@pytest.mark.parametrize(
    "members",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": "exp"},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
    ],
)
def test_cve_2025_59420_an_extension_that_is_not_understood_is_never_skipped(
    read: Callable[..., Any], members: dict[str, Any]
) -> None:
    for key in (HMAC, EC):
        refused(read, forge(key=key, **members), "demands an extension")


@pytest.mark.parametrize(
    "typ",
    [
        "JWT",
        "jwt",
        "at+JWT",
        "AT+JWT",
        "application/at+jwt",
        "at+jwt ",
        "id+jwt",
        "",
        None,
        7,
        ["at+jwt"],
    ],
)
def test_cross_jwt_confusion_another_kind_of_token_by_the_same_key(
    read: Callable[..., Any], typ: Any
) -> None:
    refused(read, forge(typ=typ), "'typ' is another")
    refused(read, forge(header={"alg": "HS256"}), "'typ' is another")


def test_cve_2024_53861_part_of_the_issuer_is_not_the_issuer(read: Callable[..., Any]) -> None:
    for iss in ("", "ii", "i ", "I", ["i"], {"i": 1}, None, 7, True):
        refused(read, forge(with_claims(iss=iss)), "is of another issuer")


@pytest.mark.parametrize(
    "aud", ["", [], [[]], ["a", 1], ["a", ""], ["a", None], [["a"]], {"a": 1}, None, 1, True]
)
def test_an_audience_that_is_none(read: Callable[..., Any], aud: Any) -> None:
    refused(read, forge(with_claims(aud=aud)), "'aud' is missing or malformed")


@pytest.mark.parametrize("aud", ["A", "aa", " a", ["b"]])
def test_aud_matches_exactly_or_not_at_all(read: Callable[..., Any], aud: Any) -> None:
    refused(read, forge(with_claims(aud=aud)), "is for another audience")


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "sid", "iat", "exp"])
def test_a_required_claim_left_out(read: Callable[..., Any], missing: str) -> None:
    left = {name: value for name, value in CLAIMS.items() if name != missing}
    reason = "another issuer" if missing == "iss" else f"'{missing}' is missing or malformed"
    refused(read, forge(left), reason)


@pytest.mark.parametrize("sub", ["", "x" * 256, "a\0b", None, 7, True, ["uid1"], {"a": 1}])
def test_a_subject_of_the_wrong_type_or_size(read: Callable[..., Any], sub: Any) -> None:
    refused(read, forge(with_claims(sub=sub)), "'sub' is missing or malformed")


@pytest.mark.parametrize(
    "sid",
    [
        "",
        "A" * 15,
        "A" * 17,
        "A" * 15 + "=",
        "A" * 15 + "+",
        "A" * 15 + "\n",
        "é" * 16,
        "\u4141" * 16,
        "\u0141" * 16,
        None,
        7,
        True,
        ["A" * 16],
    ],
)
def test_a_session_id_that_is_none(read: Callable[..., Any], sid: Any) -> None:
    refused(read, forge(with_claims(sid=sid)), "'sid' is missing or malformed")


@pytest.mark.parametrize("gen", [-1, 2**32 - 1, 2**64, 1.0, True, "1", None, [], 1e300])
def test_a_generation_that_is_none(read: Callable[..., Any], gen: Any) -> None:
    refused(read, forge(with_claims(gen=gen)), "'gen' is malformed")


@pytest.mark.parametrize(
    "date",
    [
        True,
        False,
        None,
        "9999999999",
        "",
        [],
        {},
        -1,
        -0.5,
        2**53 + 1,
        2**63,
        2**64,
        2**70,
        1e300,
        1e16,
    ],
)
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_a_date_of_the_wrong_type_or_size(read: Callable[..., Any], name: str, date: Any) -> None:
    refused(read, forge(with_claims(**{name: date})), f"'{name}' is missing or malformed")


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0x7fffffff", "01", "1_000", "+1", "1."],
)
def test_a_date_that_is_no_json_number(read: Callable[..., Any], text: str) -> None:
    claims = json.dumps(CLAIMS).replace(str(CLAIMS["exp"]), text)
    refused(read, forge(claims), "claims are not one well-formed JSON object")


def test_a_jti_that_is_no_text(read: Callable[..., Any]) -> None:
    assert read(forge(with_claims(jti="x")))["jti"] == "x"
    for jti in (7, None, [], True):
        refused(read, forge(with_claims(jti=jti)), "'jti' is malformed")


DUPLICATES = [
    lambda text: text.replace('"sub": "uid1"', '"sub": "uid1", "sub": "root"'),
    lambda text: text.replace('"sub": "uid1"', '"sub": "root", "s\\u0075b": "uid1"'),
    lambda text: text.replace('"exp"', '"exp": 1, "exp"'),
    lambda text: text[:-1] + ', "role": "user", "role": "admin"}',
    lambda text: text[:-1] + ', "deep": [{"a": 1, "\\u0061": 2}]}',
    lambda text: text[:-1] + ', "a:b": "c:d", "a:b": "\\":"}',
]


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_duplicate_names_of_which_two_readers_take_different_ones(
    read: Callable[..., Any], duplicate: Callable[[str], str]
) -> None:
    text = duplicate(json.dumps(CLAIMS))
    json.loads(text)
    refused(read, forge(text), "claims are not one well-formed JSON object")


def test_colons_and_quotes_within_texts_are_no_duplicates(read: Callable[..., Any]) -> None:
    claims = with_claims(
        **{"urn:a:b": 'x":"y', 'q"': "\\", "deep": {"a:": [{"b": "::"}, '\\":']}, "é:": "😀:"}
    )
    assert read(forge(claims)).to_dict() == claims
    assert read(forge(json.dumps(claims, ensure_ascii=False))).to_dict() == claims


def test_duplicate_names_in_the_header(read: Callable[..., Any]) -> None:
    for header in (
        '{"alg":"none","alg":"HS256","typ":"at+jwt"}',
        '{"alg":"HS256","typ":"JWT","typ":"at+jwt"}',
    ):
        refused(read, forge(header=header), "header is not one well-formed JSON object")


@pytest.mark.parametrize(
    "claims",
    [
        "null",
        "[]",
        '"text"',
        "7",
        "[{}]",
        "{",
        "{}}",
        "{} {}",
        "{}x",
        "\ufeff{}",
        "{'a': 1}",
        "{a: 1}",
        b"\xff",
        b'{"a": "\xff"}',
        b'{"a\xc0\x80": 1}',
    ],
)
def test_a_payload_that_is_not_one_json_object(read: Callable[..., Any], claims: Any) -> None:
    refused(read, forge(claims), "claims are not one well-formed JSON object")


def test_a_payload_of_nothing(read: Callable[..., Any]) -> None:
    refused(read, forge(""), "not canonical base64url")


@pytest.mark.parametrize(
    "header", ["null", "[]", "7", "{", "{}}", b"\xff", "[" * 3000, '{"alg":"HS256"' * 9]
)
def test_a_header_that_is_not_one_json_object(read: Callable[..., Any], header: Any) -> None:
    refused(read, forge(header=header), "header is not one well-formed JSON object")


def test_lone_surrogates_in_texts(read: Callable[..., Any]) -> None:
    text = json.dumps(CLAIMS)
    for claims in (
        text.replace("uid1", "\\ud800"),
        text.replace('"sub"', '"x": "\\udfff", "sub"'),
    ):
        refused(read, forge(claims), "claims are not one well-formed JSON object")


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_nesting_beyond_reason(read: Callable[..., Any]) -> None:
    assert read(forge(with_claims(deep=nested(31))))["deep"] == nested(31)
    deepest = json.dumps(CLAIMS)[:-1] + ', "x": ' + "[" * 2500 + "]" * 2500 + "}"
    for claims in (with_claims(deep=nested(32)), deepest):
        refused(read, forge(claims), "claims are not one well-formed JSON object")


def test_8_kib_and_no_byte_more(read: Callable[..., Any]) -> None:
    size = 8192 - len(forge(with_claims(x="")))
    filler = size * 3 // 4
    tokens = {
        len(token): token
        for token in (forge(with_claims(x="y" * count)) for count in range(filler - 8, filler + 8))
    }
    largest = max(length for length in tokens if length <= 8192)
    assert largest >= 8190
    assert read(tokens[largest]).subject == "uid1"
    for token in (tokens[min(length for length in tokens if length > 8192)], "x" * 10_000_000):
        refused(read, token, "has at most 8192 bytes")


def test_other_spellings_of_each_part(read: Callable[..., Any]) -> None:
    good = forge(with_claims(x="pad me"))
    for key in (HMAC, EC):
        good = forge(with_claims(x="pad me"), key=key)
        header, payload, signature = good.split(".")
        for part in range(3):
            for change in (
                lambda text: text + "=",
                lambda text: text + "==",
                lambda text: text + "\n",
                lambda text: " " + text,
                lambda text: text[:5] + "\n" + text[5:],
            ):
                parts = [header, payload, signature]
                parts[part] = change(parts[part])
                reason = "not canonical base64url|came with white space"
                reason = MALFORMED_SIGNATURE if part == 2 else reason
                refused(read, ".".join(parts), reason)
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=":
            if last != signature[-1]:
                refused(read, f"{header}.{payload}.{signature[:-1]}{last}", MALFORMED_SIGNATURE)


@pytest.mark.parametrize(
    "spell",
    [
        lambda token: token + ".",
        lambda token: "." + token,
        lambda token: token + ".x",
        lambda token: token.replace(".", ".."),
        lambda token: token + "\0",
        lambda token: token.replace(".", "\u2024"),
        lambda token: "Bearer " + token,
        lambda token: token * 2,
        lambda token: token + token.split(".")[2],
    ],
)
def test_trailing_and_leading_data(read: Callable[..., Any], spell: Callable[[str], str]) -> None:
    refused(read, spell(forge()), MALFORMED_TOKEN)


@pytest.mark.parametrize("token", [None, 7, bytearray(b"a.b.c"), ["a.b.c"], {}, True])
def test_what_is_no_text_at_all(read: Callable[..., Any], token: Any) -> None:
    kind = type(token).__name__
    refused(read, token, f"an access token is a str or bytes, not {kind}")


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b.c", "é.é.é", "\ud800", "\0"])
def test_what_is_no_token_at_all(read: Callable[..., Any], token: str) -> None:
    refused(read, token, "not canonical base64url|has three parts")


def test_wide_characters_whose_bytes_in_memory_spell_a_good_token(read: Callable[..., Any]) -> None:
    token = forge()
    wide = (token * 2).encode().decode("utf-16-le")
    assert len(token) == len(wide)
    assert wide.encode("utf-16-le").startswith(token.encode())
    refused(read, wide, "not canonical base64url|has three parts")
    for changed in (token[:-1] + "\U0001f600", token + "\xff"):
        refused(read, changed, "not canonical base64url")


def test_an_empty_signature_or_part(read: Callable[..., Any]) -> None:
    header, payload, signature = forge().split(".")
    for token in (f"{header}.{payload}.", f"{header}..{signature}", f".{payload}.{signature}"):
        refused(read, token, "not canonical base64url")
    refused(read, f"{header}.{payload}", "has three parts")


@pytest.mark.parametrize("key", [HMAC, EC, ED], ids=["HS256", "ES256", "EdDSA"])
def test_a_token_cut_or_changed_at_any_place(read: Callable[..., Any], key: Key) -> None:
    token = forge(key=key)
    assert read(token).subject == "uid1"
    payload, signature = token.index("."), token.rindex(".")
    for place in range(len(token)):
        refused(read, token[:place], MALFORMED_TOKEN if place > signature else "has three parts")
        if place < payload:
            reason = "header is not|'alg' is not|'typ' is another|names no key|signature is not"
        elif place in (payload, signature):
            reason = "has three parts"
        else:
            reason = MALFORMED_SIGNATURE
        changed = "A" if token[place] != "A" else "B"
        refused(read, f"{token[:place]}{changed}{token[place + 1 :]}", reason)
    assert read(token).subject == "uid1"


def test_cve_2022_21449_psychic_signatures(read: Callable[..., Any]) -> None:
    signed = forge(key=EC).rpartition(".")[0]
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for r in (0, order, order - 1, 2**256 - 1):
        for s in (0, order, order - 1, 2**256 - 1):
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            refused(read, f"{signed}.{base64url(signature)}", "signature is not by a key")
    for length in (1, 63, 65, 128):
        refused(read, f"{signed}.{base64url(bytes(length))}", "signature is not by a key")


def test_the_payload_is_not_parsed_before_its_signature_was_verified(
    read: Callable[..., Any],
) -> None:
    """Garbage signed by nobody is refused for its signature.

    The same garbage signed by us is refused for being garbage.
    """
    garbage = "[" * 5000
    signed_by_us = forge(garbage)
    header, payload, _ = signed_by_us.split(".")
    signed_by_nobody = f"{header}.{payload}.{base64url(bytes(32))}"
    refused(read, signed_by_nobody, "signature is not by a key")
    refused(read, signed_by_us, "claims are not one well-formed JSON object")


def test_a_str_subclass_cannot_make_itself_another_token(read: Callable[..., Any]) -> None:
    class Chameleon(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return hash(good)

        def __str__(self) -> str:
            return good

        def encode(self, *_: Any, **__: Any) -> bytes:
            return good.encode()

        def split(self, *_: Any, **__: Any) -> list[str]:  # type: ignore[override]
            return good.split(".")

    good = forge()
    assert read(good).subject == "uid1"
    refused(read, Chameleon(good[:-2] + "AA"), "signature is not by a key")
    assert read(Chameleon(good)).subject == "uid1"


def test_pyjwt_accepts_the_good_ones_and_refuses_what_is_badly_signed(
    read: Callable[..., Any],
) -> None:
    for key in (HMAC, RSA, EC, ED):
        token = forge(key=key)
        material = key._secret or key.to_pem()
        assert (
            jwt.decode(token, material, [key.algorithm], audience="a", issuer="i")
            == read(token).to_dict()
        )
