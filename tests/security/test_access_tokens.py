"""Attacks on access tokens (RFC 8725, RFC 7515, advisories of peers), each named after what is tried and with the forged token in it.

Every one must end in InvalidAccessToken: no crash, no other error, and nothing of the token in what the error carries.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from tests.twins.conftest import TWINS
from tokenwheel import InvalidAccessToken, Key

HMAC = Key.from_secret("k" * 32)
NAMED = Key.from_secret("n" * 32, kid="named")
RSA = Key.generate("RS256", kid="rsa")
EC = Key.generate("ES256", kid="ec")
ED = Key.generate("EdDSA", kid="ed")
NOW = int(time.time())
CLAIMS: dict[str, Any] = {
    "iss": "i",
    "aud": "a",
    "sub": "uid1",
    "sid": "A" * 16,
    "iat": NOW,
    "exp": NOW + 900,
}


def b64(raw: bytes | str) -> str:
    return (
        base64.urlsafe_b64encode(
            raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
        )
        .rstrip(b"=")
        .decode()
    )


def forge(claims: Any = CLAIMS, key: Key = HMAC, header: Any = None, **members: Any) -> str:
    """A token signed by the key, whatever its header and claims say; texts are taken as they are."""
    if header is None:
        header = {
            "alg": key.algorithm,
            "typ": "at+jwt",
            **({} if key.kid is None else {"kid": key.kid}),
            **members,
        }
    text = b64(header if isinstance(header, bytes | str) else json.dumps(header))
    signed = f"{text}.{b64(claims if isinstance(claims, bytes | str) else json.dumps(claims))}"
    return f"{signed}.{b64(key.sign(signed.encode()))}"


def with_claims(**changes: Any) -> dict[str, Any]:
    return {**CLAIMS, **changes}


@pytest.fixture(params=TWINS)
def read(request: pytest.FixtureRequest) -> Callable[..., Any]:
    import importlib

    verifier: ModuleType = importlib.import_module(f"tokenwheel._{request.param}.verifier")
    revocations: ModuleType = importlib.import_module(f"tokenwheel._{request.param}.revocations")
    made = verifier.Verifier(
        [HMAC, NAMED, RSA.public(), EC.public(), ED.public()],
        issuer="i",
        audience=("a",),
        leeway=0,
        largest_leeway=60,
        cache_size=100,
        clock=time.time,
        revocations=revocations.RevocationTable(),
    )
    read: Callable[..., Any] = made.verify
    return read


def refused(read: Callable[..., Any], token: Any) -> str:
    """Checks that a token is refused, twice, cleanly; what the error says."""
    for _ in range(2):
        with pytest.raises(InvalidAccessToken) as caught:
            read(token)
        assert type(caught.value) is InvalidAccessToken
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        if isinstance(token, str):
            assert not [
                part for part in token.split(".") if len(part) > 7 and part in str(caught.value)
            ]
    return str(caught.value)


def test_tokens_made_as_this_service_makes_them_are_good(read: Callable[..., Any]) -> None:
    for key in (HMAC, NAMED, RSA, EC, ED):
        assert read(forge(key=key)).to_dict() == CLAIMS


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", None, 0, [], "HS256 ", "hs256"]
)
def test_alg_none_in_any_spelling(read: Callable[..., Any], alg: Any) -> None:
    unsigned = f"{b64(json.dumps({'alg': alg, 'typ': 'at+jwt'}))}.{b64(json.dumps(CLAIMS))}"
    for token in (f"{unsigned}.", unsigned, f"{unsigned}.AA", forge(alg=alg)):
        refused(read, token)


def test_cve_2015_9235_a_public_key_as_the_hmac_secret(read: Callable[..., Any]) -> None:
    for public in (RSA, EC, ED):
        for secret in (
            public.to_pem(),
            public.to_pem().strip(),
            json.dumps(public.to_jwk()).encode(),
        ):
            import hmac

            for kid in (public.kid, None):
                header = {"alg": "HS256", "typ": "at+jwt", **({"kid": kid} if kid else {})}
                signed = f"{b64(json.dumps(header))}.{b64(json.dumps(CLAIMS))}"
                refused(read, f"{signed}.{b64(hmac.digest(secret, signed.encode(), 'sha256'))}")


def test_the_algorithm_is_the_keys_and_is_refused_before_any_cryptography() -> None:
    import importlib

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
            refused(read, forge(key=EC, alg=alg))
        refused(read, forge(key=EC, typ="JWT"))
        refused(read, forge(key=EC, crit=["exp"]))


def test_a_signature_of_the_same_key_by_another_algorithm(read: Callable[..., Any]) -> None:
    signed = f"{b64(json.dumps({'alg': 'RS256', 'typ': 'at+jwt', 'kid': 'rsa'}))}.{b64(json.dumps(CLAIMS))}"
    for scheme, digest in (
        (padding.PKCS1v15(), hashes.SHA512()),
        (padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    ):
        refused(read, f"{signed}.{b64(RSA._private.sign(signed.encode(), scheme, digest))}")


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
        "rsa",
        "\ud800",
    ],
)
def test_kid_only_indexes_the_keys_in_memory(read: Callable[..., Any], kid: Any) -> None:
    refused(read, forge(key=NAMED, kid=kid))


def test_a_key_without_kid_serves_no_token_that_names_one_and_the_other_way_round(
    read: Callable[..., Any],
) -> None:
    refused(read, forge(key=HMAC, kid="named"))
    refused(read, forge(key=NAMED, header={"alg": "HS256", "typ": "at+jwt"}))


def test_keys_brought_along_by_the_token_are_ignored(read: Callable[..., Any]) -> None:
    mine = Key.generate("ES256", kid="ec")
    brought = {
        "jwk": mine.to_jwk(),
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/cert",
        "x5c": ["MII"],
    }
    refused(read, forge(key=mine, **brought))
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
        refused(read, forge(key=key, **members))


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
    refused(read, forge(typ=typ))
    refused(read, forge(header={"alg": "HS256"}))


def test_cve_2024_53861_part_of_the_issuer_is_not_the_issuer(read: Callable[..., Any]) -> None:
    for iss in ("", "ii", "i ", "I", ["i"], {"i": 1}, None, 7, True):
        refused(read, forge(with_claims(iss=iss)))


@pytest.mark.parametrize(
    "aud",
    [
        "",
        "A",
        "aa",
        " a",
        [],
        ["b"],
        [[]],
        ["a", 1],
        ["a", ""],
        ["a", None],
        [["a"]],
        {"a": 1},
        None,
        1,
        True,
    ],
)
def test_aud_matches_exactly_or_not_at_all(read: Callable[..., Any], aud: Any) -> None:
    refused(read, forge(with_claims(aud=aud)))


@pytest.mark.parametrize("missing", ["iss", "aud", "sub", "sid", "iat", "exp"])
def test_a_required_claim_left_out(read: Callable[..., Any], missing: str) -> None:
    refused(read, forge({name: value for name, value in CLAIMS.items() if name != missing}))


@pytest.mark.parametrize("sub", ["", "x" * 256, "a\0b", None, 7, True, ["uid1"], {"a": 1}])
def test_a_subject_of_the_wrong_type_or_size(read: Callable[..., Any], sub: Any) -> None:
    refused(read, forge(with_claims(sub=sub)))


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
    refused(read, forge(with_claims(sid=sid)))


@pytest.mark.parametrize("gen", [-1, 2**32 - 1, 2**64, 1.0, True, "1", None, [], 1e300])
def test_a_generation_that_is_none(read: Callable[..., Any], gen: Any) -> None:
    refused(read, forge(with_claims(gen=gen)))


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
    refused(read, forge(with_claims(**{name: date})))


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "0x7fffffff", "01", "1_000", "+1", "1."],
)
def test_a_date_that_is_no_json_number(read: Callable[..., Any], text: str) -> None:
    refused(read, forge(json.dumps(CLAIMS).replace(str(NOW + 900), text)))


def test_a_jti_that_is_no_text(read: Callable[..., Any]) -> None:
    assert read(forge(with_claims(jti="x")))["jti"] == "x"
    for jti in (7, None, [], True):
        refused(read, forge(with_claims(jti=jti)))


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
    refused(read, forge(text))


def test_colons_and_quotes_within_texts_are_no_duplicates(read: Callable[..., Any]) -> None:
    claims = with_claims(
        **{"urn:a:b": 'x":"y', 'q"': "\\", "deep": {"a:": [{"b": "::"}, '\\":']}, "é:": "😀:"}
    )
    assert read(forge(claims)).to_dict() == claims
    assert read(forge(json.dumps(claims, ensure_ascii=False))).to_dict() == claims


def test_duplicate_names_in_the_header(read: Callable[..., Any]) -> None:
    refused(read, forge(header='{"alg":"none","alg":"HS256","typ":"at+jwt"}'))
    refused(read, forge(header='{"alg":"HS256","typ":"JWT","typ":"at+jwt"}'))


@pytest.mark.parametrize(
    "claims",
    [
        "",
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
    refused(read, forge(claims))


@pytest.mark.parametrize(
    "header", ["null", "[]", "7", "{", "{}}", b"\xff", "[" * 3000, '{"alg":"HS256"' * 9]
)
def test_a_header_that_is_not_one_json_object(read: Callable[..., Any], header: Any) -> None:
    refused(read, forge(header=header))


def test_lone_surrogates_in_texts(read: Callable[..., Any]) -> None:
    refused(read, forge(json.dumps(CLAIMS).replace("uid1", "\\ud800")))
    refused(read, forge(json.dumps(CLAIMS).replace('"sub"', '"x": "\\udfff", "sub"')))


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def test_nesting_beyond_reason(read: Callable[..., Any]) -> None:
    assert read(forge(with_claims(deep=nested(31))))["deep"] == nested(31)
    refused(read, forge(with_claims(deep=nested(32))))
    refused(read, forge(json.dumps(CLAIMS)[:-1] + ', "x": ' + "[" * 2500 + "]" * 2500 + "}"))


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
    assert "8192" in refused(read, tokens[min(length for length in tokens if length > 8192)])
    refused(read, "x" * 10_000_000)


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
                refused(read, ".".join(parts))
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=":
            if last != signature[-1]:
                refused(read, f"{header}.{payload}.{signature[:-1]}{last}")


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
    refused(read, spell(forge()))


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "é.é.é",
        "\ud800",
        "\0",
        None,
        7,
        b"a.b.c",
        ["a.b.c"],
        {},
        object(),
        True,
    ],
)
def test_what_is_no_token_at_all(read: Callable[..., Any], token: Any) -> None:
    refused(read, token)


def test_wide_characters_whose_bytes_in_memory_spell_a_good_token(read: Callable[..., Any]) -> None:
    token = forge()
    wide = (token * 2).encode().decode("utf-16-le")
    assert len(token) == len(wide)
    assert wide.encode("utf-16-le").startswith(token.encode())
    refused(read, wide)
    refused(read, token[:-1] + "\U0001f600")
    refused(read, token + "\xff")


def test_an_empty_signature_or_part(read: Callable[..., Any]) -> None:
    header, payload, signature = forge().split(".")
    for token in (
        f"{header}.{payload}.",
        f"{header}..{signature}",
        f".{payload}.{signature}",
        f"{header}.{payload}",
    ):
        refused(read, token)


@pytest.mark.parametrize("key", [HMAC, EC, ED], ids=["HS256", "ES256", "EdDSA"])
def test_a_token_cut_or_changed_at_any_place(read: Callable[..., Any], key: Key) -> None:
    token = forge(key=key)
    assert read(token).subject == "uid1"
    for place in range(len(token)):
        refused(read, token[:place])
        changed = "A" if token[place] != "A" else "B"
        refused(read, f"{token[:place]}{changed}{token[place + 1 :]}")
    assert read(token).subject == "uid1"


def test_cve_2022_21449_psychic_signatures(read: Callable[..., Any]) -> None:
    signed = forge(key=EC).rpartition(".")[0]
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    for r in (0, order, order - 1, 2**256 - 1):
        for s in (0, order, order - 1, 2**256 - 1):
            refused(read, f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")
    for length in (1, 63, 65, 128):
        refused(read, f"{signed}.{b64(bytes(length))}")


def test_the_payload_is_not_parsed_before_its_signature_was_verified(
    read: Callable[..., Any],
) -> None:
    """Garbage signed by nobody is refused for its signature; the same garbage signed by us for being garbage."""
    garbage = "[" * 5000
    signed_by_us = forge(garbage)
    header, payload, _ = signed_by_us.split(".")
    assert "signature" in refused(read, f"{header}.{payload}.{b64(bytes(32))}")
    assert "JSON" in refused(read, signed_by_us)


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
    refused(read, Chameleon(good[:-2] + "AA"))
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
