"""The choice between the compiled and the pure implementation of the hot path.

It is made once, when tokenwheel is imported, and nothing else imports either of the two. The
environment variable ``TOKENWHEEL_IMPL=native`` or ``pure`` asks for one of them, and the import
fails where that one is not there. Unset, the compiled one is taken where it was built. An extension
that is there and can't be loaded is an error: the pure one never takes its place unasked.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Literal

from .errors import ConfigurationError

__all__ = [
    "LARGEST_PAYLOAD",
    "MAX_TOKEN_LENGTH",
    "Claims",
    "ExpiringCache",
    "RevocationTable",
    "Signer",
    "Verifier",
    "copy_plain",
    "decode",
    "digest",
    "encode",
    "hmac_sha256",
    "implementation",
    "new_token",
    "random_bytes",
    "take_apart",
]


def _choose() -> Literal["native", "pure"]:
    asked_for = os.environ.get("TOKENWHEEL_IMPL", "")
    if asked_for not in ("", "native", "pure"):
        raise ConfigurationError(
            "the environment variable TOKENWHEEL_IMPL must be 'native', 'pure' or unset"
        )
    if asked_for == "pure":
        return "pure"
    is_built = importlib.util.find_spec("tokenwheel._native.verifier") is not None
    if asked_for == "native" and not is_built:
        raise ConfigurationError(
            "TOKENWHEEL_IMPL is 'native', and this installation has no compiled extension"
        )
    return "native" if is_built else "pure"


implementation: Literal["native", "pure"] = _choose()

if TYPE_CHECKING or implementation == "native":
    from ._native.cache import ExpiringCache
    from ._native.plain_json import LARGEST_PAYLOAD, copy_plain
    from ._native.revocations import RevocationTable
    from ._native.signer import Signer
    from ._native.tokens import (
        decode,
        digest,
        encode,
        hmac_sha256,
        new_token,
        random_bytes,
        take_apart,
    )
    from ._native.verifier import MAX_TOKEN_LENGTH, Claims, Verifier
else:
    from ._pure.cache import ExpiringCache
    from ._pure.plain_json import LARGEST_PAYLOAD, copy_plain
    from ._pure.revocations import RevocationTable
    from ._pure.signer import Signer
    from ._pure.tokens import (
        decode,
        digest,
        encode,
        hmac_sha256,
        new_token,
        random_bytes,
        take_apart,
    )
    from ._pure.verifier import MAX_TOKEN_LENGTH, Claims, Verifier
