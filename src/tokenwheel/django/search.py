"""How the admin finds sessions: by what has an index, and never by a part of a subject."""

from __future__ import annotations

import re

from django.apps import apps
from django.contrib.auth import get_permission_codename, get_user_model
from django.db.models import Q
from django.http import HttpRequest

from ..session.refresh_tokens import SESSION_ID_LENGTH
from ..tables.rows import subject_hash
from .subjects import subject_of

__all__ = ["matches"]

_HASH = re.compile("[0-9a-f]{64}")


def matches(request: HttpRequest, term: str) -> Q:
    """Return which sessions are meant: by subject, its hash, a user's name, or a session id.

    Args:
        request: of whoever searches. Names of users are for those who may view users.
        term: what was typed.
    """
    hashes = {subject_hash(term), *_HASH.findall(term)[:1]}
    subject = _subject_by_name(request, term)
    if subject is not None:
        hashes.add(subject_hash(subject))
    found = Q(subject_hash__in=sorted(hashes))
    return found | Q(pk=term) if len(term) == SESSION_ID_LENGTH else found


def _subject_by_name(request: HttpRequest, name: str) -> str | None:
    if not apps.is_installed("django.contrib.auth"):
        return None
    model = get_user_model()
    opts = model._meta
    if not request.user.has_perm(f"{opts.app_label}.{get_permission_codename('view', opts)}"):
        return None
    try:
        user = model._default_manager.get_by_natural_key(name)
    except (model.DoesNotExist, model.MultipleObjectsReturned):
        return None
    return subject_of(user)
