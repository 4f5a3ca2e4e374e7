"""What a key is read as, whichever form it came in: the objects of ``cryptography``, or a secret.

``pem`` and ``jwk`` read those forms; ``key`` makes a Key of the parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["KeyParts"]


@dataclass(frozen=True, slots=True, repr=False)
class KeyParts:
    """What a key was read as. A shared secret has ``secret`` alone; a public key, ``public``."""

    algorithm: str
    kid: str | None = None
    secret: bytes | None = None
    private: Any = None
    public: Any = None
