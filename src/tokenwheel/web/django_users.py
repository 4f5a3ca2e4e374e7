"""The user of a request of Django: of its claims, or else whoever Django's own session knows."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.apps import apps
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from .._impl import Claims
from .django_setting import LoadUser

__all__ = ["give_user", "load_user"]

_LOADED = "_tokenwheel_user"


def give_user(request: HttpRequest, loader: LoadUser) -> None:
    """Give a request its ``user`` and ``auser``, which are found at their first use.

    Where nobody is signed in they are what Django's own middleware has set before.
    """
    state = vars(request)
    other, find_other = state.get("user"), state.get("auser")

    def find() -> Any:
        claims = request.claims
        if claims is None:
            return _nobody() if other is None else other
        if _LOADED not in state:
            state[_LOADED] = _or_nobody(load_user(loader, claims))
        return state[_LOADED]

    async def find_async() -> Any:
        claims = await request.aclaims()
        if claims is None:
            return _nobody() if find_other is None else await find_other()
        if _LOADED not in state:
            state[_LOADED] = _or_nobody(await _load_user_async(loader, claims))
        return state[_LOADED]

    request.user = SimpleLazyObject(find)
    request.auser = find_async


def load_user(loader: LoadUser, claims: Claims) -> Any:
    """Return the user of these claims or None, where nothing is awaited."""
    return async_to_sync(loader)(claims) if iscoroutinefunction(loader) else loader(claims)


async def _load_user_async(loader: LoadUser, claims: Claims) -> Any:
    if iscoroutinefunction(loader):
        return await loader(claims)
    return await sync_to_async(loader)(claims)


def _or_nobody(user: Any) -> Any:
    return _nobody() if user is None else user


def _nobody() -> Any:
    """Return Django's anonymous user; None in a project without ``django.contrib.auth``."""
    if not apps.is_installed("django.contrib.auth"):
        return None
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()
