"""The life of a session: ``flow`` says what happens in which order, ``manager`` has it done."""

from .manager import AsyncSessionManager, SessionManager

__all__ = ["AsyncSessionManager", "SessionManager"]
