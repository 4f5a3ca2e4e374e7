"""The two cookies of a session: what they are called, and how they are written, read and deleted.

The names and attributes follow RFC 6265bis: ``__Host-`` keeps a sibling subdomain from planting a
cookie, and ``HttpOnly`` keeps scripts from reading one.
"""

from __future__ import annotations

import re
from typing import Literal

from ..errors import ConfigurationError, InvalidArgument
from ..exact import as_given, named, text_of, whole_number_of
from ..hidden import clears_locals
from .errors import MalformedCredentials

__all__ = ["Cookies", "find_cookie"]

_LONGEST = 4096  # bytes that browsers keep of a name, a value and attributes together
_LONGEST_LIFETIME = 400 * 86_400  # seconds: what browsers cut a Max-Age to
_SAME_SITE = ("Lax", "Strict", "None")
_PREFIXES = ("__host-", "__secure-", "__http-")  # in lower case, as browsers compare them
_is_local_host = re.compile(
    r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII
).fullmatch
_is_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}").fullmatch
_is_domain = re.compile(r"(?!\d+(\.\d+){3}$)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+").fullmatch
_is_path = re.compile(r"/[!-:<-~]{0,255}").fullmatch
_is_value = re.compile(r"[!#-+\--:<-\[\]-~]+").fullmatch  # RFC 6265, section 4.1.1


class Cookies:
    """How a browser keeps the two tokens of a session.

    Both cookies are ``Secure`` and ``HttpOnly``, and live as long as the session: an access token
    that has expired still arrives, and is answered as worth a refresh.

    Args:
        access: the name of the cookie with the access token.
        refresh: the name of the cookie with the refresh token.
        same_site: ``"Lax"``, ``"Strict"``, or ``"None"`` for a page that other sites frame.
        domain: shares the cookies with all subdomains of this one, which can then plant them, too.
        refresh_path: sends the refresh token only below this path.
        persistent: whether the cookies outlive the browser's own session.
        partitioned: keeps a jar for each site that frames the page (CHIPS).
        insecure_localhost: for development without TLS, on ``localhost``, ``127.0.0.1`` and
            ``[::1]`` alone: the cookies have no prefix and are not ``Secure``.

    A name that begins with ``__Host-`` can have neither a ``domain`` nor a path. The names that are
    the default begin with ``__Secure-`` then.

    Raises:
        ConfigurationError: an option makes no sense, or a name does not fit its attributes.
    """

    __slots__ = (
        "_attributes",
        "_is_persistent",
        "_paths",
        "access",
        "is_local",
        "refresh",
    )

    def __init__(
        self,
        access: str = "__Host-tw-access",
        refresh: str = "__Host-tw-refresh",
        *,
        same_site: Literal["Lax", "Strict", "None"] = "Lax",
        domain: str | None = None,
        refresh_path: str = "/",
        persistent: bool = True,
        partitioned: bool = False,
        insecure_localhost: bool = False,
    ) -> None:
        for option, flag in (
            ("persistent", persistent),
            ("partitioned", partitioned),
            ("insecure_localhost", insecure_localhost),
        ):
            if type(flag) is not bool:
                raise ConfigurationError(f"{option} must be True or False, {as_given(flag)}")
        site = text_of(same_site)
        if site not in _SAME_SITE:
            raise ConfigurationError("same_site must be 'Lax', 'Strict' or 'None'")
        checked_domain = None if domain is None else _check_domain(domain)
        path = text_of(refresh_path)
        if path is None or not _is_path(path):
            raise ConfigurationError(
                "refresh_path must be a path that begins with '/', of ASCII without ';' and spaces"
            )
        if insecure_localhost:
            _check_localhost(site, checked_domain, partitioned)
        self.is_local = insecure_localhost
        self.access = self._name_of("access", access, "/", checked_domain)
        self.refresh = self._name_of("refresh", refresh, path, checked_domain)
        if self.access == self.refresh:
            raise ConfigurationError("access and refresh must be two names")
        self._paths = "; Path=/", f"; Path={path}"
        self._attributes = "".join(
            (
                "" if checked_domain is None else f"; Domain={checked_domain}",
                "" if insecure_localhost else "; Secure",
                f"; HttpOnly; SameSite={site}",
                "; Partitioned" if partitioned else "",
            )
        )
        self._is_persistent = persistent

    def _name_of(self, option: str, given: object, path: str, domain: str | None) -> str:
        name = text_of(given)
        if name is None or not _is_name(name):
            raise ConfigurationError(f"{option} must be the name of a cookie (RFC 6265, 4.1.1)")
        prefix, bare = _split_prefix(name)
        if self.is_local:
            while prefix:
                prefix, bare = _split_prefix(bare)
        if not bare:
            raise ConfigurationError(f"{option} must have more than a prefix")
        if self.is_local:
            return bare
        if prefix == "__host-" and (path != "/" or domain is not None):
            if name not in {"__Host-tw-access", "__Host-tw-refresh"}:
                raise ConfigurationError(
                    f"{option} begins with __Host-, which a cookie with a domain or a path must "
                    "not: let it begin with __Secure-"
                )
            return f"__Secure-{bare}"
        return name

    @clears_locals
    def read_access(self, header: str) -> str | None:
        """Return the access token in a ``Cookie`` header, or None where it has none.

        Raises:
            MalformedCredentials: two cookies have the name.
            InvalidArgument: the header is no text.
        """
        return find_cookie(_checked_header(header), self.access)

    @clears_locals
    def read_refresh(self, header: str) -> str | None:
        """Return the refresh token in a ``Cookie`` header, or None where it has none.

        Raises:
            MalformedCredentials: two cookies have the name.
            InvalidArgument: the header is no text.
        """
        return find_cookie(_checked_header(header), self.refresh)

    @clears_locals
    def write(self, access_token: str, refresh_token: str, lifetime: int) -> tuple[str, str]:
        """Return the values of the ``Set-Cookie`` headers that hand a browser both tokens.

        Args:
            access_token: the access token.
            refresh_token: the refresh token.
            lifetime: seconds that the session has left.

        Raises:
            InvalidArgument: a cookie would have more than 4,096 bytes, which browsers don't keep;
                or an argument is no token or no number of seconds.
        """
        access = _checked_token("access_token", access_token)
        refresh = _checked_token("refresh_token", refresh_token)
        seconds = whole_number_of(lifetime)
        if seconds is None:
            raise InvalidArgument(
                f"lifetime must be a whole number of seconds, {as_given(lifetime)}"
            )
        lines = self._lines(access, refresh, min(max(seconds, 0), _LONGEST_LIFETIME))
        for what, line in zip(("access", "refresh"), lines, strict=True):
            if len(line) > _LONGEST:
                raise InvalidArgument(
                    f"the cookie of the {what} token would have {len(line)} bytes, and browsers "
                    f"keep {_LONGEST}: give the token fewer or shorter claims"
                )
        return lines

    def delete(self) -> tuple[str, str]:
        """Return the values of the ``Set-Cookie`` headers that make a browser forget both."""
        return self._lines("", "", 0)

    def fits_host(self, host: str | None) -> bool:
        """Return False where the cookies are for ``localhost`` alone, and this is another host."""
        return not self.is_local or (host is not None and _is_local_host(host) is not None)

    def _lines(self, access_token: str, refresh_token: str, max_age: int) -> tuple[str, str]:
        """Return both ``Set-Cookie`` headers' values. Empty tokens delete, with one attribute more.

        A browser keeps no cookie whose ``Max-Age`` is 0, be it the session's only one.
        """
        attributes = self._attributes
        if self._is_persistent or not access_token:
            attributes += f"; Max-Age={max_age}"
        access_path, refresh_path = self._paths
        return (
            f"{self.access}={access_token}{access_path}{attributes}",
            f"{self.refresh}={refresh_token}{refresh_path}{attributes}",
        )


def find_cookie(header: str, name: str) -> str | None:
    """Return the value of a cookie, empty ones counting as absent (RFC 6265, section 4.2).

    Nothing is unquoted and no other separator is known: a proxy in front reads it alike.
    """
    before, found, after = header.partition(name)
    if not found:
        return None
    if name not in after and after[:1] == "=" and (not before or before[-2:] == "; "):
        # It stands there once, where browsers put it: the long way would find it, too.
        return after[1:].partition(";")[0].strip(" \t") or None
    values = []
    for pair in header.split(";"):
        key, equals, value = pair.partition("=")
        if equals and key.strip(" \t") == name:
            values.append(value.strip(" \t"))
    if len(values) > 1:
        raise MalformedCredentials(
            f"the request has two cookies {name}, and it can't be told which is meant"
        )
    return (values[0] or None) if values else None


def _checked_token(name: str, token: object) -> str:
    text = text_of(token)
    if text is None or not _is_value(text):
        raise InvalidArgument(f"{name} must be a token, as create returns it")
    return text


def _checked_header(header: object) -> str:
    text = text_of(header)
    if text is None:
        raise InvalidArgument(f"header must be a str, not {named(header)}")
    return text


def _split_prefix(name: str) -> tuple[str, str]:
    """Return the prefix that browsers know, in lower case as they compare it, and the rest."""
    for prefix in _PREFIXES:
        if name.lower().startswith(prefix):
            return prefix, name[len(prefix) :]
    return "", name


def _check_domain(domain: object) -> str:
    text = text_of(domain)
    lowered = None if text is None else text.lower()
    if lowered is None or not _is_domain(lowered) or len(lowered) > 253:
        raise ConfigurationError(
            "domain must be a domain name as 'example.com', without scheme, port and leading dot"
        )
    return lowered


def _check_localhost(same_site: str, domain: str | None, partitioned: bool) -> None:
    if same_site == "None" or partitioned:
        raise ConfigurationError(
            "insecure_localhost goes with neither same_site='None' nor partitioned, "
            "since browsers take these only with Secure"
        )
    if domain is not None:
        raise ConfigurationError("insecure_localhost does not go with a domain")
