"""The former place of what is in ``message`` and ``protocol``, for feeds written against it.

New code imports the first two from ``tokenwheel.revocation.message``, the others from
``tokenwheel``. This module goes with version 1.0.
"""

from .message import MESSAGE_BYTES, pack, unpack, unpack_each
from .protocol import Revocation, RevocationFeed

__all__ = ["MESSAGE_BYTES", "Revocation", "RevocationFeed", "pack", "unpack", "unpack_each"]
