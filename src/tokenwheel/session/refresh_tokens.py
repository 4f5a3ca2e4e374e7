"""The refresh token: its shape, its secrets, and how one follows another.

The reasons are in ``docs/design.md``, decision 4.

A refresh token is the text of ``session id (12 bytes) | family secret (15 bytes) | rotating secret
(15 bytes or more)``. The first two stay the same for the whole life of the session. Each rotating
secret is derived from the one before and a fresh salt, so that whoever holds the one before can be
given the very same successor again, though no storage holds either. Where the manager has a
``storage_key``, that takes part as well (``seal.py``): the salt lies in the storage, and in backups
of it. Storages see SHA-256 hashes of the secrets; these have 120 random bits or more, so a plain
hash is enough (NIST SP 800-63B, 5.1.2.2).

The hash of the family secret is also over the length of the rotating one, which no rotation
changes. So a refresh token that was cut or lengthened on its way, by a column too short or a mail
client, is of no family: it was never issued, and must not pass for one that comes back too late.

Nothing here reads a storage or a clock.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import Literal

from .._impl import decode, digest, encode, hmac_sha256, random_bytes, take_apart
from ..exact import text_of
from ..hidden import Hiding
from ..models import SessionRecord, SessionTokens
from .seal import Seal

__all__ = [
    "LONGEST_SECRET",
    "PLAIN_SECRET",
    "SESSION_ID_LENGTH",
    "SHORTEST_SECRET",
    "RefreshToken",
    "Standing",
    "is_of_family",
    "new_refresh_token",
    "new_salt",
    "parse_refresh_token",
    "rotate",
    "session_id_of",
    "standing_of",
    "successor",
]

SESSION_ID_BYTES = 12  # 96 bits
SESSION_ID_LENGTH = 16  # characters: 12 bytes in base64url
FAMILY_BYTES = 15  # 120 bits
SHORTEST_SECRET = 15  # bytes, 120 bits
LONGEST_SECRET = 1024  # bytes
_LENGTH_BYTES = 2  # of the rotating secret's length, where it is hashed
_SALT_BYTES = 16  # 128 bits
_FIXED_BYTES = SESSION_ID_BYTES + FAMILY_BYTES
PLAIN_SECRET = 32  # bytes: up to here, one HMAC-SHA256 derives a secret

Standing = Literal["current", "retried", "reused"]


class RefreshToken(Hiding):
    """A refresh token taken apart, and what a client is about to be handed for it.

    All of it is in one object that shows none of it, so that a flow needs no local variable with a
    secret in it.

    Attributes:
        session_id: the id of the session, which is public.
        family: the family secret.
        secret: the rotating secret.
        family_hash: what a storage keeps of the family secret, and of the other one's length.
        following: the text of the refresh token that follows, once :func:`rotate` has made it.
        issued: the tokens to hand out, once they are made.
    """

    __slots__ = ("family", "family_hash", "following", "issued", "secret", "session_id")
    following: str
    issued: SessionTokens

    def __init__(self, session_id: str, family: bytes, secret: bytes, family_hash: bytes) -> None:
        self.session_id = session_id
        self.family = family
        self.secret = secret
        self.family_hash = family_hash

    def __repr__(self) -> str:
        return f"RefreshToken(session_id={self.session_id!r})"

    def to_text(self) -> str:
        """Return the text that a client holds."""
        return self.session_id + encode(self.family + self.secret)

    def followed_by(self, secret: bytes) -> str:
        """Return the text of the refresh token that has this rotating secret instead."""
        return self.session_id + encode(self.family + secret)


def new_refresh_token(secret_length: int, id_prefix: bytes = b"") -> RefreshToken:
    """Return the first refresh token of a new session, and with it the session's id.

    Args:
        secret_length: bytes of the rotating secret.
        id_prefix: what the 12 bytes of the id begin with, two bytes at most.
    """
    drawn = random_bytes(_FIXED_BYTES + secret_length)
    try:
        if id_prefix:  # A storage may say anything.
            drawn = id_prefix + drawn[len(id_prefix) :]
        family = drawn[SESSION_ID_BYTES:_FIXED_BYTES]
        return RefreshToken(
            encode(drawn[:SESSION_ID_BYTES]),
            family,
            drawn[_FIXED_BYTES:],
            digest(family + secret_length.to_bytes(_LENGTH_BYTES)),
        )
    finally:
        family = drawn = b""


def new_salt() -> bytes:
    """Return 16 random bytes, from which and a secret the next secret is derived."""
    return random_bytes(_SALT_BYTES)


def parse_refresh_token(given: object) -> RefreshToken | None:
    """Return the parts of a refresh token, or None where the text cannot be one.

    That says nothing about whether it was ever issued.
    """
    text = text_of(given)
    parts = None if text is None else take_apart(text)
    return None if parts is None else RefreshToken(*parts)


def session_id_of(given: object) -> str | None:
    """Return the session id in a session id or a full refresh token; None where it is neither."""
    text = text_of(given)
    if text is not None and len(text) == SESSION_ID_LENGTH:
        try:
            decode(text)
        except ValueError:
            return None
        return text
    token = parse_refresh_token(text)
    return None if token is None else token.session_id


def successor(pseudorandom_key: bytes, salt: bytes, length: int) -> bytes:
    """Return the rotating secret of ``length`` bytes that follows one.

    It is HKDF-Expand (RFC 5869, section 2.3) of what :meth:`Seal.extracted` makes of that one, with
    the salt as ``info``. One HMAC-SHA256 gives up to 32 bytes, which is the whole of that function
    there. Longer secrets go through ``cryptography``.
    """
    try:
        if length <= PLAIN_SECRET:
            return hmac_sha256(pseudorandom_key, salt + b"\x01")[:length]
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

        return HKDFExpand(SHA256(), length, info=salt).derive(pseudorandom_key)
    finally:  # The salt comes from a storage, and may be anything.
        del pseudorandom_key


def is_of_family(presented: RefreshToken, record: SessionRecord) -> bool:
    """Return True where a refresh token may once have been issued to the session.

    Its family secret is that of the session, and its rotating secret is as long as all of the
    session's. A record that was written before lengths were hashed tells the family alone.
    """
    if compare_digest(presented.family_hash, record.family_hash):
        return True
    return compare_digest(digest(presented.family), record.family_hash)


def standing_of(
    presented: RefreshToken, record: SessionRecord, now: float, reuse_grace: float
) -> Standing:
    """Return what a refresh token of the right family is to its session.

    Args:
        presented: the refresh token; its family secret is that of the session.
        record: the session.
        now: Unix seconds.
        reuse_grace: seconds for which the refresh token before the current one may be retried.

    Returns:
        ``"current"`` for the one last handed out, ``"retried"`` for the one before it within the
        grace, and ``"reused"`` for one replaced longer ago (RFC 9700, section 4.14.2).
    """
    secret_hash = digest(presented.secret)
    if compare_digest(secret_hash, record.secret_hash):
        return "current"
    if (
        record.previous_hash is not None
        and record.rotated_at is not None
        and compare_digest(secret_hash, record.previous_hash)
        and max(now - record.rotated_at, 0) < reuse_grace
    ):
        return "retried"
    return "reused"


def rotate(
    presented: RefreshToken,
    record: SessionRecord,
    standing: Standing,
    now: float,
    seal: Seal,
    renews: bool,
) -> tuple[bytes, bytes | None, bytes | None, float | None] | None:
    """Make the refresh token that follows a presented one. Return what the record keeps of it.

    Its text is then in ``following`` of the presented one. A token that is retried gets the one
    that was derived when it was replaced.

    Args:
        presented: the refresh token; it is the current one, or is retried.
        record: the session.
        standing: what :func:`standing_of` says.
        now: Unix seconds.
        seal: with what the successor is derived.
        renews: False where the current token stays the current one, as a manager may be told to.

    Returns:
        The record's ``secret_hash``, ``previous_hash``, ``salt`` and ``rotated_at``. None where a
        retried token had its successor derived with a key that is no longer there.
    """
    if standing == "retried" and record.salt is not None:
        if not _derive_again(presented, record.salt, record.secret_hash, seal):
            return None
    elif not renews:
        presented.following = presented.to_text()
    else:
        secret = presented.secret
        salt = new_salt()
        following = successor(seal.extracted(secret), salt, len(secret))
        presented.following = presented.followed_by(following)
        return digest(following), record.secret_hash, salt, now
    return record.secret_hash, record.previous_hash, record.salt, record.rotated_at


def _derive_again(presented: RefreshToken, salt: bytes, secret_hash: bytes, seal: Seal) -> bool:
    """Make the refresh token that follows a retried one, as it was made when that was replaced.

    Return False where the key with which it was derived is no longer there.
    """
    extracted = following = b""
    try:
        for extracted in seal.extracted_by_each(presented.secret):
            following = successor(extracted, salt, len(presented.secret))
            if compare_digest(digest(following), secret_hash):
                presented.following = presented.followed_by(following)
                return True
        return False
    finally:
        del extracted, following
