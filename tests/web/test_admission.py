"""Who is admitted: each rule of admission, and what a gate says where one is broken."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.message import Message
from typing import Any

import pytest
from django.http.request import HttpHeaders
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from werkzeug.datastructures import EnvironHeaders
from werkzeug.datastructures import Headers as WerkzeugHeaders

from tests.doors.guises import HOSTILE, hostile
from tests.liars import Text
from tests.web.gates import (
    ACCESS,
    HOST,
    OTHER_SITE,
    OWN_PAGE,
    SAFE,
    UNSAFE,
    House,
    Request,
    bearer,
    cookie,
)
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenRevoked,
    ConfigurationError,
    InvalidAccessToken,
    InvalidArgument,
    RevocationList,
    StorageUnavailable,
    TokenwheelError,
)
from tokenwheel.web import (
    Cookies,
    CredentialsMissing,
    CrossOriginRequest,
    Gate,
    LoginTooOld,
    MalformedCredentials,
    ScopeMissing,
    scope_claim,
)
from tokenwheel.web.bearer import bearer_token


def admit(gate: Gate, headers: Any = None, method: str = "GET", **options: Any) -> Any:
    return gate.admit(method, Request(headers).get, **options)


def optional(gate: Gate, headers: Any = None, method: str = "GET", **options: Any) -> Any:
    return gate.admit_optional(method, Request(headers).get, **options)


class TestBearer:
    """Rule 1: ``Authorization: Bearer`` alone decides, and never falls through to a cookie."""

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
    def test_the_scheme_may_be_in_any_case(self, house: House, scheme: str) -> None:
        token = house.login().access_token
        assert admit(house.gate(), {"authorization": f"{scheme} {token}"}).subject == "ann"

    def test_several_spaces_after_the_scheme_are_one(self, house: House) -> None:
        token = house.login().access_token
        assert admit(house.gate(), {"authorization": f"Bearer   {token} "}).subject == "ann"

    def test_a_bearer_is_admitted_by_any_method_and_whoever_s_page_sent_it(
        self, house: House
    ) -> None:
        headers = bearer(house.login()) | OTHER_SITE
        for method in (*SAFE, *UNSAFE):
            assert admit(house.gate(), headers, method).subject == "ann"

    def test_a_bearer_that_is_not_good_never_falls_through_to_a_good_cookie(
        self, house: House
    ) -> None:
        good = cookie(house.login()) | OWN_PAGE
        for tokens, error in (
            (house.revoked(), AccessTokenRevoked),
            (house.foreign(), InvalidAccessToken),
        ):
            for ask in (admit, optional):
                with pytest.raises(error):
                    ask(house.gate(), good | bearer(tokens))

    def test_a_bearer_and_a_cookie_of_another_user_make_the_bearer_s(self, house: House) -> None:
        headers = bearer(house.login(subject="bob")) | cookie(house.login(subject="ann"))
        assert admit(house.gate(), headers).subject == "bob"

    @pytest.mark.parametrize(
        "authorization",
        [
            "", " ", ",", "Bearer", "Bearer ", "bearer   ", "Bearer\t", "Bearer\t{}", "Bearer \t{}",
            "Bearer {}\t", " Bearer {}", "Bearer:{}", "Bearer={}", "Bearer,{}",
            'Bearer "{}"', "Bearer '{}'", "Bearer {} {}", "Bearer {},{}", "Bearer {}, Bearer {}",
            "Bearer {},", ",Bearer {}", "Bearer Bearer {}", "Basic YTpi, Bearer {}",
            "Bearer {}, Basic YTpi", "Basic YTpi,bearer {}", "Bearer {}\0", "Bearer \xe9{}",
            "Bearer <{}>", "DPoP {}", "dpop {}", "DPoP", "Basic YTpi, DPoP {}", "\xe9 {}",
            "Bearer =", "Bearer a=b",
        ],
    )  # fmt: skip
    def test_what_is_empty_doubled_or_of_the_wrong_shape_is_refused(
        self, house: House, authorization: str
    ) -> None:
        tokens = house.login()
        said = authorization.replace("{}", tokens.access_token)
        for ask in (admit, optional):
            with pytest.raises(MalformedCredentials) as caught:
                ask(house.gate(), cookie(tokens) | {"authorization": said})
            assert tokens.access_token not in str(caught.value)

    @pytest.mark.parametrize(
        "authorization",
        [
            "Basic YTpi", "basic YTpi", 'Digest username="a", realm="b", uri="/"', "Negotiate",
            "AWS4-HMAC-SHA256 Credential=a, bearer=b", "Beare {}", "BearerX {}", "Bearer{}",
            "X-Bearer {}",
        ],
    )  # fmt: skip
    def test_another_scheme_counts_as_absent(self, house: House, authorization: str) -> None:
        tokens = house.login()
        said = {"authorization": authorization.replace("{}", tokens.access_token)}
        with pytest.raises(CredentialsMissing):
            admit(house.gate(), said)
        assert optional(house.gate(), said) is None
        assert admit(house.gate(), said | cookie(tokens)).subject == "ann"

    def test_a_token_of_the_right_shape_is_refused_for_what_it_is(self, house: House) -> None:
        for token in ("x", "a.b.c", "a~+/=="):
            with pytest.raises(InvalidAccessToken):
                admit(house.gate(), {"authorization": f"Bearer {token}"})

    def test_a_gate_without_bearers_does_not_look_at_authorization(self, house: House) -> None:
        tokens = house.login()
        gate = house.gate(bearer=False)
        with pytest.raises(CredentialsMissing):
            admit(gate, bearer(tokens))
        assert admit(gate, {"authorization": "DPoP"} | cookie(tokens)).subject == "ann"

    def test_a_gate_without_cookies_does_not_look_at_cookies(self, house: House) -> None:
        gate = house.gate(cookies=None)
        with pytest.raises(CredentialsMissing):
            admit(gate, cookie(house.login()))


class MultiDict:
    """Header fields as multidict has them, on which those of Litestar and aiohttp are built."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def get(self, name: str, default: Any = None) -> Any:
        return next((value for key, value in self._pairs if key == name), default)

    def getall(self, name: str, default: Any) -> Any:
        return [value for key, value in self._pairs if key == name] or default


class TestDoubledHeaders:
    """What is said twice is never read as the first or the last of both."""

    @staticmethod
    def lists_of(*pairs: tuple[str, str]) -> list[Any]:
        message = Message()
        for name, value in pairs:
            message[name] = value
        raw = [(name.encode(), value.encode("latin-1")) for name, value in pairs]
        several = [Headers(raw=raw), WerkzeugHeaders(list(pairs)), message, MultiDict(pairs)]
        return [headers.get for headers in several]

    def test_two_bearers_are_refused_through_every_framework_s_get(self, house: House) -> None:
        one, other = (house.login(subject=name).access_token for name in ("ann", "bob"))
        for headers in self.lists_of(
            ("authorization", f"Bearer {one}"), ("authorization", f"Bearer {other}")
        ):
            with pytest.raises(MalformedCredentials):
                house.gate().admit("GET", headers)

    def test_a_bearer_behind_a_basic_or_an_empty_one_is_refused(self, house: House) -> None:
        token = house.login().access_token
        for first in ("Basic YTpi", ""):
            for headers in self.lists_of(
                ("authorization", first), ("authorization", f"Bearer {token}")
            ):
                with pytest.raises(MalformedCredentials):
                    house.gate().admit("GET", headers)

    def test_two_cookie_fields_are_read_as_one(self, house: House) -> None:
        tokens, more = house.login(), house.login(subject="bob")
        for headers in self.lists_of(("cookie", "a=b"), ("cookie", cookie(tokens)["cookie"])):
            assert house.gate().admit("GET", headers).subject == "ann"
        for headers in self.lists_of(
            ("cookie", cookie(tokens)["cookie"]), ("cookie", cookie(more)["cookie"])
        ):
            with pytest.raises(MalformedCredentials, match="two cookies"):
                house.gate().admit("GET", headers)

    def test_two_origins_and_two_fetch_sites_are_refused(self, house: House) -> None:
        tokens = house.login()
        for name, first, second in (
            ("origin", "https://app.example", "https://evil.example"),
            ("sec-fetch-site", "same-origin", "cross-site"),
        ):
            for headers in self.lists_of(
                ("host", HOST), ("cookie", cookie(tokens)["cookie"]), (name, first), (name, second)
            ):
                with pytest.raises(CrossOriginRequest):
                    house.gate().admit("POST", headers)

    def test_the_get_of_each_framework_is_read(self, house: House) -> None:
        tokens = house.login()
        said = bearer(tokens)["authorization"]
        environ = {"HTTP_AUTHORIZATION": said, "HTTP_COOKIE": cookie(tokens)["cookie"]}
        for headers in (
            *self.lists_of(("authorization", said)),
            HttpHeaders(environ).get,
            EnvironHeaders(environ).get,
            UserDict({"authorization": said}).get,
            {"authorization": said}.get,
            {"authorization": Text(said)}.get,
        ):
            assert house.gate().admit("GET", headers).subject == "ann"

    def test_a_get_that_is_no_mapping_s_is_asked_as_it_is(self, house: House) -> None:
        class Connection:
            def __init__(self, said: str) -> None:
                self.said = said

            def header(self, name: str) -> str | None:
                return self.said if name == "authorization" else None

            def getlist(self, name: str) -> list[str]:
                raise AssertionError("these are arguments of the address")

        said = bearer(house.login())["authorization"]
        assert house.gate().admit("GET", Connection(said).header).subject == "ann"


class TestCookie:
    """Rules 2 and 3: one cookie of our name, and a check of the origin where it matters."""

    def test_a_cookie_is_admitted_where_there_is_no_bearer(self, house: House) -> None:
        for method in SAFE:
            assert admit(house.gate(), cookie(house.login()), method).subject == "ann"

    def test_unsafe_methods_need_a_page_of_this_site(self, house: House) -> None:
        tokens = house.login()
        for method in UNSAFE:
            assert admit(house.gate(), cookie(tokens) | OWN_PAGE, method).subject == "ann"
            for headers in (cookie(tokens), cookie(tokens) | OTHER_SITE):
                with pytest.raises(CrossOriginRequest):
                    admit(house.gate(), headers, method)

    def test_every_handshake_of_a_websocket_needs_one(self, house: House) -> None:
        tokens = house.login()
        for method in SAFE:
            own = cookie(tokens) | OWN_PAGE
            assert admit(house.gate(), own, method, websocket=True).subject == "ann"
            for headers in (cookie(tokens), cookie(tokens) | OTHER_SITE):
                with pytest.raises(CrossOriginRequest):
                    admit(house.gate(), headers, method, websocket=True)

    def test_another_site_learns_nothing_of_the_token(self, house: House) -> None:
        for tokens in (house.foreign(), house.revoked(), house.expired()):
            with pytest.raises(CrossOriginRequest):
                admit(house.gate(), cookie(tokens) | OTHER_SITE, "POST")

    def test_an_expired_cookie_still_arrives_and_is_told_to_be_worth_a_refresh(
        self, house: House
    ) -> None:
        with pytest.raises(AccessTokenExpired) as caught:
            admit(house.gate(), cookie(house.expired()))
        assert house.gate().refusal(caught.value).status == 401

    def test_two_cookies_of_our_name_are_refused(self, house: House) -> None:
        token = house.login().access_token
        for second in (token, "", "x", f'"{token}"'):
            with pytest.raises(MalformedCredentials, match="two cookies"):
                admit(house.gate(), {"cookie": f"{ACCESS}={token}; {ACCESS}={second}"})

    @pytest.mark.parametrize(
        "name", ["x__Host-tw-access", "__host-tw-access", "__Host-tw-access2", "tw-access",
                 "$__Host-tw-access", "__Secure-tw-access", "__Host-tw-refresh",
                 "=__Host-tw-access"]
    )  # fmt: skip
    def test_a_cookie_of_a_name_that_looks_alike_is_none(self, house: House, name: str) -> None:
        tokens = house.login()
        lookalike = f"{name}={tokens.access_token}"
        with pytest.raises(CredentialsMissing):
            admit(house.gate(), {"cookie": lookalike})
        other = cookie(house.login(subject="bob"))["cookie"]
        assert admit(house.gate(), {"cookie": f"{lookalike}; {other}"}).subject == "bob"


class TestOptional:
    """Rule 4: what the browser attached unasked counts as none; what was sent is refused."""

    def test_nothing_gives_none(self, house: House) -> None:
        assert optional(house.gate()) is None

    def test_a_good_token_gives_its_claims(self, house: House) -> None:
        tokens = house.login()
        assert optional(house.gate(), bearer(tokens)).subject == "ann"
        assert optional(house.gate(), cookie(tokens)).subject == "ann"

    def test_a_bad_expired_revoked_doubled_or_cross_origin_cookie_gives_none(
        self, house: House
    ) -> None:
        good = house.login()
        twice = f"{ACCESS}={good.access_token}; {ACCESS}={good.access_token}"
        assert optional(house.gate(), {"cookie": twice}) is None
        assert optional(house.gate(), {"cookie": f"{ACCESS}=x"}) is None
        assert optional(house.gate(), cookie(good) | OTHER_SITE, "POST") is None
        assert optional(house.gate(), cookie(good), websocket=True) is None
        for tokens in (house.revoked(), house.foreign(), house.expired()):
            assert optional(house.gate(), cookie(tokens)) is None

    def test_a_bearer_that_is_not_good_is_refused(self, house: House) -> None:
        for tokens, error in (
            (house.expired(), AccessTokenExpired),
            (house.revoked(), AccessTokenRevoked),
            (house.foreign(), InvalidAccessToken),
        ):
            with pytest.raises(error):
                optional(house.gate(), bearer(tokens))

    def test_that_revocations_cannot_be_fetched_is_always_raised(self, house: House) -> None:
        class Deaf:
            def start(self, apply: Any) -> None: ...
            def publish(self, revocations: Any) -> None: ...
            def close(self) -> None: ...
            def poll(self) -> None:
                raise StorageUnavailable("the network is down")

        deaf = House("async" if house.is_async else "blocking", revocations=RevocationList(Deaf()))
        tokens = deaf.login()
        for headers in (bearer(tokens), cookie(tokens)):
            for ask in (admit, optional):
                with pytest.raises(StorageUnavailable):
                    ask(deaf.gate(), headers)
        deaf.close()


class TestWebSocket:
    """The token may also be a subprotocol, and never counts as one of another request."""

    def protocols(self, *names: str) -> dict[str, str]:
        return {"sec-websocket-protocol": ", ".join(names)}

    def test_the_token_beside_tokenwheel_is_a_bearer(self, house: House) -> None:
        token = house.login().access_token
        for names in (
            ("tokenwheel", f"bearer.{token}"),
            (f"bearer.{token}", "chat", "tokenwheel"),
            ("tokenwheel", f"Bearer.{token}"),
        ):
            headers = self.protocols(*names) | OTHER_SITE
            assert admit(house.gate(), headers, websocket=True).subject == "ann"
            with pytest.raises(CredentialsMissing):
                admit(house.gate(), headers)

    def test_it_decides_alone(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        headers |= self.protocols("tokenwheel", f"bearer.{house.foreign().access_token}")
        for ask in (admit, optional):
            with pytest.raises(InvalidAccessToken):
                ask(house.gate(), headers, websocket=True)

    def test_two_or_an_empty_or_a_lonely_or_a_malformed_one_is_refused(self, house: House) -> None:
        tokens = house.login()
        token = tokens.access_token
        for headers in (
            self.protocols("tokenwheel", f"bearer.{token}", f"bearer.{token}"),
            self.protocols("tokenwheel", "bearer."),
            self.protocols(f"bearer.{token}"),
            self.protocols("tokenwheel", f"bearer.{token} x"),
            self.protocols("tokenwheel", f"bearer.{token}") | bearer(tokens),
        ):
            for ask in (admit, optional):
                with pytest.raises(MalformedCredentials):
                    ask(house.gate(), headers | cookie(tokens) | OWN_PAGE, websocket=True)

    def test_other_subprotocols_are_nobody_s_business(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        for names in (("tokenwheel",), ("graphql-ws",), ("",)):
            said = headers | self.protocols(*names)
            assert admit(house.gate(), said, websocket=True).subject == "ann"

    def test_authorization_works_beside_other_subprotocols(self, house: House) -> None:
        headers = bearer(house.login()) | self.protocols("tokenwheel", "chat")
        assert admit(house.gate(), headers, websocket=True).subject == "ann"


class TestScopes:
    """A good token has to have every scope that is needed."""

    @pytest.mark.parametrize("claim", ["a b", ["a", "b"], "b  a c"])
    def test_scopes_are_in_the_claim_scope(self, house: House, claim: Any) -> None:
        headers = bearer(house.login({"scope": claim}))
        assert admit(house.gate(), headers, scopes=["a", "b"]).subject == "ann"
        with pytest.raises(ScopeMissing) as caught:
            admit(house.gate(), headers, scopes=["a", "d"])
        assert caught.value.scopes == ("a", "d")

    @pytest.mark.parametrize("claim", ["superadmin", "", 1, None, {"admin": True}, [["admin"]]])
    def test_what_is_not_there_is_missing(self, house: House, claim: Any) -> None:
        for headers in (bearer(house.login({"scope": claim})), bearer(house.login())):
            with pytest.raises(ScopeMissing):
                admit(house.gate(), headers, scopes=["admin"])

    def test_a_callable_may_say_what_the_scopes_are(self, house: House) -> None:
        tokens = house.login({"roles": ["admin"]})
        gate = house.gate(scopes=lambda claims: set(claims["roles"]))
        assert admit(gate, bearer(tokens), scopes=["admin"]).subject == "ann"

    @pytest.mark.parametrize(
        "returned", ["superadmin", b"admin", None, 1, {"admin": False}, ["admin", 1],
                     iter(["admin"]), [b"admin"]]
    )  # fmt: skip
    def test_what_is_no_collection_of_texts_is_refused(self, house: House, returned: Any) -> None:
        gate = house.gate(scopes=lambda claims: returned)
        with pytest.raises(ConfigurationError, match="scopes must return"):
            admit(gate, bearer(house.login()), scopes=["admin"])

    def test_a_callable_that_fails_admits_nobody(self, house: House) -> None:
        gate = house.gate(scopes=lambda claims: claims["roles"])
        with pytest.raises(ConfigurationError, match="failed") as caught:
            admit(gate, bearer(house.login()), scopes=["admin"])
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize(
        "needed", ["admin", "", None, 0, [""], ["a b"], ["\xe9"], [1], {"admin"}, [b"admin"], ['"']]
    )
    def test_scopes_that_nobody_can_have_are_an_error_and_never_none(
        self, house: House, needed: Any
    ) -> None:
        with pytest.raises(InvalidArgument, match="scopes must be"):
            admit(house.gate(), bearer(house.login({"scope": "admin"})), scopes=needed)

    def test_the_default_takes_texts_and_lists_alone(self, house: House) -> None:
        claims = house.manager.read(house.login({"scope": ["a", 1]}).access_token)
        assert list(scope_claim(claims)) == ["a"]


class TestMaxAge:
    """The login may be asked to be fresh. A refresh is no login."""

    def test_a_login_ages_and_a_refresh_does_not_make_it_younger(self, house: House) -> None:
        tokens = house.login()
        house.clock.advance(299)
        assert admit(house.gate(), bearer(tokens), max_age=300).subject == "ann"
        house.clock.advance(2)
        tokens = house.call("update", tokens.refresh_token)
        for headers in (bearer(tokens), cookie(tokens)):
            with pytest.raises(LoginTooOld) as caught:
                admit(house.gate(), headers, max_age=300)
        assert caught.value.max_age == 300
        assert admit(house.gate(), bearer(tokens)).subject == "ann"

    @pytest.mark.parametrize("auth_time", [None, "1700000000", True, [], {}])
    def test_a_login_of_no_known_time_is_too_old(self, house: House, auth_time: Any) -> None:
        tokens = house.login({"auth_time": auth_time})
        with pytest.raises(LoginTooOld):
            admit(house.gate(), bearer(tokens), max_age=300)

    @pytest.mark.parametrize("max_age", [-1, 1.5, "300", True, float("nan"), float("inf"), 2**60])
    def test_a_max_age_that_is_none_is_refused(self, house: House, max_age: Any) -> None:
        with pytest.raises(InvalidArgument, match="max_age must be"):
            admit(house.gate(), bearer(house.login()), max_age=max_age)


class TestOptions:
    """A gate says at once what of its options makes no sense."""

    @pytest.mark.parametrize(
        "options, said",
        [
            ({"manager": None}, "manager must be"),
            ({"manager": "x"}, "manager must be"),
            ({"cookies": "__Host-x"}, "cookies must be"),
            ({"cookies": Cookies}, "cookies must be"),
            ({"bearer": 1}, "bearer must be"),
            ({"bearer": False, "cookies": None}, "bearer must be"),
            ({"scopes": "admin"}, "scopes must be"),
            ({"scopes": lambda: ()}, "scopes must take"),
            ({"renew": "x"}, "renew must be"),
            ({"renew": lambda: None}, "renew must take"),
            ({"renew": lambda session: {}, "cookies": None}, "renew needs cookies"),
            ({"trusted_origins": "https://app.example"}, "trusted_origins must be"),
        ],
    )
    def test_an_option_that_makes_no_sense_is_named(
        self, house: House, options: dict[str, Any], said: str
    ) -> None:
        given = {"manager": house.manager, "cookies": Cookies(), **options}
        with pytest.raises(ConfigurationError, match=said):
            Gate(given.pop("manager"), **given)

    def test_no_coroutine_function_where_nothing_is_awaited(self, house: House) -> None:
        async def ask(given: Any) -> Any:
            return {}

        with pytest.raises(ConfigurationError, match="scopes must be"):
            house.gate(scopes=ask)
        if house.is_async:
            house.gate(renew=ask)
        else:
            with pytest.raises(ConfigurationError, match="renew must not be"):
                house.gate(renew=ask)


class TestHostileArguments:
    """Whatever is handed in, errors are the library's own, and nobody is admitted by it."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_whatever_is_handed_in_errors_are_the_library_s_own(
        self, house: House, name: str
    ) -> None:
        gate = house.gate()
        good = Request(cookie(house.login())).get
        tokens = house.login()
        calls: list[Callable[[Any], Any]] = [
            lambda what: gate.admit("GET", lambda _: what),
            lambda what: gate.admit_optional("GET", what),
            lambda what: gate.admit("GET", good, scopes=what),
            lambda what: gate.admit("GET", good, max_age=what),
            lambda what: gate.admit("GET", good, websocket=what),
            lambda what: gate.admit_optional("GET", good, websocket=what),
            lambda what: gate.admit(what, good),
            gate.check,
            gate.refusal,
            lambda what: gate.welcome(what, via="cookie"),
            lambda what: gate.welcome(tokens, via=what),
            lambda what: gate.refresh_token("POST", Request().get, what),
            gate.transport_of,
            Gate,
            lambda what: house.gate(scopes=lambda _: what).scopes_of(admit(gate, bearer(tokens))),
        ]
        for call in calls:
            with suppress(TokenwheelError):
                call(hostile(name))
        with pytest.raises(CrossOriginRequest):
            gate.admit(hostile(name), good)

    def test_a_method_that_calls_itself_safe_is_not(self, house: House) -> None:
        class Post(str):
            __slots__ = ()

            def __eq__(self, other: object) -> bool:
                return True

            def __hash__(self) -> int:
                return hash("GET")

        with pytest.raises(CrossOriginRequest):
            house.gate().admit(Post("POST"), Request(cookie(house.login())).get)

    def test_headers_as_octets_are_never_taken_for_absent(self, house: House) -> None:
        said = {"authorization": b"Bearer x", "cookie": cookie(house.login())["cookie"]}
        with pytest.raises(InvalidArgument, match="returned bytes"):
            house.gate().admit_optional("GET", said.get)  # type: ignore[arg-type]

    def test_headers_that_fail_are_refused_with_the_cause(self, house: House) -> None:
        def fail(name: str) -> str:
            raise LookupError(name)

        with pytest.raises(InvalidArgument, match="headers must") as caught:
            house.gate().admit("GET", fail)
        assert isinstance(caught.value.__cause__, LookupError)


def bearer_by_the_book(authorization: str) -> str | None:
    """Return what RFC 6750 says is the token, or None where the scheme is another's."""
    words = authorization.split(" ")
    rest = [word for word in words[1:] if word]
    is_ours = words[0].lower() == "bearer"
    return rest[0] if is_ours and len(rest) == 1 else None


@given(
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(
                ["Bearer", "bearer", " ", "  ", "\t", ",", "=", "x", "a.b.c", "Basic", "DPoP", '"']
            )
        ).map("".join),
    )
)
def test_any_authorization_is_read_in_one_way_or_refused(authorization: str) -> None:
    try:
        token = bearer_token(authorization)
    except MalformedCredentials:
        return
    if token is None:
        assert bearer_by_the_book(authorization) is None
        starts = [part.split()[:1] for part in authorization.lower().split(",")]
        assert ["bearer"] not in starts
    elif "," not in token and not set(token) & set(' \t"='):
        assert token == bearer_by_the_book(authorization)


@given(st.text(), st.booleans())
def test_any_subprotocols_are_read_in_one_way_or_refused(text: str, ours: bool) -> None:
    offered = f"tokenwheel, {text}" if ours else text
    names = [name.strip(" \t") for name in offered.split(",")]
    tokens = [name[7:] for name in names if name.lower().startswith("bearer.")]
    try:
        token = bearer_token(None, offered)
    except MalformedCredentials:
        assert len(tokens) != 1 or not tokens[0] or "tokenwheel" not in names
    else:
        assert tokens == ([] if token is None else [token])
