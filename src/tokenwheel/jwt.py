"""Access tokens: how they are issued, and the verifier of ``_impl`` that verifies them.

An access token is a JWS in compact form (RFC 7515, section 7.1) of type ``at+jwt`` (RFC 9068,
section 2.1). Its claims are ``iss``, ``aud``, ``sub``, ``sid``, ``gen`` (left out while 0),
``iat``, ``exp`` and the application's own. That of a refreshed session has ``auth_time``, too (RFC
9068, section 2.2.1): when the user logged in. Of the first one ``iat`` tells that. Options have
been checked before they arrive here. Nothing here knows how a session is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ._impl import MAX_TOKEN_LENGTH, RevocationTable, Signer, Verifier
from .errors import ConfigurationError, InvalidArgument
from .exact import is_instance
from .keys import Key, KeySet, LivingKeySet

__all__ = ["AccessTokens"]


class AccessTokens:
    """The access tokens of one service. Follows the service's key set as that changes.

    Args:
        keys: the key set.
        issuer: the ``iss`` of tokens, put into them and required of them.
        audience: the ``aud`` put into tokens.
        accept_audience: of these, one must be in a token's ``aud``.
        leeway: seconds by which ``exp``, ``nbf`` and ``iat`` may be missed.
        largest_leeway: the most seconds that a single read may ask for instead.
        cache_size: how many verified tokens are remembered.
        clock: returns Unix seconds.
        revocations: the sessions whose tokens are refused.
    """

    __slots__ = (
        "__weakref__",
        "_audience",
        "_issuer",
        "_keys",
        "_living",
        "_signer",
        "_verifying",
        "lowest_generation",
        "verifier",
    )

    def __init__(
        self,
        keys: KeySet,
        *,
        issuer: str,
        audience: str | tuple[str, ...],
        accept_audience: tuple[str, ...],
        leeway: float,
        largest_leeway: float,
        cache_size: int,
        clock: Callable[[], float],
        revocations: RevocationTable,
    ) -> None:
        self._keys = keys
        self._living = keys if is_instance(keys, LivingKeySet) else None
        self._issuer = issuer
        self._audience = audience if isinstance(audience, str) else list(audience)
        self._signer: Signer | None = None
        self._verifying = tuple(keys)
        # Of a session: what a token must have for the verifier not to refuse it as revoked.
        self.lowest_generation = revocations.lowest_generation
        self.verifier = Verifier(
            self._verifying,
            issuer=issuer,
            audience=accept_audience,
            leeway=leeway,
            largest_leeway=largest_leeway,
            cache_size=cache_size,
            clock=clock,
            revocations=revocations,
            key_source=self._living,
        )
        keys.subscribe(self._follow_keys)
        # Another thread may change the set meanwhile, and be told before what was looked at here is
        # put in place. Then that is looked at again.
        used = None
        while used != (current := (keys.signing, tuple(keys))):
            used = current
            self._use(*current)

    def _follow_keys(self) -> None:
        """Take over the key set as it is now."""
        self._use(self._keys.signing, tuple(self._keys))

    def _use(self, signing: Key | None, verifying: tuple[Key, ...]) -> None:
        # It forgets every remembered token, which need not be where another key signs. A fork in
        # another thread may come at any point: what is done counts as done once it is.
        if verifying != self._verifying:
            self.verifier.set_keys(verifying)
            self._verifying = verifying
        self._signer = None if signing is None else Signer(signing)

    def check_signing(self) -> None:
        """Check that one of the keys can sign.

        Raises:
            ConfigurationError: none can.
        """
        if self._living is not None:
            self._living.look()
        if self._signer is None:
            raise ConfigurationError(
                "keys has only public keys: this manager reads, deletes and restricts, and cannot "
                "issue tokens"
            )

    def issue(
        self,
        subject: str,
        session_id: str,
        claims: Mapping[str, Any],
        generation: int,
        issued_at: int,
        expires_at: int,
        logged_in_at: int | None = None,
    ) -> str:
        """Return a signed access token. Times are in Unix seconds.

        Args:
            subject: whose session it is.
            session_id: the session.
            claims: the application's own. An ``auth_time`` among them counts.
            generation: that of the session, the lowest which is not refused.
            issued_at: now.
            expires_at: the end of the token.
            logged_in_at: the claim ``auth_time``; None leaves it out.

        Raises:
            InvalidArgument: the claims make a token of more than 8 KiB, which no ``read`` takes.
            ConfigurationError: none of the keys can sign.
        """
        signer = self._signer
        if signer is None:
            raise ConfigurationError("keys has only public keys: no access token can be issued")
        payload: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "sid": session_id,
            "iat": issued_at,
            "exp": expires_at,
            **claims,
        }
        if generation:
            payload["gen"] = generation
        if logged_in_at is not None:
            payload.setdefault("auth_time", logged_in_at)
        token = signer.sign_claims(payload)
        length = len(token)
        if length > MAX_TOKEN_LENGTH:
            del token
            raise InvalidArgument(
                f"claims make an access token of {length} bytes, and at most "
                f"{MAX_TOKEN_LENGTH} are accepted"
            )
        return token
