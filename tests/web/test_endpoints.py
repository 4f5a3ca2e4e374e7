"""The routes: refresh, logout, logout elsewhere, "your devices" and the public keys."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.gates import (
    ACCESS,
    HOST,
    OTHER_SITE,
    OWN_PAGE,
    REFRESH,
    House,
    Request,
    bearer,
    content,
    cookie,
    header,
    set_cookies,
)
from tokenwheel import (
    ConfigurationError,
    ContextMismatch,
    Device,
    InvalidArgument,
    MemoryStorage,
    RevocationList,
    SessionContext,
    SessionTokens,
)
from tokenwheel.web import Answer, Cookies, MalformedCredentials
from tokenwheel.web.bodies import LONGEST_BODY, refresh_token_in
from tokenwheel.web.endpoints import Endpoints, Incoming

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

DELETED = {ACCESS: "", REFRESH: ""}


def in_json(token: object) -> bytes:
    return json.dumps({"refresh_token": token}).encode()


def refresh_cookie(tokens: SessionTokens) -> dict[str, str]:
    return {"cookie": f"{REFRESH}={tokens.refresh_token}"}


def refused(answer: Answer, status: int, code: str) -> None:
    """Check that an answer is a refusal, and touches no cookie."""
    assert (answer.status, content(answer)["code"]) == (status, code)
    assert set_cookies(answer) == {}


class TestRefresh:
    """``POST refresh``: the answer goes back by the way the token came."""

    def test_a_cookie_is_answered_by_cookies(self, house: House) -> None:
        tokens = house.login()
        answer = house.ask("refresh", cookie(tokens) | OWN_PAGE)
        assert answer.status == 200
        assert set_cookies(answer).keys() == {ACCESS, REFRESH}
        assert set_cookies(answer)[REFRESH] != tokens.refresh_token
        assert house.manager.read(set_cookies(answer)[ACCESS]).session_id == tokens.session_id
        assert "access_token" not in content(answer)
        assert header(answer, "cache-control") == "no-store"

    @pytest.mark.parametrize("kind", ["json", "form"])
    def test_a_body_is_answered_by_a_body(self, house: House, kind: str) -> None:
        token = house.login().refresh_token
        body = in_json(token) if kind == "json" else f"refresh_token={token}&x=".encode()
        answer = house.ask("refresh", JSON if kind == "json" else FORM, body=body)
        assert answer.status == 200
        assert set_cookies(answer) == {}
        assert house.manager.read(content(answer)["access_token"]).subject == "ann"
        assert content(answer)["refresh_token"] != token

    def test_a_retry_in_the_grace_gets_the_very_same_refresh_token(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        first, second = (set_cookies(house.ask("refresh", headers)) for _ in range(2))
        assert first[REFRESH] == second[REFRESH]
        assert second[ACCESS]

    def test_the_access_token_is_not_looked_at(self, house: House) -> None:
        tokens = house.login()
        for other in ({"authorization": "DPoP x"}, bearer(house.foreign())):
            said = refresh_cookie(tokens) | OWN_PAGE | other
            answer = house.ask("refresh", said)
            assert answer.status == 200
            tokens = house.login()

    def test_the_claims_come_from_the_application(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        answer = house.ask("refresh", headers, claims=lambda session: {"of": session.subject})
        assert house.manager.read(set_cookies(answer)[ACCESS])["of"] == "ann"

    def test_without_claims_those_for_renewal_are_asked(self, house: House) -> None:
        gate = house.gate(renew=lambda session: {"by": "renew"})
        answer = house.ask("refresh", cookie(house.login()) | OWN_PAGE, gate=gate)
        assert house.manager.read(set_cookies(answer)[ACCESS])["by"] == "renew"

    def test_no_session_and_a_reused_token_leave_the_cookies_untouched(self, house: House) -> None:
        tokens = house.login()
        headers = cookie(tokens) | OWN_PAGE
        refused(
            house.ask("refresh", {"cookie": f"{REFRESH}=x"} | OWN_PAGE), 401, "session_not_found"
        )
        house.ask("refresh", headers)
        house.clock.advance(100)
        answer = house.ask("refresh", headers)
        refused(answer, 401, "refresh_token_reused")
        assert str(header(answer, "www-authenticate")).startswith('Bearer error="invalid_token"')
        refused(house.ask("refresh", headers), 401, "session_not_found")

    def test_another_device_leaves_them_untouched(self, house: House) -> None:
        context = SessionContext(device=Device("Pixel", "phone"))
        headers = cookie(house.login(context=context)) | OWN_PAGE
        steps = Endpoints(house.gate()).refresh(
            Incoming("POST", Request(headers).get, context=SessionContext())
        )
        refused(house.run(steps), 403, "context_mismatch")

    def test_a_storage_out_of_reach_leaves_them_untouched(self) -> None:
        house = House(storage=Broken())
        tokens = house.login()
        house.manager.storage.fails = True
        answer = house.ask("refresh", cookie(tokens) | OWN_PAGE)
        refused(answer, 503, "storage_unavailable")
        assert header(answer, "retry-after") == "1"
        house.manager.storage.fails = False
        assert house.ask("refresh", cookie(tokens) | OWN_PAGE).status == 200
        house.close()

    @pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
    def test_another_site_cannot_refresh_by_any_method(self, house: House, method: str) -> None:
        tokens = house.login()
        for headers in (OTHER_SITE, {}, {"origin": "null"}, {"sec-fetch-site": "same-site"}):
            answer = house.ask("refresh", cookie(tokens) | headers, method=method)
            refused(answer, 403, "cross_origin")
        house.clock.advance(100)  # None of these has rotated: the first token is still good.
        assert house.ask("refresh", cookie(tokens) | OWN_PAGE).status == 200

    def test_no_token_is_no_credentials(self, house: House) -> None:
        for headers in ({}, OWN_PAGE, bearer(house.login()), JSON):
            answer = house.ask("refresh", headers)
            refused(answer, 401, "credentials_missing")
            assert header(answer, "www-authenticate") == "Bearer"

    @pytest.mark.parametrize("token", ["\ud800", "\xe9", "\0", "x" * 10_000, " ", "a;b", "%s"])
    def test_whatever_is_no_refresh_token_opens_no_session(self, house: House, token: str) -> None:
        for route, status in (("refresh", 401), ("logout", 204)):
            assert house.ask(route, JSON, body=in_json(token)).status == status
            if ";" not in token and token.strip():
                said = {"cookie": f"{REFRESH}={token}"} | OWN_PAGE
                assert house.ask(route, said).status == status

    def test_a_token_in_the_cookie_and_in_the_body_is_refused(self, house: House) -> None:
        tokens = house.login()
        answer = house.ask(
            "refresh", cookie(tokens) | OWN_PAGE | JSON, body=in_json(tokens.refresh_token)
        )
        refused(answer, 400, "invalid_request")

    def test_two_cookies_of_the_name_are_refused(self, house: House) -> None:
        tokens = house.login()
        twice = f"{REFRESH}={tokens.refresh_token}; {REFRESH}={tokens.refresh_token}"
        refused(house.ask("refresh", {"cookie": twice} | OWN_PAGE), 400, "invalid_request")

    def test_a_gate_takes_only_the_transports_that_it_has(self, house: House) -> None:
        tokens = house.login()
        in_body = in_json(tokens.refresh_token)
        gate = house.gate(bearer=False)
        refused(house.ask("refresh", JSON, body=in_body, gate=gate), 400, "invalid_request")
        gate = house.gate(cookies=None)
        answer = house.ask("refresh", cookie(tokens) | OWN_PAGE, gate=gate)
        refused(answer, 401, "credentials_missing")

    def test_a_refresh_too_large_for_a_cookie_says_so(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        answer = house.ask("refresh", headers, claims=lambda session: {"x": "y" * 4000})
        refused(answer, 400, "invalid_argument")

    def test_an_error_of_the_application_s_own_goes_through(self, house: House) -> None:
        def fail(session: object) -> dict[str, Any]:
            raise LookupError("no such user")

        with pytest.raises(LookupError):
            house.ask("refresh", cookie(house.login()) | OWN_PAGE, claims=fail)


class TestBodies:
    """The refresh token in a body is read in one way, or the body is refused."""

    @pytest.mark.parametrize(
        "content_type, body",
        [
            ("application/json", b"{"),
            ("application/json", b"[]"),
            ("application/json", b'"refresh_token"'),
            ("application/json", b"null"),
            ("application/json", b'{"refresh_token": 1}'),
            ("application/json", b'{"refresh_token": ""}'),
            ("application/json", b'{"refresh_token": ["x"]}'),
            ("application/json", b'{"refresh_token": "x", "refresh_token": "y"}'),
            ("application/json", b'{"refresh_token": "x", "refresh\\u005ftoken": "y"}'),
            ("application/json", b'{"a": {"b": 1, "b": 2}, "refresh_token": "x"}'),
            ("application/json", b'{"refresh_token": "x", "n": NaN}'),
            ("application/json", b'{"refresh_token": "x", "n": Infinity}'),
            ("application/json", b'{"refresh_token": "x"} x'),
            ("application/json", b'\xef\xbb\xbf{"refresh_token": "x"}'),
            ("application/json", '{"refresh_token": "x"}'.encode("utf-16")),
            ("application/json", '{"refresh_token": "x"}'.encode("utf-32-le")),
            ("application/json", b'{"refresh_token": "\xff"}'),
            ("application/json", b'{"refresh_token": "\n"}'),
            ("application/json", b"[" * 16_000),
            ("application/json", b'{"a":' * 3_000),
            ("application/json", b'{"n": ' + b"1" * 10_000 + b"}"),
            ("application/json, text/plain;x", b'{"refresh_token": "x"}'),
            ("application/json; a=b, text/plain", b'{"refresh_token": "x"}'),
            ("application/x-www-form-urlencoded", b"refresh_token="),
            ("application/x-www-form-urlencoded", b"refresh_token"),
            ("application/x-www-form-urlencoded", b"refresh_token=x&refresh_token=y"),
            ("application/x-www-form-urlencoded", b"refresh_token=x&refresh%5Ftoken=y"),
            ("application/x-www-form-urlencoded", b"refresh_token=%ff"),
            ("application/x-www-form-urlencoded", b"refresh_token=\xff"),
            ("application/x-www-form-urlencoded", b"a=b&" * 100 + b"refresh_token=x"),
            ("application/json", b'{"refresh_token": "x"}' + b" " * LONGEST_BODY),
            ("text/plain", b" " * (LONGEST_BODY + 1)),
            (None, b" " * (LONGEST_BODY + 1)),
        ],
    )
    def test_what_can_be_read_in_no_way_or_in_two_is_refused(
        self, content_type: str | None, body: bytes
    ) -> None:
        if content_type == "application/json, text/plain;x":
            assert refresh_token_in(content_type, body) is None
            return
        with pytest.raises(MalformedCredentials) as caught:
            refresh_token_in(content_type, body)
        # The parser's own error has the body in it.
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json", "Application/JSON", "application/json; charset=utf-8",
            " application/json\t;x", "application/x+json", "application/vnd.api+json",
        ],
    )  # fmt: skip
    def test_json_is_known_by_its_content_type(self, content_type: str) -> None:
        assert refresh_token_in(content_type, b' {"refresh_token": "x", "a": [1]} ') == "x"

    def test_so_is_a_form(self) -> None:
        for content_type in ("application/x-www-form-urlencoded", FORM["content-type"] + "; x=y"):
            body = b"grant_type=refresh_token&refresh_token=a+b%2Fc&client_id="
            assert refresh_token_in(content_type, body) == "a b/c"

    @pytest.mark.parametrize(
        "content_type", [None, "", "text/plain", "multipart/form-data", "json"]
    )
    def test_a_body_of_another_type_has_none(self, content_type: str | None) -> None:
        for body in (b'{"refresh_token": "x"}', b"refresh_token=x", b"\xff"):
            assert refresh_token_in(content_type, body) is None

    def test_a_body_without_a_token_has_none(self) -> None:
        for content_type, body in (
            ("application/json", b"{}"),
            ("application/json", b'{"refresh_token": null}'),
            ("application/json", b""),
            ("application/json", None),
            (FORM["content-type"], b"a=b"),
        ):
            assert refresh_token_in(content_type, body) is None

    @pytest.mark.parametrize("body", ["x", bytearray(b"x"), memoryview(b"x"), 1, object()])
    def test_a_body_that_is_not_bytes_is_an_error(self, body: Any) -> None:
        with pytest.raises(InvalidArgument, match="body must be bytes"):
            refresh_token_in("application/json", body)

    @given(st.text('"{}[]:,\\ refsh_tokn01\u00e9\ud800', max_size=60), st.text(min_size=1))
    def test_any_body_is_read_in_one_way_or_refused(self, text: str, token: str) -> None:
        body = text.encode("utf-8", "surrogatepass")
        for content_type in (JSON["content-type"], FORM["content-type"]):
            try:
                found = refresh_token_in(content_type, body)
            except MalformedCredentials:
                continue
            assert found is None or type(found) is str
        token = token[:200]
        assert refresh_token_in(JSON["content-type"], in_json(token)) == token
        if token.isascii():
            form = f"refresh_token={quote_plus(token)}".encode()
            assert refresh_token_in(FORM["content-type"], form) == token


class Broken(MemoryStorage):
    """A storage that fails when it is told to."""

    fails = False

    def _enter(self) -> None:
        if self.fails:
            raise OSError("the disk is full")

    def read(self, *arguments: Any) -> Any:
        self._enter()
        return super().read(*arguments)

    def delete(self, *arguments: Any) -> Any:
        self._enter()
        return super().delete(*arguments)


class Dumb:
    """A feed that can be told nothing."""

    fails = False

    def start(self, apply: Any) -> None: ...
    def poll(self) -> None: ...
    def close(self) -> None: ...

    def publish(self, revocations: Any) -> None:
        if self.fails:
            raise OSError("the network is down")


class TestLogout:
    """``POST logout`` ends the session, and only it deletes cookies."""

    def gone(self, house: House, tokens: SessionTokens) -> bool:
        return tokens.session_id not in house.call("read_all", "ann")

    def test_by_the_refresh_cookie(self, house: House) -> None:
        tokens = house.login()
        answer = house.ask("logout", cookie(tokens) | OWN_PAGE)
        assert (answer.status, answer.body) == (204, b"")
        assert set_cookies(answer) == DELETED
        assert header(answer, "cache-control") == "no-store"
        assert self.gone(house, tokens)

    def test_with_an_access_token_that_has_expired(self, house: House) -> None:
        tokens = house.expired()
        answer = house.ask("logout", cookie(tokens) | OWN_PAGE)
        assert (answer.status, set_cookies(answer)) == (204, DELETED)
        assert self.gone(house, tokens)

    def test_by_the_body(self, house: House) -> None:
        tokens = house.login()
        answer = house.ask("logout", JSON, body=in_json(tokens.refresh_token))
        assert (answer.status, set_cookies(answer)) == (204, DELETED)
        assert self.gone(house, tokens)

    def test_by_the_access_token_where_there_is_no_other(self, house: House) -> None:
        for headers_of in (
            bearer,
            lambda tokens: {"cookie": f"{ACCESS}={tokens.access_token}"} | OWN_PAGE,
        ):
            tokens = house.login()
            answer = house.ask("logout", headers_of(tokens))
            assert (answer.status, set_cookies(answer)) == (204, DELETED)
            assert self.gone(house, tokens)

    def test_also_where_nothing_was_found(self, house: House) -> None:
        for headers in (
            {},
            OWN_PAGE,
            bearer(house.expired()),
            bearer(house.foreign()),
            cookie(house.revoked()) | OWN_PAGE,
            {"cookie": f"{REFRESH}=nonsense"} | OWN_PAGE,
        ):
            answer = house.ask("logout", headers)
            assert (answer.status, set_cookies(answer)) == (204, DELETED)

    def test_twice(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        for _ in range(2):
            answer = house.ask("logout", headers)
            assert (answer.status, set_cookies(answer)) == (204, DELETED)

    @pytest.mark.parametrize(
        "options",
        [{"domain": "example.com"}, {"refresh_path": "/session"}, {"persistent": False},
         {"same_site": "None", "partitioned": True}],
    )  # fmt: skip
    def test_the_cookies_deleted_are_those_that_were_set(
        self, house: House, options: dict[str, Any]
    ) -> None:
        gate = house.gate(cookies=Cookies(**options))
        tokens = house.login()
        welcome = set_cookies(gate.welcome(tokens, via="cookie"))
        said = {"cookie": "; ".join(f"{name}={value}" for name, value in welcome.items())}
        answer = house.ask("logout", said | OWN_PAGE, gate=gate)
        assert set_cookies(answer) == dict.fromkeys(welcome, "")
        assert self.gone(house, tokens)

    def test_another_site_ends_nothing_and_deletes_nothing(self, house: House) -> None:
        tokens = house.login()
        access = {"cookie": f"{ACCESS}={tokens.access_token}"}
        for site in (OTHER_SITE, {"origin": "null"}, {"sec-fetch-site": "same-site"}):
            for said in (cookie(tokens), access):
                refused(house.ask("logout", said | site), 403, "cross_origin")
            # A browser keeps its cookies back from such a request, and would obey the answer's.
            refused(house.ask("logout", site), 403, "cross_origin")
        refused(house.ask("logout", cookie(tokens)), 403, "cross_origin")
        refused(house.ask("logout", access), 403, "cross_origin")
        assert not self.gone(house, tokens)

    def test_another_site_that_brings_a_token_of_its_own_deletes_no_cookie(
        self, house: House
    ) -> None:
        mine = house.login(subject="eve").refresh_token
        for site in (OTHER_SITE, {"origin": "null"}):
            form = f"refresh_token={mine}".encode()
            answer = house.ask("logout", FORM | site, body=form)
            assert set_cookies(answer) == {}
            for said in (bearer(house.expired()), bearer(house.login())):
                answer = house.ask("logout", said | site)
                assert (answer.status, set_cookies(answer)) == (204, {})
        assert len(house.call("read_all", "ann")) == 2  # Those whose access tokens have expired.

    def test_a_doubled_or_malformed_token_ends_nothing(self, house: House) -> None:
        tokens = house.login()
        twice = f"{REFRESH}={tokens.refresh_token}; {REFRESH}=x"
        both = house.ask("logout", cookie(tokens) | OWN_PAGE | JSON, body=in_json("x"))
        for answer in (
            both,
            house.ask("logout", {"cookie": twice} | OWN_PAGE),
            house.ask("logout", JSON, body=b"{"),
            house.ask("logout", {"authorization": "DPoP x"}),
        ):
            refused(answer, 400, "invalid_request")
        assert not self.gone(house, tokens)

    def test_the_cookies_stay_where_the_revocation_could_not_be_written(self) -> None:
        feed = Dumb()
        house = House(revocations=RevocationList(feed))
        tokens, other = house.login(), house.login()
        feed.fails = True
        for said in (cookie(tokens), cookie(tokens), bearer(other)):
            answer = house.ask("logout", said | OWN_PAGE)
            refused(answer, 503, "storage_unavailable")
            assert header(answer, "retry-after") == "1"
        feed.fails = False
        answer = house.ask("logout", cookie(tokens) | OWN_PAGE)
        assert (answer.status, set_cookies(answer)) == (204, DELETED)
        house.close()

    def test_a_gate_without_cookies_deletes_none(self, house: House) -> None:
        gate = house.gate(cookies=None)
        answer = house.ask("logout", JSON, body=in_json(house.login().refresh_token), gate=gate)
        assert (answer.status, set_cookies(answer)) == (204, {})


class TestDevices:
    """What a signed-in user sees and ends of the sessions that are theirs."""

    def test_your_devices(self, house: House) -> None:
        phone = SessionContext("192.0.2.1", Device("Pixel", "phone", {"os": "14"}), "Rome")
        first = house.login(context=phone)
        house.clock.advance(10)
        second = house.login()
        house.login(subject="bob")
        answer = house.ask("sessions", cookie(second), method="GET")
        assert answer.status == 200
        assert header(answer, "cache-control") == "no-store"
        common = {"created_at": 1_700_000_000.25, "last_used_at": 1_700_000_000.25,
                  "expires_at": 1_702_592_000}  # fmt: skip
        later = {"created_at": 1_700_000_010.25, "last_used_at": 1_700_000_010.25,
                 "expires_at": 1_702_592_010}  # fmt: skip
        assert content(answer) == [
            {"id": second.session_id, "current": True, **later, "ip": None, "device": None,
             "location": None},
            {"id": first.session_id, "current": False, **common, "ip": "192.0.2.1",
             "device": {"name": "Pixel", "type": "phone"}, "location": "Rome"},
        ]  # fmt: skip

    def test_logout_others_spares_the_current_one(self, house: House) -> None:
        first, second = house.login(), house.login()
        bob = house.login(subject="bob")
        answer = house.ask("logout_others", cookie(second) | OWN_PAGE)
        assert (answer.status, set_cookies(answer)) == (204, {})
        assert house.call("read_all", "ann").keys() == {second.session_id}
        assert house.call("read_all", "bob").keys() == {bob.session_id}
        assert house.gate().admit_optional("GET", Request(cookie(first)).get) is None

    def test_logout_everywhere_ends_all_and_deletes_the_cookies(self, house: House) -> None:
        _, second = house.login(), house.login()
        answer = house.ask("logout_everywhere", cookie(second) | OWN_PAGE)
        assert (answer.status, set_cookies(answer)) == (204, {ACCESS: "", REFRESH: ""})
        assert house.call("read_all", "ann") == {}

    def test_ending_another_session_leaves_the_cookies(self, house: House) -> None:
        first, second = house.login(), house.login()
        answer = house.ask(
            "end_session", cookie(second) | OWN_PAGE, first.session_id, method="DELETE"
        )
        assert (answer.status, set_cookies(answer)) == (204, {})
        assert house.call("read_all", "ann").keys() == {second.session_id}

    def test_ending_the_current_one_deletes_them(self, house: House) -> None:
        tokens = house.login()
        answer = house.ask(
            "end_session", cookie(tokens) | OWN_PAGE, tokens.session_id, method="DELETE"
        )
        assert (answer.status, set_cookies(answer)) == (204, {ACCESS: "", REFRESH: ""})

    def test_a_session_of_somebody_else_is_not_found_and_lives(self, house: House) -> None:
        tokens, bob = house.login(), house.login(subject="bob")
        for session_id in (
            bob.session_id, "A" * 16, "x", "", "\xe9", tokens.refresh_token, bob.refresh_token,
            "../" + tokens.session_id, tokens.session_id + "\n",
        ):  # fmt: skip
            answer = house.ask(
                "end_session", cookie(tokens) | OWN_PAGE, session_id, method="DELETE"
            )
            refused(answer, 404, "session_not_found")
            assert header(answer, "content-type") == "application/problem+json"
        assert house.manager.read(bob.access_token).subject == "bob"
        assert len(house.call("read_all", "ann")) == 1

    def test_so_is_one_that_is_not_there_however_often_it_is_asked_for(self, house: House) -> None:
        headers = cookie(house.login()) | OWN_PAGE
        for number in range(110):
            answer = house.ask("end_session", headers, f"{number:016}", method="DELETE")
            refused(answer, 404, "session_not_found")

    @pytest.mark.parametrize(
        "route, method, path",
        [("logout_others", "POST", ()), ("logout_everywhere", "POST", ()),
         ("sessions", "GET", ()), ("end_session", "DELETE", ("A" * 16,))],
    )  # fmt: skip
    def test_nobody_else_gets_in(
        self, house: House, route: str, method: str, path: tuple[str, ...]
    ) -> None:
        tokens = house.login()
        for headers, status, code in (
            ({}, 401, "credentials_missing"),
            (bearer(house.foreign()), 401, "access_token_invalid"),
            (bearer(house.revoked()), 401, "access_token_revoked"),
            (refresh_cookie(tokens) | OWN_PAGE, 401, "credentials_missing"),
            ({"authorization": "Bearer"}, 400, "invalid_request"),
        ):
            refused(house.ask(route, headers, *path, method=method), status, code)
        if method != "GET":
            for site in (OTHER_SITE, {}):
                answer = house.ask(route, cookie(tokens) | site, *path, method=method)
                refused(answer, 403, "cross_origin")
        assert tokens.session_id in house.call("read_all", "ann")


class TestKeys:
    """``GET jwks`` needs no token, and is answered in short where nothing has changed."""

    def test_the_keys_are_sent_if_the_client_has_them_not_yet(self, house: House) -> None:
        answer = house.ask("jwks", method="GET")
        assert answer.status == 200
        tag = str(header(answer, "etag"))
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            short = house.ask("jwks", {"if-none-match": known}, method="GET")
            assert (short.status, short.body) == (304, b"")
            assert header(short, "etag") == tag
            assert header(short, "cache-control") == header(answer, "cache-control")
            assert header(short, "content-type") is None
        for known in ("", '"x"', tag.strip('"'), tag[:-2] + '"'):
            assert house.ask("jwks", {"if-none-match": known}, method="GET") == answer


class TestOptions:
    """The claims of a refresh are asked of the application, as the manager can ask."""

    def test_what_cannot_be_asked_is_told_at_once(self, house: House) -> None:
        for claims in ("x", {}, 1):
            with pytest.raises(ConfigurationError, match="claims must be"):
                Endpoints(house.gate(), claims)  # type: ignore[arg-type]

    def test_a_coroutine_function_only_beside_what_awaits_it(self, house: House) -> None:
        async def claims_of(session: Any) -> dict[str, Any]:
            return {"of": session.subject}

        if not house.is_async:
            with pytest.raises(ConfigurationError, match="claims must not be"):
                Endpoints(house.gate(), claims_of)
            return
        answer = house.ask("refresh", cookie(house.login()) | OWN_PAGE, claims=claims_of)
        assert house.manager.read(set_cookies(answer)[ACCESS])["of"] == "ann"

    def test_a_request_shows_nothing_of_itself(self, house: House) -> None:
        request = Incoming("POST", Request(bearer(house.login())).get, b"secret")
        assert repr(request) == "<Incoming>"

    def test_hosts_are_compared_for_each_request(self, house: House) -> None:
        headers = cookie(house.login()) | {"origin": f"https://{HOST}", "host": f"{HOST}:443"}
        assert house.ask("logout", headers).status == 204


def test_a_refresh_hook_that_refuses_is_told_as_a_mismatch() -> None:
    def refuse(session: object, context: object) -> None:
        raise ContextMismatch("another country")

    house = House(refresh_hook=refuse)
    refused(house.ask("refresh", cookie(house.login()) | OWN_PAGE), 403, "context_mismatch")
    house.close()
