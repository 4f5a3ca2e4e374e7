"""The public keys at ``/.well-known/jwks.json``, where other services look for them unasked.

They are there for a manager that issues tokens which public keys verify. A service that only
verifies, or shares a secret, has nothing to tell there. What an application answers at that path by
itself stays as it is: the keys take the place of a 404, or of a refusal by our middleware.
"""

from __future__ import annotations

from typing import Final

from ..errors import TokenwheelError
from .answers import Answer, problem, unless_known
from .gate import Gate

__all__ = ["JWKS_PATH", "keys_or_none"]

JWKS_PATH: Final = "/.well-known/jwks.json"


def keys_or_none(gate: Gate, method: str, known: str | None) -> Answer | None:
    """Return the answer at the path of the public keys, or None where there is to be none.

    It needs no token, and looks at no cookie.

    Args:
        gate: the gate of the application.
        method: the request's method. OPTIONS is left to the application (CORS).
        known: the request's ``If-None-Match``.
    """
    if method == "OPTIONS":
        return None
    try:
        answer = gate.issued_keys()
    except TokenwheelError as error:
        return gate.refusal(error)
    if answer is None:
        return None
    if method not in {"GET", "HEAD"}:
        detail = "the public keys are here to be read"
        return problem(405, "method_not_allowed", detail, ("Allow", "GET, HEAD"))
    return unless_known(answer, known)
