"""A Redis or Valkey server as sessions and revocations use it: how it is talked to (``client``, ``conversation``), under which names things
lie there (``names``), and what is done there in one step (``scripts``). Nothing here imports a client library: the user brings a client."""

from .client import AsyncLink, Link, Server
from .conversation import Command, Conversation
from .names import PREFIX, Names

__all__ = ["PREFIX", "AsyncLink", "Command", "Conversation", "Link", "Names", "Server"]
