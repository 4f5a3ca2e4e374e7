"""A key set that follows a URL: ``remote_key_set`` is the set, and says what the others are for."""

from .remote_key_set import KeyResponse, RemoteKeySet, RemoteKeysStats

__all__ = ["KeyResponse", "RemoteKeySet", "RemoteKeysStats"]
