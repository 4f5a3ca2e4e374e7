"""The cases: which applications are put under load, and which of them are compared.

A family is one route behind one framework, with the token in the header or in a cookie. Its first
case verifies nothing, and the others are compared with that.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Literal, NamedTuple

from .requests import Request, Served, Transport, by_bearer
from .sessions import issue

Interface = Literal["ASGI", "WSGI"]


class Case(NamedTuple):
    """A line of the report."""

    name: str
    family: str
    title: str
    make: Callable[[str], Served]
    needs: str | None = None  # the peer, by its module's name
    verifies: bool = True
    interface: Interface = "ASGI"
    token_counts: tuple[int, ...] = (1_000,)
    checks_origin: bool = False
    """Whether a request is refused that doesn't show that it comes from a page of its own."""
    framework: str | None = None
    """Whose adapter is measured; None where the verifier is called by hand."""


class Contender(NamedTuple):
    """Who takes part in both transports of a framework."""

    name: str
    title: str
    function: str  # in the framework's file
    needs: str | None = None
    by_cookie: str | None = "checked"
    """How it stands with cookies: "checked" by origin or token, "unchecked", None for unable."""


NOTHING = "nothing"
TRANSPORTS: tuple[tuple[Transport, str], ...] = (("bearer", "by header"), ("cookie", "by cookie"))


def by_hand(name: str, family: str, title: str, expression: str, **options: object) -> Case:
    """Return a case of an application that calls the verifier itself.

    Args:
        name: of the case.
        family: of the case.
        title: of the case.
        expression: what is called of ``frameworks/by_hand.py``, and with which verifier.
        options: other fields of the case.
    """

    def make(secret: str) -> Served:
        module = import_module("benchmarks.server.frameworks.by_hand")
        function, _, verifier = expression.partition(" ")
        if verifier:
            application = getattr(module, function)(getattr(module, verifier)(secret))
        else:
            application = getattr(module, function)
        return Served(application, requests_of_service(secret))

    return Case(name, family, title, make, token_counts=(1, 1_000), **options)  # type: ignore[arg-type]


def requests_of_service(secret: str) -> Callable[[int], list[Request]]:
    return lambda count: [by_bearer(tokens.access_token) for tokens in issue(secret, count)]


def behind(
    framework: str, title: str, interface: Interface, nothing: str, contenders: list[Contender]
) -> list[Case]:
    """Return the cases of a framework, in both transports.

    Args:
        framework: the file, and after a colon what the functions' names begin with.
        title: the framework's name.
        interface: how it is served.
        nothing: the title of the case that verifies nothing.
        contenders: who verifies.
    """
    file, _, prefix = framework.partition(":")
    short = prefix.rstrip("_") or file
    cases = []
    for transport, words in TRANSPORTS:
        family = f"{title}, {words}"
        for contender in [Contender(NOTHING, nothing, "nothing"), *contenders]:
            if transport == "cookie" and contender.by_cookie is None:
                continue
            verifies = contender.name != NOTHING
            unchecked = transport == "cookie" and contender.by_cookie == "unchecked"
            cases.append(
                Case(
                    f"{short}-{transport}-{contender.name}",
                    family,
                    contender.title + (", which checks no origin" if unchecked else ""),
                    maker(file, prefix + contender.function, transport),
                    needs=contender.needs,
                    verifies=verifies,
                    interface=interface,
                    checks_origin=verifies and transport == "cookie" and not unchecked,
                    framework=title,
                )
            )
    return cases


def maker(file: str, function: str, transport: Transport) -> Callable[[str], Served]:
    """Return what imports the framework and makes the application, once it is called."""

    def make(secret: str) -> Served:
        module = import_module(f"benchmarks.server.frameworks.{file}")
        served: Served = getattr(module, function)(secret, transport)
        return served

    return make


OURS = Contender("tokenwheel", "tokenwheel", "tokenwheel")
SUPERTOKENS = Contender(
    "supertokens", "SuperTokens' SDK (RS256)", "supertokens", "supertokens_python"
)

CASES = {
    case.name: case
    for case in [
        by_hand("bare", "bare ASGI", "no verification", "bare", verifies=False),
        by_hand(
            "bare-header",
            "bare ASGI",
            "token taken from the header, not verified",
            "bare_verifying no_verifier",
            verifies=False,
        ),
        by_hand("bare-tokenwheel", "bare ASGI", "tokenwheel", "bare_verifying tokenwheel_verifier"),
        by_hand(
            "bare-gate",
            "bare ASGI",
            "tokenwheel's gate, which takes the token from the header by itself",
            "bare_behind_gate tokenwheel_gate",
        ),
        by_hand(
            "bare-forgetful",
            "bare ASGI",
            "tokenwheel, remembering none",
            "bare_verifying forgetful_verifier",
        ),
        by_hand("bare-ryjwt", "bare ASGI", "ryjwt", "bare_verifying ryjwt_verifier", needs="ryjwt"),
        by_hand("bare-pyjwt", "bare ASGI", "PyJWT", "bare_verifying pyjwt_verifier", needs="jwt"),
        by_hand(
            "fastapi-nothing",
            "FastAPI",
            "a dependency that does nothing",
            "fastapi_with_nothing",
            verifies=False,
        ),
        by_hand("fastapi", "FastAPI", "no dependency", "fastapi_alone", verifies=False),
        by_hand(
            "fastapi-tokenwheel",
            "FastAPI",
            "tokenwheel in a dependency",
            "fastapi_verifying tokenwheel_verifier",
        ),
        by_hand(
            "fastapi-around",
            "FastAPI",
            "tokenwheel in a middleware",
            "fastapi_behind_middleware tokenwheel_verifier",
        ),
        by_hand(
            "fastapi-ryjwt",
            "FastAPI",
            "ryjwt in a dependency",
            "fastapi_verifying ryjwt_verifier",
            needs="ryjwt",
        ),
        by_hand(
            "fastapi-pyjwt",
            "FastAPI",
            "PyJWT in a dependency",
            "fastapi_verifying pyjwt_verifier",
            needs="jwt",
        ),
        *behind("bare", "A bare ASGI application", "ASGI", "no middleware", [OURS]),
        *behind("starlette", "Starlette", "ASGI", "a middleware that does nothing", [OURS]),
        *behind(
            "fastapi",
            "FastAPI",
            "ASGI",
            "a dependency that does nothing",
            [
                OURS,
                Contender("authx", "AuthX", "authx", "authx"),
                Contender(
                    "users", "fastapi-users (JWT)", "fastapi_users", "fastapi_users", "unchecked"
                ),
                SUPERTOKENS,
            ],
        ),
        *behind(
            "flask",
            "Flask",
            "WSGI",
            "a decorator that does nothing",
            [
                OURS,
                Contender(
                    "extended", "Flask-JWT-Extended", "flask_jwt_extended", "flask_jwt_extended"
                ),
                SUPERTOKENS,
            ],
        ),
        *behind("quart", "Quart", "ASGI", "a decorator that does nothing", [OURS]),
        *behind(
            "django",
            "Django",
            "WSGI",
            "a middleware and a decorator that do nothing",
            [OURS, SUPERTOKENS],
        ),
        *behind(
            "django:rest_",
            "Django REST framework",
            "WSGI",
            "an authentication class that does nothing",
            [
                OURS,
                Contender("simplejwt", "simplejwt", "simplejwt", "rest_framework_simplejwt", None),
            ],
        ),
    ]
}
REFERENCES = {case.family: case.name for case in reversed(CASES.values())}
"""The case that the others of a family are compared with."""
