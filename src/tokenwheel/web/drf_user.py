"""The user of a request of Django REST framework where no user is loaded."""

from __future__ import annotations

from collections.abc import Sequence

from .._impl import Claims

__all__ = ["TokenUser"]


class TokenUser:
    """Who is signed in, where no user is loaded: known by the subject of the access token alone.

    Args:
        claims: those of the access token.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False
    is_staff = False
    is_superuser = False

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.id = self.pk = self.username = claims.subject

    def __str__(self) -> str:
        return str(self.pk)

    def __eq__(self, other: object) -> bool:
        return self.pk == other.pk if isinstance(other, TokenUser) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.pk)

    def get_username(self) -> str:
        """Return the subject."""
        return self.username

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Return False: permissions belong to a user whom Django has stored."""
        return False

    def has_perms(self, perm_list: Sequence[str], obj: object = None) -> bool:
        """Return False, but for no permissions at all."""
        return not perm_list

    def has_module_perms(self, module: str) -> bool:
        """Return False: permissions belong to a user whom Django has stored."""
        return False
