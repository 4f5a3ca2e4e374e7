"""Chooses the compiled or the pure implementation of the hot path, once; the only importer of either.

``TOKENWHEEL_IMPL=native`` or ``pure`` asks for one of them, and importing tokenwheel fails where it is not there. Unset, the
compiled one is taken where it was built. An extension that is there and can't be loaded is an error, never a silent fallback.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Literal

from .errors import ConfigurationError

__all__ = [
    "MAX_NESTING",
    "MAX_TOKEN_LENGTH",
    "Claims",
    "ExpiringCache",
    "RevocationTable",
    "Signer",
    "Verifier",
    "decode",
    "digest",
    "encode",
    "hmac_sha256",
    "implementation",
    "new_token",
    "random_bytes",
]


def _choose() -> Literal["native", "pure"]:
    wanted = os.environ.get("TOKENWHEEL_IMPL", "")
    if wanted not in ("", "native", "pure"):
        raise ConfigurationError(
            "the environment variable TOKENWHEEL_IMPL must be 'native', 'pure' or unset"
        )
    if wanted == "pure":
        return "pure"
    built = importlib.util.find_spec("tokenwheel._native.verifier") is not None
    if wanted == "native" and not built:
        raise ConfigurationError(
            "TOKENWHEEL_IMPL is 'native', and this installation has no compiled extension"
        )
    return "native" if built else "pure"


implementation: Literal["native", "pure"] = _choose()

if TYPE_CHECKING or implementation == "native":
    from ._native.cache import ExpiringCache
    from ._native.revocations import RevocationTable
    from ._native.signer import Signer
    from ._native.tokens import decode, digest, encode, hmac_sha256, new_token, random_bytes
    from ._native.verifier import MAX_NESTING, MAX_TOKEN_LENGTH, Claims, Verifier
else:
    from ._pure.cache import ExpiringCache
    from ._pure.revocations import RevocationTable
    from ._pure.signer import Signer
    from ._pure.tokens import decode, digest, encode, hmac_sha256, new_token, random_bytes
    from ._pure.verifier import MAX_NESTING, MAX_TOKEN_LENGTH, Claims, Verifier
