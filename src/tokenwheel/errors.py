"""Every error tokenwheel raises.

An error says in one sentence what is wrong and what is allowed. It never holds a token, a secret or
a part of one, so it can be logged as it is. ``code`` is stable and meant for programs. ``status``
is the HTTP status that fits.

.. code-block:: text

    TokenwheelError                  never raised itself
    ├── ConfigurationError           an option that makes no sense    (a ValueError)
    ├── InvalidArgument              a value that a call cannot use   (a ValueError)
    ├── InvalidAccessToken           not a token this service issued  (a jwt.InvalidTokenError)
    │   ├── AccessTokenExpired       past ``exp``                     (a jwt.ExpiredSignatureError)
    │   ├── AccessTokenNotYetValid   before ``nbf``, ``iat``          (a jwt.ImmatureSignatureError)
    │   └── AccessTokenRevoked       session ended or restricted
    ├── SessionNotFound              the refresh token opens no session
    │   └── RefreshTokenReused       it did once: the session was ended
    ├── ContextMismatch              the refresh hook refused
    ├── TooManySessions              ``max_sessions`` reached
    └── StorageUnavailable           storage or feed out of reach
"""

from __future__ import annotations

from typing import ClassVar

import jwt

__all__ = [
    "AccessTokenExpired",
    "AccessTokenNotYetValid",
    "AccessTokenRevoked",
    "ConfigurationError",
    "ContextMismatch",
    "InvalidAccessToken",
    "InvalidArgument",
    "RefreshTokenReused",
    "SessionNotFound",
    "StorageUnavailable",
    "TokenwheelError",
    "TooManySessions",
]


class TokenwheelError(Exception):
    """The root of all errors of this library; never raised itself."""

    code: ClassVar[str] = "tokenwheel_error"
    status: ClassVar[int] = 500


class ConfigurationError(TokenwheelError, ValueError):
    """An option makes no sense. The message names the option and what is allowed."""

    code = "configuration_error"


class InvalidArgument(TokenwheelError, ValueError):
    """A subject, claim, lifetime, session id or context cannot be used.

    The message says which and why.
    """

    code = "invalid_argument"
    status = 400


class InvalidAccessToken(TokenwheelError, jwt.InvalidTokenError):
    """The access token is not one that this service issued for this audience.

    It is malformed, over 8 KiB, badly signed, not for this service, or has a claim that is missing
    or of the wrong type.
    """

    code = "access_token_invalid"
    status = 401


class AccessTokenExpired(InvalidAccessToken, jwt.ExpiredSignatureError):
    """The access token is past its ``exp`` (RFC 7519, section 4.1.4)."""

    code = "access_token_expired"


class AccessTokenNotYetValid(InvalidAccessToken, jwt.ImmatureSignatureError):
    """The access token is before its ``nbf`` or ``iat`` (RFC 7519, sections 4.1.5 and 4.1.6)."""

    code = "access_token_not_yet_valid"


class AccessTokenRevoked(InvalidAccessToken):
    """The access token is genuine and unexpired, but its session was ended or restricted since."""

    code = "access_token_revoked"


class SessionNotFound(TokenwheelError):
    """The refresh token opens no session.

    It is unknown, malformed, expired, of another subject, or has a wrong secret. The error is the
    same for all of these on purpose, so that an answer tells a guesser nothing.
    """

    code = "session_not_found"
    status = 401


class RefreshTokenReused(SessionNotFound):
    """A refresh token that was replaced came back after its grace (RFC 9700, section 4.14.2).

    The session has been ended.
    """

    code = "refresh_token_reused"


class ContextMismatch(TokenwheelError):
    """The refresh hook refused the context that the refresh came from.

    The hook's own error is the ``__cause__``.
    """

    code = "context_mismatch"
    status = 403


class TooManySessions(TokenwheelError):
    """The subject already has ``max_sessions`` sessions, and ``when_full`` is ``"reject"``."""

    code = "too_many_sessions"
    status = 409


class StorageUnavailable(TokenwheelError):
    """The storage or the feed could not be reached, or answered an error.

    That error is the ``__cause__``.
    """

    code = "storage_unavailable"
    status = 503
