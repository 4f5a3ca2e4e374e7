"""The two cookies: their names and attributes, and that a header with them is read in one way."""

from __future__ import annotations

from http.cookies import SimpleCookie
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import cookie_parser
from werkzeug.http import parse_cookie

from tests.doors.guises import HOSTILE, hostile
from tests.liars import Text
from tests.web.gates import ACCESS, REFRESH, House, Request, cookie
from tokenwheel import ConfigurationError, InvalidArgument, TokenwheelError
from tokenwheel.web import Cookies, MalformedCredentials

OPTIONS: dict[str, tuple[Any, ...]] = {
    "same_site": ("Lax", "Strict", "None"),
    "domain": (None, "example.com", "Shop.Example.com"),
    "refresh_path": ("/", "/session", "/{max_age}"),
    "persistent": (True, False),
    "partitioned": (True, False),
    "insecure_localhost": (True, False),
}
LONGEST_LIFETIME = 400 * 86_400


def all_cookies() -> list[Cookies]:
    """Return cookies with each combination of options that goes together."""
    chosen = (dict(zip(OPTIONS, values, strict=True)) for values in product(*OPTIONS.values()))
    return [Cookies(**options) for options in chosen if goes_together(options)]


def goes_together(options: dict[str, Any]) -> bool:
    """Return False for what a browser would refuse, or nobody can mean."""
    needs_tls = options["same_site"] == "None" or options["partitioned"] or options["domain"]
    return not (options["insecure_localhost"] and needs_tls)


ALL = all_cookies()


def attributes_of(line: str) -> dict[str, str]:
    pairs = [attribute.partition("=") for attribute in line.split("; ")[1:]]
    attributes = {name: value for name, _, value in pairs}
    assert len(attributes) == len(pairs)
    return attributes


def value_of(line: str) -> str:
    return line.partition(";")[0].partition("=")[2]


class TestAttributes:
    """Both cookies are as docs/web.md says, and written and deleted by the same function."""

    def test_by_default(self) -> None:
        access, refresh = Cookies().write("a.b.c", "r", 60)
        rest = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"
        assert access == f"__Host-tw-access=a.b.c; {rest}"
        assert refresh == f"__Host-tw-refresh=r; {rest}"

    def test_deleted_by_default(self) -> None:
        rest = "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
        assert Cookies().delete() == (f"{ACCESS}=; {rest}", f"{REFRESH}=; {rest}")

    def test_deleting_equals_writing_in_all_attributes_for_all_options(self) -> None:
        for cookies in ALL:
            written, deleted = cookies.write("a", "r", 60), cookies.delete()
            for write, delete in zip(written, deleted, strict=True):
                assert value_of(delete) == ""
                assert write.partition("=")[0] == delete.partition("=")[0]
                expected = attributes_of(write) | {"Max-Age": "0"}
                assert attributes_of(delete) == expected

    def test_no_script_reads_one_and_no_attribute_is_missing(self) -> None:
        for cookies in ALL:
            for line in cookies.write("a", "r", 60):
                attributes = attributes_of(line)
                assert attributes["HttpOnly"] == ""
                assert attributes["SameSite"] in OPTIONS["same_site"]
                assert attributes["Path"] in OPTIONS["refresh_path"]
                assert ("Secure" in attributes) is not cookies.is_local

    def test_names_fit_the_attributes_for_all_options(self) -> None:
        for cookies in ALL:
            for line in cookies.write("a", "r", 60):
                name, attributes = line.partition("=")[0], attributes_of(line)
                if cookies.is_local:
                    assert not name.startswith("__")
                elif attributes["Path"] == "/" and "Domain" not in attributes:
                    assert name.startswith("__Host-")
                else:
                    assert name.startswith("__Secure-")

    def test_a_domain_or_a_path_switches_the_names_by_itself(self) -> None:
        cookies = Cookies(domain="example.com")
        assert (cookies.access, cookies.refresh) == ("__Secure-tw-access", "__Secure-tw-refresh")
        cookies = Cookies(refresh_path="/session")
        assert (cookies.access, cookies.refresh) == (ACCESS, "__Secure-tw-refresh")

    def test_the_session_s_rest_is_cut_at_400_days(self) -> None:
        for lifetime, max_age in (
            (-5, 0), (0, 0), (1, 1), (LONGEST_LIFETIME, LONGEST_LIFETIME), (2**70, LONGEST_LIFETIME)
        ):  # fmt: skip
            for line in Cookies().write("a", "r", lifetime):
                assert attributes_of(line)["Max-Age"] == str(max_age)

    def test_cookies_that_do_not_persist_have_no_max_age_but_are_deleted_by_one(self) -> None:
        cookies = Cookies(persistent=False)
        for line in cookies.write("a", "r", 60):
            assert "Max-Age" not in line
            assert "Expires" not in line
        for line in cookies.delete():
            assert attributes_of(line)["Max-Age"] == "0"

    def test_a_path_is_written_as_it_is(self) -> None:
        refresh = Cookies(refresh_path="/{max_age}").write("a", "r", 60)[1]
        assert attributes_of(refresh)["Path"] == "/{max_age}"


class TestSizes:
    """A cookie over 4,096 bytes is told at login, never dropped and never split."""

    def test_the_longest_is_written_and_one_byte_more_is_told(self) -> None:
        room = 4096 - len(Cookies().write("a", "r", 60)[0]) + 1
        access, _ = Cookies().write("a" * room, "r", 60)
        assert len(access) == 4096
        with pytest.raises(InvalidArgument, match=r"access token would have 4097 bytes"):
            Cookies().write("a" * (room + 1), "r", 60)
        with pytest.raises(InvalidArgument, match=r"refresh token would have"):
            Cookies().write("a", "r" * 4096, 60)

    def test_a_login_with_too_many_claims_says_so(self, house: House) -> None:
        tokens = house.login({"x": "y" * 4000})
        with pytest.raises(InvalidArgument, match="fewer or shorter claims"):
            house.gate().welcome(tokens, via="cookie")
        assert house.gate().welcome(tokens, via="bearer").status == 200

    @pytest.mark.parametrize(
        "value", ["", "a;b", "a b", "a,b", 'a"b', "a\\b", "\xe9", "a\r\nb", "\0"]
    )
    def test_what_is_no_token_is_never_written(self, value: str) -> None:
        for tokens in ((value, "r"), ("a", value)):
            with pytest.raises(InvalidArgument, match="must be a token"):
                Cookies().write(*tokens, 60)


class TestOptions:
    """What makes no sense together is told when it is written down."""

    @pytest.mark.parametrize(
        "options, said",
        [
            ({"same_site": "lax"}, "same_site must be"),
            ({"same_site": None}, "same_site must be"),
            ({"domain": "https://example.com"}, "domain must be"),
            ({"domain": ".example.com"}, "domain must be"),
            ({"domain": "example.com:8000"}, "domain must be"),
            ({"domain": "127.0.0.1"}, "domain must be"),
            ({"domain": "example.com; Path=/x"}, "domain must be"),
            ({"domain": "localhost"}, "domain must be"),
            ({"domain": ""}, "domain must be"),
            ({"domain": "example.com\n"}, "domain must be"),
            ({"refresh_path": "session"}, "refresh_path must be"),
            ({"refresh_path": ""}, "refresh_path must be"),
            ({"refresh_path": "/a;b"}, "refresh_path must be"),
            ({"refresh_path": "/a b"}, "refresh_path must be"),
            ({"refresh_path": "/\r\nx: y"}, "refresh_path must be"),
            ({"refresh_path": None}, "refresh_path must be"),
            ({"persistent": 1}, "persistent must be"),
            ({"partitioned": None}, "partitioned must be"),
            ({"insecure_localhost": "yes"}, "insecure_localhost must be"),
            ({"access": ""}, "access must be"),
            ({"access": "a b"}, "access must be"),
            ({"access": "a=b"}, "access must be"),
            ({"access": "a;b"}, "access must be"),
            ({"refresh": "\xe9"}, "refresh must be"),
            ({"refresh": None}, "refresh must be"),
            ({"access": "__Host-"}, "more than a prefix"),
            ({"access": "__host-", "insecure_localhost": True}, "more than a prefix"),
            ({"access": "same", "refresh": "same"}, "two names"),
            ({"access": "__Host-x", "refresh": "x", "insecure_localhost": True}, "two names"),
            ({"access": "__Host-mine", "domain": "example.com"}, "begins with __Host-"),
            ({"access": "__HOST-mine", "domain": "example.com"}, "begins with __Host-"),
            ({"refresh": "__Host-mine", "refresh_path": "/session"}, "begins with __Host-"),
            ({"refresh": "__host-tw-refresh", "refresh_path": "/s"}, "begins with __Host-"),
            ({"insecure_localhost": True, "same_site": "None"}, "insecure_localhost goes with"),
            ({"insecure_localhost": True, "partitioned": True}, "insecure_localhost goes with"),
            ({"insecure_localhost": True, "domain": "example.com"}, "insecure_localhost does not"),
        ],
    )
    def test_an_option_that_makes_no_sense_is_named(
        self, options: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=said):
            Cookies(**options)

    def test_names_of_one_s_own_are_kept(self) -> None:
        for name in ("sid", "__Host-sid", "__Secure-sid", "__Http-sid", "__Host-Http-sid"):
            assert Cookies(name).access == name

    def test_prefixes_are_dropped_on_localhost_however_they_are_written(self) -> None:
        for name in ("__Host-x", "__secure-x", "__HOST-__Secure-x", "__Host-Http-x", "__Http-x"):
            access = Cookies(name, insecure_localhost=True).access
            assert access in {"x", "Http-x"}

    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("option", [*OPTIONS, "access", "refresh"])
    def test_whatever_is_handed_in_errors_are_the_library_s_own(
        self, option: str, name: str
    ) -> None:
        try:
            Cookies(**{option: hostile(name)})
        except ConfigurationError:
            pass

    @pytest.mark.parametrize("name", HOSTILE)
    def test_so_they_are_where_cookies_are_read_and_written(self, name: str) -> None:
        cookies = Cookies()
        for call in (
            cookies.read_access,
            cookies.read_refresh,
            lambda what: cookies.write(what, "r", 60),
            lambda what: cookies.write("a", what, 60),
            lambda what: cookies.write("a", "r", what),
        ):
            try:
                call(hostile(name))
            except TokenwheelError:
                pass

    def test_texts_are_taken_for_their_characters(self) -> None:
        cookies = Cookies(Text("__Host-x"), same_site=Text("Strict"), refresh_path=Text("/s"))  # type: ignore[arg-type]
        assert cookies.access == "__Host-x"
        assert all(type(line) is str for line in cookies.write(Text("a"), Text("r"), 60))


class TestReading:
    """A header is split at ``;``, then at the first ``=``; spaces and tabs around are dropped."""

    @pytest.mark.parametrize(
        "header, expected",
        [
            ("{}=x", "x"),
            ("a=b; {}=x", "x"),
            ("a=b;{}=x;c=d", "x"),
            ("a=b;\t {} \t=\t x \t;", "x"),
            ("{}=x=y==", "x=y=="),
            ("{}=", None),
            ("{}", None),
            ("a={}", None),
            ("a={}=x", None),
            ("={}=x", None),
            ("{}2=x", None),
            ("x{}=x", None),
            ("$Version=1; {}=x; $Path=/", "x"),
            ("$Version=1; ${}=x", None),
            ('{}="x"', '"x"'),
            ('{}="x; {}=y', None),
            ('a="b; {}=x; c"; d', "x"),
            ('a="; {}=x', "x"),
            ("a=b, {}=x", None),
            ("{}=x, {}=y", "x, {}=y"),
            ("a=b\n; {}=x", "x"),
            ("\xa0{}=x", None),
            ("\x0b{}=x", None),
            ("{}\0=x", None),
            ("{}=x\0y", "x\0y"),
            ("{}=\xe9\u20ac", "\xe9\u20ac"),
            ("{}=%22x%22", "%22x%22"),
            ("", None),
            (";;;", None),
            ("{} {}=x", None),
        ],
    )
    def test_a_header_is_read_in_one_way(self, header: str, expected: str | None) -> None:
        said = header.replace("{}", ACCESS)
        if header == '{}="x; {}=y':
            with pytest.raises(MalformedCredentials):
                Cookies().read_access(said)
            return
        wanted = None if expected is None else expected.replace("{}", ACCESS)
        assert Cookies().read_access(said) == wanted
        assert Cookies().read_refresh(said) is None

    @pytest.mark.parametrize(
        "header",
        ["{}=x; {}=y", "{}=x;{}=x", "{}=; {}=x", "{}=x; {}=", "{}=x; a=b;\t{}\t=y", "{}=;{}="],
    )
    def test_two_of_our_name_are_never_chosen_between(self, header: str) -> None:
        for read, name in ((Cookies().read_access, ACCESS), (Cookies().read_refresh, REFRESH)):
            with pytest.raises(MalformedCredentials, match="two cookies"):
                read(header.replace("{}", name))

    def test_nothing_is_unquoted(self, house: House) -> None:
        token = house.login().access_token
        with pytest.raises(TokenwheelError) as caught:
            house.gate().admit("GET", Request({"cookie": f'{ACCESS}="{token}"'}).get)
        assert caught.value.code == "access_token_invalid"


class TestLocalhost:
    """``insecure_localhost`` is for this machine alone."""

    HOSTS = ("localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:80", "[::1]",
             "[::1]:8000")  # fmt: skip
    OTHERS = ("app.example", "localhost.evil.example", "localhost.", "127.0.0.2", "::1", "[::2]",
              "0.0.0.0", "evil.example:80", "localhost:x", "localhost@evil.example", "", "127.1",
              "localho\u017ft", "localhost, localhost")  # fmt: skip

    def headers(self, house: House, host: str) -> dict[str, str]:
        tokens = house.login()
        return {
            "host": host,
            "cookie": f"tw-access={tokens.access_token}; tw-refresh={tokens.refresh_token}",
            "sec-fetch-site": "same-origin",
        }

    @pytest.mark.parametrize("host", HOSTS)
    def test_it_works_there(self, house: House, host: str) -> None:
        gate = house.gate(cookies=Cookies(insecure_localhost=True))
        headers = Request(self.headers(house, host)).get
        assert gate.admit("POST", headers).subject == "ann"
        assert gate.refresh_token("POST", headers).transport == "cookie"
        assert gate.transport_of(headers) == "cookie"

    @pytest.mark.parametrize("host", OTHERS)
    def test_it_works_nowhere_else(self, house: House, host: str) -> None:
        gate = house.gate(cookies=Cookies(insecure_localhost=True))
        headers = Request(self.headers(house, host)).get
        for call in (
            lambda: gate.admit("GET", headers),
            lambda: gate.admit_optional("GET", headers),
            lambda: gate.refresh_token("POST", headers),
            lambda: gate.transport_of(headers),
        ):
            with pytest.raises(ConfigurationError, match="insecure_localhost"):
                call()

    def test_elsewhere_the_host_says_nothing_of_the_names(self, house: House) -> None:
        headers = self.headers(house, "localhost")
        assert house.gate().admit_optional("GET", Request(headers).get) is None
        assert house.gate().admit("GET", Request(cookie(house.login()), host="localhost").get)


def by_the_model(header: str, name: str) -> list[str]:
    """Return the values of all cookies of a name, in the dullest way."""
    values = []
    for pair in header.split(";"):
        if "=" not in pair:
            continue
        place = pair.index("=")
        if pair[:place].strip(" \t") == name:
            values.append(pair[place + 1 :].strip(" \t"))
    return values


HEADERS = st.one_of(
    st.text(),
    st.binary().map(lambda raw: raw.decode("latin-1")),
    st.lists(
        st.sampled_from(
            [ACCESS, REFRESH, "x", "__Host-", "=", ";", "; ", " ", "\t", '"', ",", "\\", "$", "\0",
             "\r\n", "\xa0", "a.b.c", "%3D", "=="]
        )
    ).map("".join),
)  # fmt: skip


@given(HEADERS, st.sampled_from([Cookies(), Cookies("x", "a.b.c")]))
def test_any_header_is_read_as_by_the_model(header: str, cookies: Cookies) -> None:
    for read, name in (
        (cookies.read_access, cookies.access),
        (cookies.read_refresh, cookies.refresh),
    ):
        values = by_the_model(header, name)
        try:
            value = read(header)
        except MalformedCredentials:
            assert len(values) > 1
        else:
            assert [value or ""] == values or (value is None and values in ([], [""]))


HONEST = st.text("abcdefXYZ0123456789._-", min_size=1, max_size=20)


@given(st.dictionaries(HONEST, HONEST, max_size=5), HONEST)
def test_what_a_browser_sends_is_read_as_others_read_it(others: dict[str, str], token: str) -> None:
    header = "; ".join(f"{name}={value}" for name, value in {**others, ACCESS: token}.items())
    assert Cookies().read_access(header) == token
    assert cookie_parser(header)[ACCESS] == token
    assert parse_cookie(header)[ACCESS] == token
    assert SimpleCookie(header)[ACCESS].value == token


@given(
    st.text("ab-.", min_size=1), st.text("ab-.", min_size=1), st.integers(-5, 2**40),
    st.sampled_from(ALL),
)  # fmt: skip
def test_what_is_written_is_read_again(
    access: str, refresh: str, lifetime: int, cookies: Cookies
) -> None:
    header = "; ".join(line.partition(";")[0] for line in cookies.write(access, refresh, lifetime))
    assert cookies.read_access(header) == access
    assert cookies.read_refresh(header) == refresh
