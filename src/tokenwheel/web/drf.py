"""Sessions in Django REST framework: who has sent a request, and which scopes a view needs.

.. code-block:: python

    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["tokenwheel.web.drf.SessionAuthentication"],
    }

It stands on ``tokenwheel.web.django``: the setting ``TOKENWHEEL``, and its middleware, which
answers what a view itself raises. A request with cookies is looked at for its origin by the gate,
so DRF's CSRF token is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.permissions import BasePermission

from .._impl import Claims
from ..errors import ConfigurationError, InvalidAccessToken, TokenwheelError
from ..exact import is_instance
from .demands import check_scopes
from .django_admission import admit
from .django_requests import headers_of, refused
from .django_setting import current_auth
from .django_users import load_user
from .drf_user import TokenUser
from .errors import (
    CredentialsMissing,
    CrossOriginRequest,
    MalformedCredentials,
    ScopeMissing,
)

__all__ = ["HasScopes", "SessionAuthentication", "TokenUser", "exception_handler"]

_UNMET = "_tokenwheel_unmet"
_LACKS = "_tokenwheel_lacks"
_OF_COOKIES = (CredentialsMissing, CrossOriginRequest, InvalidAccessToken, MalformedCredentials)


class SessionAuthentication(BaseAuthentication):  # type: ignore[misc]
    """Authenticate by an access token, borne or in a cookie.

    ``request.auth`` are the claims. ``request.user`` is of the ``user_loader`` of the setting
    ``TOKENWHEEL``; without one, a :class:`TokenUser`. A cookie that is not good counts as nobody
    for views that let anybody in, and is the reason of the refusal for those that don't.
    """

    def authenticate(self, request: Any) -> tuple[Any, Claims] | None:
        """Return the user and the claims, or None where nobody is signed in.

        Raises:
            TokenwheelError: the request has chosen to bear something that is not good.
        """
        plain = request._request
        try:
            claims: Claims = admit(plain)
            user = _user_of(claims)
        except TokenwheelError as error:
            _answer_as_the_gate(request)
            if not isinstance(error, _OF_COOKIES) or _bears(plain):
                raise
            # A frame of this error would hold the request, which holds the error.
            vars(plain)[_UNMET] = error.with_traceback(None)
            plain.claims = None
            return None
        plain.claims = claims
        return user, claims

    def authenticate_header(self, request: Any) -> str:
        """Return the scheme to authenticate by, with which a refusal is a 401."""
        return "Bearer"


class HasScopes(BasePermission):  # type: ignore[misc]
    """Let those use a view whose access token has the scopes that it needs, all of them.

    They are what the view has as ``required_scopes = ["admin"]``, or are named where the class is:
    ``permission_classes = [HasScopes("admin")]``. A view that names none is a mistake, and not open
    to everybody.

    Raises:
        InvalidArgument: these are no scopes.
    """

    code = "insufficient_scope"
    scopes: Sequence[str] | None = None

    def __new__(cls, *scopes: str) -> Any:
        """Return a permission; where scopes are named, a class of permissions which needs them."""
        if not scopes:
            return super().__new__(cls)
        return type(cls.__name__, (cls,), {"scopes": check_scopes(scopes)})

    def has_permission(self, request: Any, view: Any) -> bool:
        """Return True where the request's access token has the scopes.

        Raises:
            ConfigurationError: the view names none.
        """
        scopes = getattr(view, "required_scopes", None) if self.scopes is None else self.scopes
        if scopes is None:
            raise ConfigurationError(
                "a view with HasScopes needs required_scopes = ['admin'], or HasScopes('admin')"
            )
        claims = request.auth
        if not is_instance(claims, Claims):
            return False
        try:
            current_auth().gate.check(claims, scopes=scopes)
        except ScopeMissing as error:
            self.message = str(error)
            vars(request._request)[_LACKS] = error.with_traceback(None)
            _answer_as_the_gate(request)
            return False
        return True


def exception_handler(error: Exception, context: dict[str, Any]) -> Any:
    """Return the response to an exception, as ``EXCEPTION_HANDLER`` in ``REST_FRAMEWORK``.

    It is for projects without ``AuthMiddleware``, which answers what a view itself raises.
    """
    from rest_framework import views  # It imports this module, where a setting says so.

    return _handle(views.exception_handler, error, context)


def _user_of(claims: Claims) -> Any:
    loader = current_auth().user_loader
    if loader is None:
        return TokenUser(claims)
    user = load_user(loader, claims)
    if user is None:
        raise InvalidAccessToken("the user of this access token is not there any more")
    return user


def _bears(plain: HttpRequest) -> bool:
    """Return True where a request bears a token, be it a bad one. Cookies come unasked."""
    gate = current_auth().gate
    try:
        gate.admit_optional(plain.method, headers_of(plain))
    except TokenwheelError:
        return True
    return False


def _answer_as_the_gate(request: Any) -> None:
    """Let the view that answers a request answer refusals as the gate does."""
    view = request.parser_context.get("view")
    if view is not None:
        handler = partial(_handle, view.get_exception_handler())
        view.get_exception_handler = lambda: handler


def _handle(
    otherwise: Callable[[Exception, dict[str, Any]], Any], error: Exception, context: dict[str, Any]
) -> Any:
    from rest_framework.views import set_rollback

    unmet = _unmet_of(error, context["request"])
    if unmet is None:
        return otherwise(error, context)
    set_rollback()  # What the view has written so far, where ATOMIC_REQUESTS says so.
    context["view"].headers.clear()  # What DRF would add, such as Allow.
    return refused(context["request"]._request, unmet)


def _unmet_of(error: Exception, request: Any) -> TokenwheelError | None:
    """Return the refusal that an error of DRF stands for, if it is one of the gate's."""
    if isinstance(error, TokenwheelError):
        return error
    state = vars(request._request)
    unmet: TokenwheelError | None = None
    if isinstance(error, NotAuthenticated):
        # Else the first of another kind is to say how one authenticates.
        if isinstance(request.authenticators[0], SessionAuthentication):
            unmet = state.get(_UNMET)
    elif isinstance(error, PermissionDenied) and error.get_codes() == HasScopes.code:
        unmet = state.get(_LACKS)
    return unmet


with suppress(ModuleNotFoundError):  # Not everybody has drf-spectacular.
    from . import drf_openapi  # noqa: F401 -- it registers itself
