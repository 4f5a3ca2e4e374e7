"""Which URLs keys may be fetched from, and how messages name them.

Whoever can change what is fetched can sign tokens, so a URL is ``https`` unless it leads to this
machine or the caller says otherwise. A URL that can be read in two ways is refused: what one parser
takes for the host, another takes for a user name. A query may hold a secret, so that no message has
it. Nothing here fetches anything.

Sources: RFC 3986, sections 3.2 and 3.3; RFC 6761, section 6.3 (``localhost``).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import urljoin, urlsplit

from ...errors import ConfigurationError
from ...exact import named, text_of
from ...hidden import clears_locals

__all__ = ["KeyUrl", "parse_url"]

_LONGEST = 2048  # characters
_LONGEST_HOST = 253  # characters (RFC 1035, section 2.3.4, without the dot at its end)
_CHARACTERS = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
# What the system may read as the address of a host, though it is none of RFC 3986: 127.1, 0x7f.1
_LIKE_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_PORTS: Final = {"https": 443, "http": 80}
_LOOPBACK: Final = IPv4Network("127.0.0.0/8")


class KeyUrl(NamedTuple):
    """A URL that keys may be fetched from, in its parts."""

    scheme: str
    host: str
    """In lower case; an IPv6 address without its brackets."""
    port: int
    path: str
    query: str
    """It may be a secret."""

    @property
    def authority(self) -> str:
        """The host and, where it isn't that of the scheme, the port: the field ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """The path and the query, as a request names them."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def whole(self) -> str:
        """The URL, with its query."""
        return f"{self.scheme}://{self.authority}{self.target}"

    def __str__(self) -> str:
        """Return how messages name the URL: without its query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def __repr__(self) -> str:
        return f"<KeyUrl {self}>"

    @clears_locals
    def redirected(self, location: str) -> KeyUrl:
        """Return where a redirect leads.

        Args:
            location: the field ``Location`` of the answer.

        Raises:
            ConfigurationError: it leads to another scheme, host or port, or is no URL.
        """
        if not _CHARACTERS.fullmatch(location):  # Some of these would be left out silently.
            raise ConfigurationError("it holds blanks, control characters or backslashes")
        place = parse_url(urljoin(self.whole, location.partition("#")[0]), allow_http=True)
        if place[:3] != self[:3]:
            raise ConfigurationError("it leads to another scheme, host or port")
        return place


@clears_locals
def parse_url(url: object, *, allow_http: bool = False) -> KeyUrl:
    """Return the parts of a URL that keys may be fetched from.

    Args:
        url: the URL.
        allow_http: True to take ``http`` for other hosts than this one.

    Raises:
        ConfigurationError: it is none; names the mistake, and nothing of the URL.
    """
    text = text_of(url)
    if text is None:
        raise ConfigurationError(f"url must be a str, not {named(url)}")
    if len(text) > _LONGEST:
        raise ConfigurationError(f"url must have at most {_LONGEST} characters")
    if not _CHARACTERS.fullmatch(text):
        raise ConfigurationError(
            "url must not be empty or hold blanks, control characters, backslashes, quotes or "
            "letters beyond ASCII: write a host name in its xn-- form and other octets as %XX"
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    scheme = parts.scheme
    if scheme not in _PORTS or not text[len(scheme) :].startswith("://"):
        raise ConfigurationError("url must begin with https:// (or, on this machine, http://)")
    if "#" in text:
        raise ConfigurationError("url must have no fragment: leave out the '#' and what follows")
    if "@" in parts.netloc:
        raise ConfigurationError(
            "url must hold no user name or password: send them by a client of your own, fetch="
        )
    host, port = _host_and_port(parts.netloc, scheme)
    if scheme == "http" and not allow_http and not _is_this_machine(host):
        raise ConfigurationError(
            "url must be https, since whoever can change the answer can sign tokens: http is for "
            "localhost, 127.0.0.0/8 and ::1, or with allow_http=True"
        )
    return KeyUrl(scheme, host, port, parts.path or "/", parts.query)


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    matched = re.fullmatch(r"(\[[^\[\]]*\]|[^\[\]:]*)(?::([0-9]*))?", authority)
    if matched is None:
        raise ConfigurationError(
            "url must have a host name or an address, and perhaps a port after a colon"
        )
    host, digits = matched[1].lower(), matched[2]
    if not host:
        raise ConfigurationError("url must have a host, as in https://login.example/jwks.json")
    if host.startswith("["):
        host = _address(host[1:-1])
    elif _LIKE_A_NUMBER.fullmatch(host):
        try:
            host = str(IPv4Address(host))
        except AddressValueError:
            raise ConfigurationError(
                "url must spell an IPv4 address as four decimal numbers, as in 127.0.0.1"
            ) from None
    elif len(host) > _LONGEST_HOST or not _HOST_NAME.fullmatch(host):
        raise ConfigurationError(
            "url must have a host of letters, digits, hyphens and dots, with labels of at most 63"
        )
    port = int(digits) if digits and len(digits) <= 5 else -1 if digits else _PORTS[scheme]
    if not 0 < port < 65_536:
        raise ConfigurationError("url must have a port from 1 to 65535")
    return host, port


def _address(text: str) -> str:
    try:
        address = None if "%" in text else IPv6Address(text)
    except AddressValueError:
        address = None
    if address is None:
        raise ConfigurationError(
            "url must have an IPv6 address without zone in its brackets, as in https://[2001:db8::1]/"
        )
    return str(address)


def _is_this_machine(host: str) -> bool:
    if ":" in host:
        return IPv6Address(host) == IPv6Address("::1")
    return host == "localhost" or (
        _LIKE_A_NUMBER.fullmatch(host) is not None and IPv4Address(host) in _LOOPBACK
    )
