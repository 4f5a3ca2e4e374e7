"""What ``tokenwheel doctor`` says of the installation: versions, what is compiled, what works."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from .. import __version__
from .._impl import implementation
from ..errors import AccessTokenRevoked
from ..keys import Key, KeySet
from ..session import SessionManager
from .findings import Finding, good, note, wrong

__all__ = ["examine_dependencies", "examine_installation", "try_sessions"]

# ``redis>=5.0.1; extra == "redis"``, as a distribution's metadata has it.
_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)\s*(?:>=\s*(?P<oldest>[\w.]+))?(?:.*extra == [\"'](?P<extra>\w+)[\"'])?"
)


def examine_installation() -> Iterator[Finding]:
    """Yield what this process runs: tokenwheel, Python, the system and its libraries."""
    yield good("version", __version__)
    yield _implementation()
    yield good("Python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield good("lock of the interpreter", _gil())
    yield good("system", " ".join((platform.system(), platform.machine(), *platform.libc_ver())))
    yield good("OpenSSL of Python", ssl.OPENSSL_VERSION)
    yield _openssl_of_cryptography()
    yield good("SQLite", sqlite3.sqlite_version)


def _implementation() -> Finding:
    is_built = importlib.util.find_spec("tokenwheel._native.verifier") is not None
    if implementation == "native":
        return good("implementation", "compiled")
    if is_built:
        return note("implementation", "pure Python, as TOKENWHEEL_IMPL=pure asks for")
    asked = " (TOKENWHEEL_IMPL=pure)" if os.environ.get("TOKENWHEEL_IMPL") == "pure" else ""
    return note(
        "implementation",
        f"pure Python{asked}: no compiled extension is installed. It behaves the same and is "
        "slower. A wheel for this Python and system, or a C compiler, brings it",
    )


def _gil() -> str:
    is_enabled = getattr(sys, "_is_gil_enabled", lambda: True)()
    return "on" if is_enabled else "off (free-threaded)"


def _openssl_of_cryptography() -> Finding:
    try:
        from cryptography.hazmat.backends.openssl import backend
    except ImportError as error:
        return wrong(
            "OpenSSL of cryptography", f"it can't be loaded ({type(error).__name__}): install anew"
        )
    return good("OpenSSL of cryptography", backend.openssl_version_text())


def examine_dependencies() -> Iterator[Finding]:
    """Yield what each dependency's version is, the optional ones' too, and which is too old."""
    for requirement in requires("tokenwheel") or ():
        parsed = _REQUIREMENT.match(requirement)
        if parsed is not None:
            yield _dependency(parsed["name"], parsed["oldest"], parsed["extra"])


def _dependency(name: str, oldest: str | None, extra: str | None) -> Finding:
    try:
        installed = version(name)
    except PackageNotFoundError:
        if extra is None:
            return wrong(name, f"not installed: pip install '{name}>={oldest}'")
        return good(name, f"not installed, optional: pip install 'tokenwheel[{extra}]'")
    if oldest is not None and _release(installed) < _release(oldest):
        return wrong(name, f"{installed} is too old: pip install '{name}>={oldest}'")
    return good(name, installed)


def _release(text: str) -> tuple[int, ...]:
    """Return the numbers with which a version begins (PEP 440), without zeros at the end."""
    numbers = [int(number) for number in re.findall(r"\d+", re.split(r"[^\d.]", text)[0])]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def try_sessions() -> Finding:
    """Open, read and end a session in memory, as an application does."""
    try:
        with SessionManager(KeySet(Key.generate("ES256")), issuer="i", audience="a") as manager:
            tokens = manager.create(subject="somebody")
            manager.read(tokens.access_token)
            manager.delete_all("somebody")
            try:
                manager.read(tokens.access_token)
            except AccessTokenRevoked:
                return good("a session in memory", "opened, read, ended and refused")
    except Exception as error:  # Whatever it is belongs into the report.
        return wrong("a session in memory", f"it raised {type(error).__name__}")
    return wrong("a session in memory", "its token was accepted after it had been ended")
