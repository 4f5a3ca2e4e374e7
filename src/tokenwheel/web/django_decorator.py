"""The decorator of Django's views that are for those who are signed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from inspect import isawaitable
from typing import Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction

from .._impl import Claims
from ..errors import InvalidArgument, TokenwheelError
from ..exact import named
from .demands import check_max_age, check_scopes
from .django_admission import admit, admit_async
from .django_requests import refused
from .django_setting import current_auth

__all__ = ["require_claims"]

View = TypeVar("View", bound=Callable[..., Any])


@overload
def require_claims(view: View, /) -> View: ...
@overload
def require_claims(
    *, scopes: list[str] | tuple[str, ...] = (), max_age: int | timedelta | None = None
) -> Callable[[View], View]: ...
def require_claims(
    view: Any = None,
    /,
    *,
    scopes: list[str] | tuple[str, ...] = (),
    max_age: int | timedelta | None = None,
) -> Any:
    """Let those use a view who are signed in, and give it their ``request.claims``.

    For a class write ``@method_decorator(require_claims, name="dispatch")``. The view is exempt
    from Django's CSRF token: the gate lets no page of another site use the cookies, and no page can
    make a browser send a bearer. To ask for the token nonetheless, write ``@csrf_protect`` below
    this decorator.

    Args:
        view: a view, async or not.
        scopes: those that the claims must have, all of them.
        max_age: seconds that the login may be ago. A refresh is no login.

    Raises:
        InvalidArgument: ``scopes`` or ``max_age`` cannot be used, or this is no view.
    """
    needed = check_scopes(scopes)
    limit = None if max_age is None else check_max_age(max_age)

    def decorate(view: Any) -> Any:
        return _guarded(view, needed, limit)

    return decorate if view is None else decorate(view)


def _guarded(view: Any, scopes: tuple[str, ...], max_age: int | None) -> Any:
    if not callable(view) or isinstance(view, type):
        raise InvalidArgument(
            f"require_claims is for views, not for {named(view)}; for a class write "
            "@method_decorator(require_claims, name='dispatch')"
        )
    is_plain = not scopes and max_age is None

    def check(request: Any, claims: Claims) -> None:
        if not is_plain:
            current_auth().gate.check(claims, scopes=scopes, max_age=max_age)
        request.claims = claims

    if _is_awaited(view):

        @wraps(view)
        async def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
            plain = getattr(request, "_request", request)  # DRF has a request of its own.
            try:
                check(plain, await admit_async(plain))
            except TokenwheelError as error:
                return refused(plain, error)
            response = view(request, *args, **kwargs)
            return await response if isawaitable(response) else response

    else:

        @wraps(view)
        def guarded(request: Any, *args: Any, **kwargs: Any) -> Any:
            plain = getattr(request, "_request", request)
            try:
                check(plain, admit(plain))
            except TokenwheelError as error:
                return refused(plain, error)
            return view(request, *args, **kwargs)

    marks: Any = guarded
    marks.csrf_exempt = True
    marks.login_required = False  # Django's LoginRequiredMiddleware knows only its own users.
    return guarded


def _is_awaited(view: Any) -> bool:
    """Return True where Django awaits what a view returns.

    Of a class whose methods are async, ``dispatch`` is not, and returns what they return.
    """
    bound = getattr(view, "func", view)  # method_decorator hands in a partial of a bound method.
    owner = getattr(bound, "__self__", None)
    return iscoroutinefunction(view) or getattr(owner, "view_is_async", False) is True
