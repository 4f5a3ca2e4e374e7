"""Only a refresh token that the session was given opens it, and no other text does it any harm.

The twins decode every text alike. What can be a refresh token reads as the parts that it was made
of. The current one refreshes its session, and the one before it is retried within its grace. An
older one ends the session, as does what nobody can make who has not seen one: a text of the same
length with its id and its family secret. Any other text finds no session and ends none.
"""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

from tests.fuzz.draw import Draw
from tests.support import FakeClock
from tests.twins.differential import NOW, TWINS
from tokenwheel import KeySet, RefreshTokenReused, SessionManager, SessionNotFound
from tokenwheel.session.refresh_tokens import parse_refresh_token, session_id_of

TOKENS = [importlib.import_module(f"tokenwheel._{name}.tokens") for name in TWINS]
KEYS = KeySet.from_secret(hashlib.sha256(b"refresh").digest())
GRACE = 10
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def check(data: bytes) -> None:
    draw = Draw(data)
    if draw.below(2):
        check_text(draw.rest().decode("utf-8", "surrogateescape"))
    else:
        check_session(draw)


def check_text(text: str) -> None:
    """Read a text that may be anything."""
    decoded = [decode(twin, text) for twin in TOKENS]
    assert all(raw == decoded[0] for raw in decoded), decoded
    if decoded[0] is not None:
        assert all(twin.encode(decoded[0]) == text for twin in TOKENS)
    parsed = parse_refresh_token(text)
    if parsed is not None:
        assert parsed.to_text() == text
        assert parsed.session_id == session_id_of(text) == session_id_of(parsed.session_id)
        assert text[20:] not in repr(parsed)


def decode(twin: Any, text: str) -> bytes | None:
    try:
        raw: bytes = twin.decode(text)
    except ValueError:
        return None
    return raw


def check_session(draw: Draw) -> None:
    """Present texts to a session that grow out of its own refresh tokens."""
    clock = FakeClock(NOW)
    manager = SessionManager(KEYS, issuer="i", audience="a", reuse_grace=GRACE, clock=clock)
    tokens = manager.create(subject="u")
    handed_out = [tokens.refresh_token]
    rotated_at = float(NOW)
    for _ in range(draw.below(6)):
        if draw.below(4) == 1:
            clock.advance(draw.choice((1, GRACE - 1, GRACE, 1_000)))
        presented = changed(draw, draw.choice(handed_out[::-1]))
        try:
            answer = manager.update(presented).refresh_token
        except RefreshTokenReused:
            assert presented not in handed_out[-1:]
            assert presented[:36] == tokens.refresh_token[:36]
            assert len(presented) == len(tokens.refresh_token)
            assert not manager.read_all("u")
            return
        except SessionNotFound:
            assert presented not in handed_out
            assert list(manager.read_all("u")) == [tokens.session_id]
            continue
        if presented == handed_out[-1]:
            assert answer not in handed_out
            handed_out.append(answer)
            rotated_at = clock.now
        else:
            assert presented == handed_out[-2]
            assert answer == handed_out[-1]
            assert clock.now - rotated_at < GRACE


def changed(draw: Draw, text: str) -> str:
    """Return the text, or what has become of it on its way."""
    change = draw.below(6)
    place = draw.below(len(text))
    if change == 1:
        return text[:place]
    if change == 2:
        return text[:place] + draw.choice(ALPHABET) + text[place + 1 :]
    if change == 3:
        return text + draw.text(8)
    if change == 4:
        return text[:place] + draw.text(8) + text[place:]
    if change == 5:
        return draw.spliced(text.encode()).decode("latin-1")
    return text
