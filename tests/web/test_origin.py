"""Whether a page of this site made a browser send a request: the checks, in their order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.gates import HOST, House, Request, bearer, cookie
from tokenwheel import ConfigurationError
from tokenwheel.web import CrossOriginRequest
from tokenwheel.web.origin import check_origin, check_trusted_origins, comes_from_browser

TRUSTED = frozenset({"https://shop.example", "https://shop.example:8443"})


def passes(headers: dict[str, str]) -> bool:
    try:
        check_origin(Request(headers).get, TRUSTED)
    except CrossOriginRequest:
        return False
    return True


class TestOrder:
    """First trusted origins, then Fetch Metadata, then Origin against Host, then neither."""

    @pytest.mark.parametrize("site", [None, "same-origin", "none", "same-site", "cross-site", "x"])
    def test_a_trusted_origin_passes_whatever_else_is_said(self, site: str | None) -> None:
        said = {} if site is None else {"sec-fetch-site": site}
        for origin in TRUSTED:
            assert passes({"origin": origin, **said})
        assert passes({"origin": "https://shop.example", "host": "evil.example", **said})

    @pytest.mark.parametrize(
        "site, expected",
        [
            ("same-origin", True), ("none", True), ("same-site", False), ("cross-site", False),
            ("", False), ("Same-Origin", False), ("same-origin ", False), ("x", False),
            ("same-origin, same-origin", False), ("none, cross-site", False),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize(
        "origin", [None, f"https://{HOST}", "https://evil.example", f"http://{HOST}:1"]
    )
    def test_fetch_metadata_decides_before_origin_and_host(
        self, site: str, expected: bool, origin: str | None
    ) -> None:
        said = {} if origin is None else {"origin": origin}
        assert passes({"sec-fetch-site": site, **said}) is expected

    @pytest.mark.parametrize(
        "origin, host",
        [
            ("https://app.example", "app.example"),
            ("http://app.example", "app.example"),
            ("https://app.example", "app.example:443"),
            ("https://app.example:443", "app.example"),
            ("http://app.example", "app.example:80"),
            ("http://app.example:8000", "app.example:8000"),
            ("https://APP.Example", "app.example"),
            ("https://app.example", "APP.EXAMPLE:443"),
            ("HTTPS://app.example", "app.example"),
            ("http://[::1]", "[::1]"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]:8000", "[::1]:8000"),
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("https://app.example.", "app.example."),
        ],
    )
    def test_the_same_host_and_port_pass(self, origin: str, host: str) -> None:
        assert passes({"origin": origin, "host": host})

    @pytest.mark.parametrize(
        "origin, host",
        [
            ("https://evil.example", "app.example"),
            ("https://app.example.evil.example", "app.example"),
            ("https://evilapp.example", "app.example"),
            ("https://sub.app.example", "app.example"),
            ("https://app.example.", "app.example"),
            ("https://app.example:8443", "app.example"),
            ("https://app.example", "app.example:8443"),
            ("https://app.example", "app.example:80"),
            ("http://app.example", "app.example:443"),
            ("https://app.example:80", "app.example:443"),
            ("https://app.example@evil.example", "app.example"),
            ("https://evil.example@app.example", "app.example"),
            ("https://app.example:x@evil.example", "app.example"),
            ("https://app.example/", "app.example"),
            ("https://app.example/x", "app.example"),
            ("https://app.example?", "app.example"),
            ("https://app.example#", "app.example"),
            ("https://app.example\\", "app.example"),
            ("https://app.example https://evil.example", "app.example"),
            ("https://app.example, https://evil.example", "app.example"),
            ("ftp://app.example", "app.example"),
            ("chrome-extension://app.example", "app.example"),
            ("file://", ""),
            ("file://app.example", "app.example"),
            ("app.example", "app.example"),
            ("//app.example", "app.example"),
            ("://app.example", "app.example"),
            ("https:app.example", "app.example"),
            ("https://", ""),
            ("https://:443", ":443"),
            ("https://", "app.example"),
            ("", "app.example"),
            ("", ""),
            ("*", "app.example"),
            ("https://app.example", ""),
            ("https://app.example", "app.example, app.example"),
            ("http://[::1]", "::1"),
            ("http://[::1]", "[::2]"),
            ("http://127.0.0.1", "localhost"),
        ],
    )
    def test_any_other_host_or_port_is_refused(self, origin: str, host: str) -> None:
        assert not passes({"origin": origin, "host": host})

    def test_a_request_without_a_host_is_refused(self) -> None:
        headers = {"origin": "https://app.example"}
        with pytest.raises(CrossOriginRequest, match="Origin and Host"):
            check_origin(headers.get, TRUSTED)

    def test_neither_header_is_refused_and_said_to_be_missing(self) -> None:
        with pytest.raises(CrossOriginRequest, match=r"needs Sec-Fetch-Site or Origin.*proxy"):
            check_origin(Request().get, TRUSTED)

    @pytest.mark.parametrize("site", [None, "same-origin", "none"])
    def test_the_origin_null_never_passes(self, site: str | None) -> None:
        said = {} if site is None else {"sec-fetch-site": site}
        with pytest.raises(CrossOriginRequest, match="'null'"):
            check_origin(Request({"origin": "null", "host": "null", **said}).get, TRUSTED)
        assert not passes({"origin": f"null, https://{HOST}", **said})

    def test_what_a_proxy_forwards_is_never_read(self) -> None:
        asked = []

        def headers(name: str) -> str | None:
            asked.append(name)
            return {"origin": "https://evil.example", "host": HOST}.get(name)

        with pytest.raises(CrossOriginRequest):
            check_origin(headers, TRUSTED)
        assert set(asked) == {"origin", "sec-fetch-site", "host"}
        forwarded = {"x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
        assert not passes({"origin": "https://evil.example", **forwarded})

    def test_no_error_repeats_what_the_request_said(self) -> None:
        for said in ({"origin": "https://evil.example"}, {"sec-fetch-site": "evil.example"}):
            with pytest.raises(CrossOriginRequest) as caught:
                check_origin(Request(said).get, TRUSTED)
            assert "evil" not in str(caught.value)


class TestTrustedOrigins:
    """They are exactly what a browser sends, so that none can be one that never comes."""

    def test_what_browsers_send_is_taken(self) -> None:
        given = [
            "https://app.example", "http://localhost:3000", "http://[::1]:8000", "https://a.b:1",
            "capacitor://localhost", "chrome-extension://abcdefghijklmnop", "http://app.example:443",
        ]  # fmt: skip
        assert check_trusted_origins(given) == frozenset(given)
        assert check_trusted_origins(()) == frozenset()

    @pytest.mark.parametrize(
        "origin",
        ["*", "null", "", "app.example", "https://*.example", "https://app.example/", "https://",
         "https://App.example", "HTTPS://app.example", "https://app.example:443", "//app.example",
         "http://app.example:80", "https://app.example:", "https://app.example:0443", "https://a:0",
         "https://a@b", "https://a b", " https://a", "https://a\n", "https://a:123456", None, 1,
         b"https://a", "https://\xe9", ["https://a"]],
    )  # fmt: skip
    def test_what_never_comes_is_refused(self, origin: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"trusted_origins (has|must)"):
            check_trusted_origins(["https://good.example", origin])

    @pytest.mark.parametrize("given", ["https://a", b"https://a", None, {"https://a"}, 1])
    def test_they_are_a_list(self, given: Any) -> None:
        with pytest.raises(ConfigurationError, match="must be a list"):
            check_trusted_origins(given)

    def test_a_gate_trusts_them_wherever_it_checks(self, house: House) -> None:
        tokens = house.login()
        headers = Request(
            cookie(tokens), origin="https://shop.example", **{"sec-fetch-site": "cross-site"}
        ).get
        gate = house.gate(trusted_origins=["https://shop.example"])
        assert gate.admit("POST", headers).subject == "ann"
        assert gate.admit("GET", headers, websocket=True).subject == "ann"
        assert gate.refresh_token("POST", headers).transport == "cookie"
        assert gate.transport_of(headers) == "cookie"
        for call in (
            lambda: house.gate().admit("POST", headers),
            lambda: house.gate().refresh_token("POST", headers),
            lambda: house.gate().transport_of(headers),
        ):
            with pytest.raises(CrossOriginRequest):
                call()


class TestLogin:
    """A browser gets cookies whatever else it says, and only from a page of this site."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "same-origin"},
            {"origin": f"https://{HOST}"},
            {"sec-fetch-site": "none"},
        ],
    )
    def test_a_browser_gets_cookies_whatever_it_asks_for(
        self, house: House, headers: dict[str, str]
    ) -> None:
        asked = headers | {"x-transport": "bearer", "accept": "application/json"}
        asked |= bearer(house.login()) | {"user-agent": "my-app/1.0"}
        assert house.gate().transport_of(Request(asked).get) == "cookie"

    def test_others_get_bearers(self, house: House) -> None:
        assert house.gate().transport_of(Request().get) == "bearer"
        assert house.gate().transport_of(Request(cookie(house.login())).get) == "bearer"

    def test_another_site_cannot_make_a_browser_log_in(self, house: House) -> None:
        for headers in (
            {"sec-fetch-site": "cross-site"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
        ):
            with pytest.raises(CrossOriginRequest):
                house.gate().transport_of(Request(headers).get)

    def test_where_there_is_one_transport_it_is_that_one(self, house: House) -> None:
        browser = Request({"sec-fetch-site": "cross-site"}).get
        assert house.gate(cookies=None).transport_of(browser) == "bearer"
        gate = house.gate(bearer=False)
        assert gate.transport_of(Request({"sec-fetch-site": "same-origin"}).get) == "cookie"
        with pytest.raises(CrossOriginRequest, match="needs Sec-Fetch-Site or Origin"):
            gate.transport_of(Request().get)


VALUES = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.sampled_from(
        ["null", "same-origin", "none", "cross-site", f"https://{HOST}", HOST, f"{HOST}:443",
         "https://shop.example", "https://", "http://[", "https://a:b:c", "same-origin,none"]
    ),
)  # fmt: skip


@given(VALUES, VALUES, VALUES)
def test_any_headers_pass_by_the_rules_or_are_refused(
    origin: str | None, site: str | None, host: str | None
) -> None:
    said = {"origin": origin, "sec-fetch-site": site, "host": host}
    headers = {name: value for name, value in said.items() if value is not None}
    try:
        check_origin(headers.get, TRUSTED)
        passed = True
    except CrossOriginRequest:
        passed = False
    if origin in TRUSTED:
        assert passed
    elif origin == "null" or "," in (origin or ""):
        assert not passed
    elif site is not None:
        assert passed is (site in {"same-origin", "none"})
    elif origin is None or host is None:
        assert not passed
    elif passed:
        assert origin.lower().startswith(("https://", "http://"))
        assert host.lower().partition(":")[0] in origin.lower()
    assert comes_from_browser(headers.get) is ("origin" in headers or "sec-fetch-site" in headers)
