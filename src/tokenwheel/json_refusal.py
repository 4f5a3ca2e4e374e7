"""The class that claims show, for the sake of what ``json`` says when it is handed them.

``json`` takes a ``dict`` and no other mapping, and an object has no say in that. Its refusal names
the ``__name__`` of the object's ``__class__``, and nothing else that is the object's own. So claims
show a subclass whose name holds the way out. It is a subclass in all that is asked of a class:
``isinstance`` and ``functools.singledispatch`` go by it as by ``Claims``. No object is made of it,
and ``type()`` of claims is ``Claims``.
"""

from __future__ import annotations

from types import new_class
from typing import Any, NoReturn, TypeVar

__all__ = ["shown_class"]

C = TypeVar("C")


class _Shown:
    """Stands before ``Claims``, which refuses to be subclassed, and lets it be done once."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Allow it."""


def shown_class(claims_type: type[C]) -> type[C]:
    """Return the class that claims show as theirs. Called, it makes claims of the type itself.

    Args:
        claims_type: the class ``Claims`` of a twin.
    """

    def make(cls: type, *arguments: Any, **options: Any) -> C:
        return claims_type(*arguments, **options)

    def refuse(cls: type) -> NoReturn:
        raise TypeError("Claims cannot be subclassed: nothing may change what a token says")

    members: dict[str, Any] = {
        "__doc__": claims_type.__doc__,
        "__init_subclass__": classmethod(refuse),
        "__module__": claims_type.__module__,
        "__new__": make,
        "__qualname__": claims_type.__qualname__,
        "__slots__": (),
    }
    shown: type[C] = new_class(
        "Claims (json takes dict(claims))",
        (_Shown, claims_type),
        exec_body=lambda namespace: namespace.update(members),
    )
    return shown
