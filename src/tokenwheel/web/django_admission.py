"""Who has sent a request of Django: its claims, renewed where the gate does so."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.functional import cached_property

from .._impl import Claims
from ..errors import AccessTokenExpired, AccessTokenRevoked, ConfigurationError, TokenwheelError
from ..event_loop import has_event_loop
from .calls import check_blocking, make_calls, make_calls_async
from .django_requests import fields_of, headers_of, incoming_of, keep_out_of_caches
from .django_setting import current_auth
from .gate import Gate
from .renewing import Admitted, admit_or_renew

__all__ = ["RENEWED", "add_claims_to_requests", "admit", "admit_async"]

RENEWED = "_tokenwheel_renewed"
"""Where a request keeps what its renewal has brought: None before, set by the middleware."""

_MAY_BE_RENEWED = object()


def admit(request: HttpRequest, *, optional: bool = False) -> Any:
    """Return the claims of a request, renewed where the gate does so.

    Args:
        request: a request of Django.
        optional: whether nobody may be signed in, which is None then.

    Raises:
        TokenwheelError: what ``admit`` or ``admit_optional`` of the gate raises.
        ConfigurationError: the gate renews, and that can't be done here.
    """
    keep_out_of_caches(request)
    gate = current_auth().gate
    if gate.renew is not None:
        _check_can_renew(request)
        check_blocking(gate.manager, "a gate with renew and a view that is not async")
        if has_event_loop():
            raise ConfigurationError(
                "request.claims can't be renewed where an event loop runs: "
                "write await request.aclaims()"
            )
    found = _find_at_once(request, gate, optional)
    if found is not _MAY_BE_RENEWED:
        return found
    steps = admit_or_renew(gate, incoming_of(request), optional=optional)
    return _keep(request, make_calls(steps, gate.manager))


async def admit_async(request: HttpRequest, *, optional: bool = False) -> Any:
    """Return the claims of a request in an async view, renewed where the gate does so.

    Args:
        request: a request of Django.
        optional: whether nobody may be signed in, which is None then.

    Raises:
        TokenwheelError: what ``admit`` or ``admit_optional`` of the gate raises.
        ConfigurationError: the gate renews, and that can't be done here.
    """
    keep_out_of_caches(request)
    gate = current_auth().gate
    if gate.renew is not None:
        _check_can_renew(request)
    found = _find_at_once(request, gate, optional)
    if found is not _MAY_BE_RENEWED:
        return found
    steps = admit_or_renew(gate, incoming_of(request), optional=optional)
    return _keep(request, await make_calls_async(steps, gate.manager))


def _find_at_once(request: HttpRequest, gate: Gate, optional: bool) -> Any:
    """Return the claims of a request, or ``_MAY_BE_RENEWED`` where its session may be renewed."""
    plain = gate.admit_plain(request.method, fields_of(request))
    if plain is not None:
        return plain
    headers = headers_of(request)
    if gate.renew is not None:
        kept: Admitted | None = vars(request)[RENEWED]
        if kept is not None:
            return kept.claims
        try:
            return gate.admit(request.method, headers)
        except (AccessTokenExpired, AccessTokenRevoked):
            return _MAY_BE_RENEWED
        except TokenwheelError:
            if not optional:
                raise
    find = gate.admit_optional if optional else gate.admit
    return find(request.method, headers)


def _check_can_renew(request: HttpRequest) -> None:
    if RENEWED not in vars(request):
        raise ConfigurationError(
            "a gate with renew needs 'tokenwheel.web.django.AuthMiddleware' in MIDDLEWARE, "
            "which sets the new cookies on whatever response there is"
        )


def _keep(request: HttpRequest, admitted: Admitted) -> Claims | None:
    if admitted.renewed is not None:
        vars(request)[RENEWED] = admitted
    return admitted.claims


@cached_property  # type: ignore[untyped-decorator]
def _claims(request: HttpRequest) -> Claims | None:
    """Return the claims of the request, or None where nobody is signed in."""
    claims: Claims | None = admit(request, optional=True)
    return claims


async def _aclaims(request: HttpRequest) -> Claims | None:
    """Return the claims of the request, or None where nobody is signed in."""
    if "claims" not in vars(request):
        request.claims = await admit_async(request, optional=True)
    claims: Claims | None = request.claims
    return claims


def add_claims_to_requests() -> None:
    """Give requests of Django ``claims`` and ``aclaims``, which are found at their first use.

    An attribute that is found at its first use belongs to a class, and there is but one class that
    all requests are of. So nothing has to be done for each of them.
    """
    HttpRequest.claims = _claims
    _claims.__set_name__(HttpRequest, "claims")
    HttpRequest.aclaims = _aclaims
