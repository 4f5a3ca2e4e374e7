"""Keys: one key, one algorithm; of a set, one key signs and all verify.

In ``key`` what a key does, in ``keyset`` how keys are replaced while in use, in ``checks`` what makes a key unfit. Never cryptography
of our own: that is the package ``cryptography``'s, through PyJWT's algorithm objects.
"""

from .checks import ALGORITHMS, HASH_BYTES
from .key import Key
from .keyset import KeySet

__all__ = ["ALGORITHMS", "HASH_BYTES", "Key", "KeySet"]
