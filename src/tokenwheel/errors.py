"""Every error tokenwheel raises.

An error says in one sentence what is wrong and what is allowed. It never holds a token, a secret or a part of one, so it
can be logged as it is. ``code`` is stable and meant for programs; ``status`` is the HTTP status that fits.

.. code-block:: text

    TokenwheelError                     never raised itself
    ├── ConfigurationError              an option that makes no sense           (also a ValueError)
    ├── InvalidArgument                 a value a call cannot use               (also a ValueError)
    ├── InvalidAccessToken              not a token this service issued         (also a jwt.InvalidTokenError)
    │   ├── AccessTokenExpired          past ``exp``                            (also a jwt.ExpiredSignatureError)
    │   ├── AccessTokenNotYetValid      before ``nbf`` or ``iat``               (also a jwt.ImmatureSignatureError)
    │   └── AccessTokenRevoked          forcibly invalidated
    ├── SessionNotFound                 the refresh token opens no session
    │   └── RefreshTokenReused          it did once: the session was ended
    ├── ContextMismatch                 the refresh hook refused
    ├── TooManySessions                 ``max_sessions`` reached
    └── StorageUnavailable              storage or feed out of reach
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
    """An option makes no sense. Raised at construction; names the option and what is allowed."""

    code = "configuration_error"


class InvalidArgument(TokenwheelError, ValueError):
    """A subject, claim, lifetime, session id or context cannot be used. Says which and why."""

    code = "invalid_argument"
    status = 400


class InvalidAccessToken(TokenwheelError, jwt.InvalidTokenError):
    """Malformed, over 8 KiB, badly signed, not for this service, or with a claim missing or of the wrong type."""

    code = "access_token_invalid"
    status = 401


class AccessTokenExpired(InvalidAccessToken, jwt.ExpiredSignatureError):
    """Past its ``exp`` (RFC 7519, section 4.1.4)."""

    code = "access_token_expired"


class AccessTokenNotYetValid(InvalidAccessToken, jwt.ImmatureSignatureError):
    """Before its ``nbf`` or ``iat`` (RFC 7519, sections 4.1.5 and 4.1.6)."""

    code = "access_token_not_yet_valid"


class AccessTokenRevoked(InvalidAccessToken):
    """Genuine and unexpired, but its session was ended or restricted after it was issued."""

    code = "access_token_revoked"


class SessionNotFound(TokenwheelError):
    """The refresh token opens no session: unknown, malformed, expired, of another subject, or with a wrong secret.

    All alike on purpose, so that an answer tells a guesser nothing.
    """

    code = "session_not_found"
    status = 401


class RefreshTokenReused(SessionNotFound):
    """A refresh token once issued came back after its grace (RFC 9700, section 4.14.2). The session has been ended."""

    code = "refresh_token_reused"


class ContextMismatch(TokenwheelError):
    """The refresh hook refused the context from which the refresh came. The hook's own error is the ``__cause__``."""

    code = "context_mismatch"
    status = 403


class TooManySessions(TokenwheelError):
    """The subject already has ``max_sessions`` sessions and ``when_full`` is ``"reject"``."""

    code = "too_many_sessions"
    status = 409


class StorageUnavailable(TokenwheelError):
    """The storage or the feed could not be reached or answered an error, which is the ``__cause__``."""

    code = "storage_unavailable"
    status = 503
