"""What ``read`` asks before it accepts a token (``list``), and how processes tell each other (``protocol``, ``message``)."""

from .list import RevocationList
from .protocol import Revocation, RevocationFeed

__all__ = ["Revocation", "RevocationFeed", "RevocationList"]
