"""End the sessions of a user whose password changes, who is deactivated, or who is deleted.

What is done to a user holds once its transaction has been committed, so the sessions end then. A
rollback ends none. Where they cannot be ended, the error reaches whoever committed: the password is
another one by then, and whoever was to be shut out is not.

Django stores a newer hash of the same password at a login, when its hashers have changed. That is
no change of the password. ``QuerySet.update`` sends no signals, so it ends nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher, identify_hasher
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save

from ..session.arguments import check_kept
from .site import has_manager, manager_of_site, wait
from .subjects import subject_of

__all__ = ["OCCASIONS", "connect", "keep_session", "occasions"]

logger = logging.getLogger("tokenwheel")

OCCASIONS = frozenset({"password_change", "deactivation", "deletion"})
"""When the sessions of a user end: what the setting ``TOKENWHEEL_END_SESSIONS_ON`` may hold."""

_CHANGED = "_tokenwheel_password_changed"
_kept: ContextVar[str | None] = ContextVar("tokenwheel_kept_session", default=None)


@contextmanager
def keep_session(session_id: str) -> Iterator[None]:
    """Keep a session of the user whose password is changed and saved within the block.

    .. code-block:: python

        with keep_session(request.claims.session_id):
            request.user.set_password(password)
            request.user.save()

    Args:
        session_id: the session in which the user changes the password.

    Raises:
        InvalidArgument: what cannot be a session id.
    """
    token = _kept.set(check_kept(session_id))
    try:
        yield
    finally:
        _kept.reset(token)


def occasions() -> Collection[str]:
    """Return when the sessions of a user end, by the setting ``TOKENWHEEL_END_SESSIONS_ON``."""
    chosen: Collection[str] = getattr(settings, "TOKENWHEEL_END_SESSIONS_ON", OCCASIONS)
    return chosen


def connect() -> None:
    """Listen for changes of users, once all models are there."""
    if not apps.is_installed("django.contrib.auth"):
        return
    user_model = get_user_model()
    # Not without a sender: Django would no longer delete rows of any model at once.
    for model in apps.get_models():
        if issubclass(model, user_model):
            pre_save.connect(_note_password, model, dispatch_uid="tokenwheel")
            post_save.connect(_end_after_save, model, dispatch_uid="tokenwheel")
            post_delete.connect(_end_after_deletion, model, dispatch_uid="tokenwheel")


def _note_password(
    instance: Any, using: str, update_fields: Collection[str] | None, **_: Any
) -> None:
    """Note whether the password is about to change."""
    vars(instance)[_CHANGED] = (
        has_manager()
        and "password_change" in occasions()
        and (update_fields is None or "password" in update_fields)
        and _changes_password(instance, using)
    )


def _changes_password(user: Any, using: str) -> bool:
    if user.pk is None:
        return False
    stored = get_user_model()._base_manager.using(using).filter(pk=user.pk)
    for before in stored.values_list("password", flat=True):
        return before != user.password and not _is_upgrade(user, before)
    return False


def _is_upgrade(user: Any, before: str) -> bool:
    """Return True where a login has made a newer hash of the password that it was given.

    Django then says that it has set no password (``AbstractBaseUser.check_password``). It does so
    only where the hash before was made as its hashers no longer do it.
    """
    if vars(user).get("_password", "") is not None:
        return False
    try:
        made_by = identify_hasher(before)
    except ValueError:  # No password could be used.
        return False
    preferred = get_hasher()
    return bool(made_by.algorithm != preferred.algorithm or preferred.must_update(before))


def _end_after_save(
    instance: Any, created: bool, using: str, update_fields: Collection[str] | None, **_: Any
) -> None:
    changed = vars(instance).pop(_CHANGED, False)
    if created or not has_manager():
        return
    # Each time, and not only the first: so a failure is made good when the user is saved again.
    if (
        "deactivation" in occasions()
        and (update_fields is None or "is_active" in update_fields)
        and not getattr(instance, "is_active", True)
    ):
        _end_once_committed(instance, using, None)
    elif changed:
        _end_once_committed(instance, using, _kept.get())


def _end_after_deletion(instance: Any, using: str, **_: Any) -> None:
    if has_manager() and "deletion" in occasions():
        _end_once_committed(instance, using, None)


def _end_once_committed(user: Any, using: str, keep: str | None) -> None:
    subject = subject_of(user)
    if subject is not None:
        transaction.on_commit(partial(_end, subject, keep), using=using)


def _end(subject: str, keep: str | None) -> None:
    try:
        wait(manager_of_site().delete_all(subject, keep=keep))
    except Exception:
        logger.error(  # noqa: TRY400 -- the error is raised, and shown with it
            "a user was changed or deleted, and the sessions of the user could not be ended: "
            "end them with `manage.py tokenwheel_sessions end`"
        )
        raise
