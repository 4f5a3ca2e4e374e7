"""What drf-spectacular writes into an OpenAPI of ``SessionAuthentication``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from .django_setting import current_auth

__all__ = ["SessionScheme"]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The ways in which a request may have its access token: as a bearer, or in a cookie."""

    target_class = "tokenwheel.web.drf.SessionAuthentication"
    match_subclasses = True

    def __init__(self, target: Any) -> None:
        super().__init__(target)  # type: ignore[no-untyped-call]
        gate = current_auth().gate
        self.schemes: dict[str, dict[str, Any]] = {}
        if gate.takes_bearer:
            self.schemes["bearerAuth"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        if gate.cookies is not None:
            name = gate.cookies.access
            self.schemes["cookieAuth"] = {"type": "apiKey", "in": "cookie", "name": name}
        self.name = list(self.schemes)

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, Any]]:
        """Return the schemes, in the order of their names."""
        return list(self.schemes.values())

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Return the schemes, of which one is enough."""
        return [{name: []} for name in self.schemes]
