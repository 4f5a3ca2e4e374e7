"""Sessions over HTTP: bearer tokens and cookies, cross-site requests, refresh and logout.

The gate decides who is admitted, and knows no framework. One module a framework stands on it:
``tokenwheel.web.fastapi``, ``.asgi``, ``.flask`` (and Quart), ``.django`` and ``.drf``. Importing
this package imports none of them.
"""

from __future__ import annotations

from .answers import Answer
from .cookies import Cookies
from .errors import (
    CredentialsMissing,
    CrossOriginRequest,
    LoginTooOld,
    MalformedCredentials,
    ScopeMissing,
)
from .fields import Headers
from .gate import Gate, Presented, Transport, scope_claim

__all__ = [
    "Answer",
    "Cookies",
    "CredentialsMissing",
    "CrossOriginRequest",
    "Gate",
    "Headers",
    "LoginTooOld",
    "MalformedCredentials",
    "Presented",
    "ScopeMissing",
    "Transport",
    "scope_claim",
]
