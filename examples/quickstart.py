"""The example tokenwheel started from, translated line for line.

The original is in the TypeScript library that tokenwheel grew out of. There a user had to write the
storage of sessions, the cache of invalid access tokens, and the broadcast between processes. Here
the first two are what a manager takes when none is given, and the last is what a ``RevocationFeed``
does.
"""

from tokenwheel import (
    AllSessionsInvalidated,
    SessionContext,
    SessionEvent,
    SessionInvalidated,
    SessionManager,
)

# The original's secret has 27 characters. HS384 needs at least 48 bytes (RFC 7518, section 3.2: as
# many as the hash has), and a manager refuses to start with fewer, so this one is longer. In
# production take random bytes, and not from a source file.
manager = SessionManager(
    "99afj9aujf907;LKOP/][;kgopj, and then some more, up to 48 bytes",
    algorithm="HS384",
    issuer="auth-server.com",
    audience=["auth-server.com", "rest-server.com"],
    accept_audience="rest-server.com",
    access_ttl=900,  # 15 min
    refresh_ttl=86_400,  # 24 h
    refresh_token_length=15,
)


# Attach listeners
@manager.on(SessionEvent.SESSION_INVALIDATED)
def session_invalidated(event: SessionInvalidated) -> None:
    print(
        f"Session of user with id '{event.session.subject}' was invalidated. "
        "Other processes learn of it from the revocation feed."
    )


@manager.on(SessionEvent.ALL_SESSIONS_INVALIDATED)
def all_sessions_invalidated(event: AllSessionsInvalidated) -> None:
    print(f"All {len(event.sessions)} sessions of user with id '{event.subject}' were invalidated.")


# Create session
session_tokens = manager.create(
    {"name": "John"}, subject="uid1", context=SessionContext(ip="127.0.0.1")
)

# Validate it
session_meta_data = manager.read(session_tokens.access_token)
print(f"Access token of {session_meta_data['name']} is valid.")

# Read active sessions
active_sessions = manager.read_all("uid1")
print(f"User with id 'uid1' has {len(active_sessions)} active sessions.")

# Update access token. With rotation, which is the default, the refresh token is replaced as well.
refreshed = manager.update(
    session_tokens.refresh_token,
    {"name": "John"},
    subject="uid1",
    context=SessionContext(ip="127.0.0.1"),
)

# Delete session
manager.delete_one("uid1", refreshed.session_id)

# Delete all sessions
deleted_sessions = manager.delete_all("uid1")
print(f"Deleted {deleted_sessions} active sessions of user with id 'uid1'.")
