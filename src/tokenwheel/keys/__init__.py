"""Keys: a key has one algorithm; in a set, one key signs and all verify.

``key`` holds what a key does, ``formats`` how one is read from PEM and JWK and written as them,
``keyset`` how keys are replaced while in use, and ``checks`` what makes a key unfit. None of the
cryptography is ours: it is that of the package ``cryptography``, through PyJWT's algorithm objects.
"""

from .checks import ALGORITHMS, HASH_BYTES
from .key import Key
from .keyset import KeySet

__all__ = ["ALGORITHMS", "HASH_BYTES", "Key", "KeySet"]
