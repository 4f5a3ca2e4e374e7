"""The life of a session: ``flow`` decides what happens in which order, ``manager`` carries it out."""

from .manager import AsyncSessionManager, SessionManager

__all__ = ["AsyncSessionManager", "SessionManager"]
