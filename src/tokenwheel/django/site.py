"""The manager that a Django site names in its settings, called where nothing is awaited.

``TOKENWHEEL`` names a gate, and its manager may be async. Models, signals and the admin block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, TypeVar

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings

from ..conformance import is_awaitable
from ..exact import is_instance
from ..revocation import RevocationList
from ..session import AsyncSessionManager, SessionManager
from ..session.operator import Operator
from ..web.django_setting import current_auth
from .feed import DjangoFeed
from .storage import DjangoStorage

__all__ = [
    "alias_of_site",
    "call_blocking",
    "has_manager",
    "manager_of_site",
    "open_operator",
    "wait",
]

T = TypeVar("T")
Manager = SessionManager | AsyncSessionManager


def has_manager() -> bool:
    """Return True where the settings name a manager."""
    return getattr(settings, "TOKENWHEEL", None) is not None


def manager_of_site() -> Manager:
    """Return the manager of the gate that the setting ``TOKENWHEEL`` names.

    Raises:
        ImproperlyConfigured: it is missing, can't be imported, or is of a wrong type.
    """
    return current_auth().gate.manager


def alias_of_site() -> str | None:
    """Return the alias of the database that the site's manager keeps its sessions in.

    None where no manager is named, or it keeps them elsewhere than in Django's databases.
    """
    storage = manager_of_site().storage if has_manager() else None
    return storage._using if is_instance(storage, DjangoStorage) else None


def wait(answer: Any) -> Any:
    """Return the answer to a call, waiting for it where it is an awaitable."""
    return async_to_sync(_awaited)(answer) if is_awaitable(answer) else answer


def call_blocking(function: Callable[[], T]) -> T:
    """Call a function that waits for several answers. Return what it returned.

    Connections of an async client belong to one event loop. So all that is awaited meanwhile is
    awaited by the same one.
    """
    if has_manager() and is_instance(manager_of_site(), AsyncSessionManager):
        called: T = async_to_sync(sync_to_async(function))()
        return called
    return function()


@contextmanager
def open_operator(using: str | None = None, issuer: str | None = None) -> Iterator[Operator]:
    """Yield what lists and ends the sessions of a database, for whoever may do so.

    Args:
        using: the alias of the database. None: where the site's manager keeps its sessions; the
            default database where the settings name no manager.
        issuer: act for this service alone.
    """
    if has_manager() and using in {None, alias_of_site()}:
        manager = manager_of_site()
        yield Operator(
            manager.storage, manager.revocations, issuer=issuer, manager=manager, wait=wait
        )
        return
    alias = "default" if using is None else using
    with ExitStack() as opened:
        storage = opened.enter_context(closing(DjangoStorage(alias)))
        revocations = opened.enter_context(closing(RevocationList(DjangoFeed(alias))))
        yield Operator(storage, revocations, issuer=issuer)


async def _awaited(answer: Any) -> Any:
    return await answer
