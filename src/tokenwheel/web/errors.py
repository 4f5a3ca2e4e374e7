"""What a request is refused for before its access token is looked at, or after that was good.

Each is a :class:`~tokenwheel.TokenwheelError` with a stable ``code`` and the HTTP ``status`` that
fits. None holds a token, or anything else that the request said.
"""

from __future__ import annotations

from ..errors import TokenwheelError

__all__ = [
    "CredentialsMissing",
    "CrossOriginRequest",
    "LoginTooOld",
    "MalformedCredentials",
    "ScopeMissing",
]


class CredentialsMissing(TokenwheelError):
    """The request has no access token; or, to refresh a session, no refresh token."""

    code = "credentials_missing"
    status = 401


class MalformedCredentials(TokenwheelError):
    """The request has credentials that can be read in no way, or in two (RFC 6750, section 3.1)."""

    code = "invalid_request"
    status = 400


class CrossOriginRequest(TokenwheelError):
    """Another site may have made the browser send this request. Nothing was changed."""

    code = "cross_origin"
    status = 403


class ScopeMissing(TokenwheelError):
    """The access token is good, and has not every scope that is needed here.

    Args:
        scopes: those that are needed, for the client to ask for.
    """

    code = "insufficient_scope"
    status = 403

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__(f"this needs the scope {' '.join(scopes)}")
        self.scopes = scopes


class LoginTooOld(TokenwheelError):
    """The access token is good, and the user's login is longer ago than is allowed here.

    A refresh is no login (RFC 9470).

    Args:
        max_age: seconds that a login may be old here.
    """

    code = "login_too_old"
    status = 401

    def __init__(self, max_age: int) -> None:
        super().__init__(f"this needs a login of the last {max_age} seconds")
        self.max_age = max_age
