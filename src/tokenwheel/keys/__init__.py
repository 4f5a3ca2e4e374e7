"""Keys: a key has one algorithm; in a set, one key signs and all verify.

``key`` holds what a key does, ``formats`` how one is read from PEM and JWK and written as them,
``keyset`` how keys are replaced while in use, and ``checks`` what makes a key unfit.
``storage_secret`` is of no token: records in a storage are authenticated with it. None of the
cryptography is ours: it is that of the package ``cryptography``, through PyJWT's algorithm objects.
"""

from .checks import ALGORITHMS, HASH_BYTES
from .key import Key
from .keyset import KeySet
from .storage_secret import storage_secret

__all__ = ["ALGORITHMS", "HASH_BYTES", "Key", "KeySet", "storage_secret"]
