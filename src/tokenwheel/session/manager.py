"""SessionManager and AsyncSessionManager: one lifecycle (``flow.py``), one ``read``, two drivers.

Each public method is a line that hands the flow's generator to the driver. A driver carries out the steps the flow yields
and sends the answers back in; the async one awaits what can be awaited. Nothing about sessions is decided here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from types import CoroutineType, TracebackType
from typing import Any, Literal, TypeVar, overload

from .._impl import Claims
from ..errors import ConfigurationError, InvalidArgument
from ..events import Event, Listener, Listeners, SessionEvent
from ..jwt import AccessTokens
from ..keys import KeySet
from ..models import Session, SessionContext, SessionTokens
from ..revocation import Revocation, RevocationList
from ..storage.memory import MemoryStorage
from ..storage.protocol import AsyncSessionStorage, SessionStorage
from .flow import (
    DELETE,
    END,
    HOOK,
    INSERT,
    NOTIFY,
    READ,
    READ_ALL,
    REPLACE,
    RESTRICT,
    REVOKE,
    Flow,
    SessionFlow,
    failure,
)
from .hooks import RefreshHook, same_device
from .options import check_hook, check_lifecycle, check_tokens

__all__ = ["AsyncSessionManager", "SessionManager"]

logger = logging.getLogger("tokenwheel")

_STORAGE_METHODS = (INSERT, READ, READ_ALL, REPLACE, DELETE)

T = TypeVar("T")
L = TypeVar("L", bound=Listener)


class _Manager:
    """What both managers share: the options, ``read`` and the listeners. Said once, checked once."""

    _takes_async = False
    _notify: Callable[[Event], Any]

    def __init__(
        self,
        keys: str | bytes | KeySet,
        *,
        algorithm: str = "HS256",
        issuer: str,
        audience: str | Sequence[str],
        accept_audience: str | Sequence[str] | None = None,
        access_ttl: int = 900,
        refresh_ttl: int = 2_592_000,
        idle_ttl: int | None = None,
        refresh_token_length: int = 24,
        rotate_refresh_tokens: bool = True,
        reuse_grace: float = 10,
        max_sessions: int | None = None,
        when_full: Literal["reject", "evict_oldest"] = "reject",
        leeway: float = 0,
        storage: SessionStorage | AsyncSessionStorage | None = None,
        revocations: RevocationList | None = None,
        refresh_hook: RefreshHook | None = None,
        verified_cache_size: int = 65_536,
        clock: Callable[[], float] = time.time,
    ) -> None:
        key_set, issued_audience, accepted_audience = check_tokens(
            keys=keys,
            algorithm=algorithm,
            issuer=issuer,
            audience=audience,
            accept_audience=accept_audience,
            leeway=leeway,
            verified_cache_size=verified_cache_size,
            clock=clock,
        )
        lifecycle = check_lifecycle(
            access_ttl=access_ttl,
            refresh_ttl=refresh_ttl,
            idle_ttl=idle_ttl,
            refresh_token_length=refresh_token_length,
            rotate_refresh_tokens=rotate_refresh_tokens,
            reuse_grace=reuse_grace,
            max_sessions=max_sessions,
            when_full=when_full,
            leeway=leeway,
        )
        hook = check_hook(refresh_hook)
        storage = MemoryStorage() if storage is None else storage
        if not all(callable(getattr(storage, name, None)) for name in _STORAGE_METHODS):
            raise ConfigurationError(
                f"storage must have the methods of SessionStorage: {', '.join(_STORAGE_METHODS)}"
            )
        revocations = RevocationList(clock=clock) if revocations is None else revocations
        if not isinstance(revocations, RevocationList):
            raise ConfigurationError("revocations must be a RevocationList")
        if not self._takes_async:
            for name in _STORAGE_METHODS:
                self._refuse_async("storage", getattr(storage, name), storage)
            self._refuse_async("refresh_hook", hook)
            for name in () if revocations.feed is None else ("publish", "close"):
                self._refuse_async("revocations", getattr(revocations.feed, name), revocations.feed)
        tokens = AccessTokens(
            key_set,
            issuer=issuer,
            audience=issued_audience,
            accept_audience=accepted_audience,
            leeway=leeway,
            largest_leeway=lifecycle.revocation_margin,
            cache_size=verified_cache_size,
            clock=clock,
            revocations=revocations,
        )
        self._tokens = tokens
        self._verify = tokens.verifier.verify
        if (
            type(self).read is _Manager.read
        ):  # A call between the two would cost nearly as much as all the rest.
            vars(self)["read"] = self._verify
        self._listeners = Listeners()
        feed, publishes_to = revocations.feed, getattr(storage, "publishes_to", None)
        at_once = feed is not None and publishes_to is not None and publishes_to(feed)
        self._flow = SessionFlow(
            lifecycle,
            tokens,
            self._listeners,
            clock,
            compares_devices=hook is same_device,
            id_prefix=getattr(storage, "session_id_prefix", None),
            at_once=at_once,
        )
        self._revocations = revocations
        # One that waits has done so when the list was made.
        self._replays = hasattr(feed, "replay") and getattr(feed, "waits", False) is not True
        self._perform: dict[str, Callable[..., Any]] = {
            **{name: self._performer(getattr(storage, name), storage) for name in _STORAGE_METHODS},
            REVOKE: self._performer(revocations.publish, feed),
            END: self._performer(partial(self._revoke_and, storage.delete), storage),
            RESTRICT: self._performer(partial(self._revoke_and, storage.replace), storage),
            HOOK: hook,
            NOTIFY: self._notify,
        }

    def _performer(self, function: Callable[..., Any], owner: object) -> Callable[..., Any]:
        """How an operation is carried out: as it is; in a worker thread, where it would block an event loop."""
        if self._takes_async and getattr(owner, "waits", False) is True:
            return partial(asyncio.to_thread, function)
        return function

    def _revoke_and(
        self, change: Callable[..., Any], what: Any, now: float, revocations: Sequence[Revocation]
    ) -> Any:
        """Refuses here first, then has the storage change what it keeps and tell the others, all in one step."""
        self._revocations.refuse(revocations, now)
        return change(what, now, self._revocations.feed, revocations)

    @staticmethod
    def _refuse_async(name: str, function: Callable[..., Any], owner: object = None) -> None:
        is_async = getattr(owner, "is_async", False) is True
        if (
            is_async
            or inspect.iscoroutinefunction(function)
            or inspect.iscoroutinefunction(type(function).__call__)
        ):
            raise ConfigurationError(
                f"{name} must not be async in a SessionManager; AsyncSessionManager takes it"
            )

    def read(
        self,
        access_token: str,
        *,
        audience: str | Sequence[str] | None = None,
        leeway: float | None = None,
    ) -> Claims:
        """Verifies an access token and returns its claims. Touches no storage and no network, and never waits.

        Args:
            access_token: the JWT, without ``Bearer``.
            audience: required of this token instead of the manager's ``accept_audience``: one of these must be in ``aud``.
            leeway: seconds, instead of the manager's. At most 60, or the manager's own where that is more: revocations are kept that long.

        Raises:
            InvalidAccessToken: not a token this service issued for this audience.
            AccessTokenExpired: past its ``exp``.
            AccessTokenNotYetValid: before its ``nbf`` or ``iat``.
            AccessTokenRevoked: its session was ended or restricted.
            InvalidArgument: an ``audience`` or ``leeway`` that cannot be used.
            StorageUnavailable: the feed says that there is news, and it cannot be fetched: the token may have been revoked.
        """
        return self._verify(access_token, audience=audience, leeway=leeway)

    @overload
    def on(self, event: SessionEvent) -> Callable[[L], L]: ...

    @overload
    def on(self, event: SessionEvent, listener: L) -> L: ...

    def on(self, event: SessionEvent, listener: L | None = None) -> L | Callable[[L], L]:
        """Calls the listener with each event of this kind, after it has taken effect. Also a decorator.

        Raises:
            InvalidArgument: not a :class:`~tokenwheel.SessionEvent`, or a listener that cannot be called here.
        """
        if not isinstance(event, SessionEvent):
            raise InvalidArgument("event must be a SessionEvent")

        def subscribe(one: L) -> L:
            if not callable(one):
                raise InvalidArgument("listener must be a callable that takes one event")
            if not self._takes_async and inspect.iscoroutinefunction(one):
                raise InvalidArgument(
                    "listener must not be a coroutine function in a SessionManager; AsyncSessionManager takes it"
                )
            self._listeners.add(event, one)
            return one

        return subscribe if listener is None else subscribe(listener)

    def off(self, event: SessionEvent, listener: Listener) -> None:
        """Stops calling the listener with events of this kind. Does nothing where it wasn't subscribed."""
        if not isinstance(event, SessionEvent):
            raise InvalidArgument("event must be a SessionEvent")
        self._listeners.remove(event, listener)


class SessionManager(_Manager):
    """Opens, verifies, refreshes and ends sessions, with storages that block.

    Args:
        keys: a shared secret, or a :class:`~tokenwheel.KeySet`. With public keys only, the manager reads, deletes and restricts.
        algorithm: what signs with a shared secret (``HS256``, ``HS384``, ``HS512``); a KeySet brings its own.
        issuer: put into tokens as ``iss`` and required of them.
        audience: put into tokens as ``aud``.
        accept_audience: one of these must be in a token's ``aud``; by default the ``audience``.
        access_ttl: lifetime of an access token in seconds.
        refresh_ttl: lifetime of a session in seconds, however often it is refreshed.
        idle_ttl: the session ends when it isn't refreshed for this many seconds.
        refresh_token_length: bytes of the rotating secret, at least 15.
        rotate_refresh_tokens: whether ``update`` replaces the refresh token (RFC 9700, section 4.14.2).
        reuse_grace: seconds during which the refresh token before the current one may be retried; the leeway longer, unless it is 0.
        max_sessions: sessions a subject may have at once.
        when_full: ``"reject"`` raises :class:`~tokenwheel.errors.TooManySessions`, ``"evict_oldest"`` ends the oldest session.
        leeway: seconds of clock difference between nodes, tolerated on ``exp``, ``nbf`` and ``iat``, and in ``reuse_grace``.
        storage: where sessions are kept; by default in memory.
        revocations: what ``read`` asks; by default a list in memory.
        refresh_hook: called with the session and the context of each refresh; raises to refuse it. By default the device must be the same.
        verified_cache_size: how many verified tokens are remembered; 0 for none.
        clock: returns Unix seconds.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    def create(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        subject: str,
        context: SessionContext | None = None,
        access_ttl: int | None = None,
        refresh_ttl: int | None = None,
    ) -> SessionTokens:
        """Opens a session: one login on one device.

        Args:
            claims: the application's own claims for the access token; plain JSON.
            subject: whose session it is: 1 to 255 characters.
            context: from where the login came, for the refresh hook and the list of sessions.
            access_ttl: seconds, for this access token only.
            refresh_ttl: seconds, for this session only.

        Raises:
            InvalidArgument: an argument cannot be used; nothing was stored.
            TooManySessions: ``max_sessions`` is reached and ``when_full`` is ``"reject"``.
            ConfigurationError: the key set has no key that can sign.
            StorageUnavailable: the storage failed.
        """
        return self._run(self._flow.create(claims, subject, context, access_ttl, refresh_ttl))

    def read_all(self, subject: str) -> Mapping[str, Session]:
        """The active sessions of a subject by session id.

        Raises:
            InvalidArgument: a subject that cannot be used.
            StorageUnavailable: the storage failed.
        """
        return self._run(self._flow.read_all(subject))

    def update(
        self,
        refresh_token: str,
        claims: Mapping[str, Any] | None = None,
        *,
        subject: str | None = None,
        context: SessionContext | None = None,
        access_ttl: int | None = None,
    ) -> SessionTokens:
        """A fresh access token for a session, and with rotation a new refresh token (RFC 6749, section 6; RFC 9700, section 4.14).

        Within ``reuse_grace`` a retry with the refresh token just replaced gets the very same new one.

        Args:
            refresh_token: the one last handed out for the session.
            claims: the application's own claims for the new access token; those of the last one are not carried over.
            subject: whose session it has to be, where the caller knows.
            context: from where the refresh comes, for the refresh hook.
            access_ttl: seconds, for this access token only.

        Raises:
            SessionNotFound: the refresh token opens no session; all reasons alike.
            RefreshTokenReused: it was replaced longer than ``reuse_grace`` ago. The session has been ended.
            ContextMismatch: the refresh hook refused; the session is unchanged.
            InvalidArgument, ConfigurationError, StorageUnavailable: as in :meth:`create`.
        """
        return self._run(self._flow.update(refresh_token, claims, subject, context, access_ttl))

    def delete_one(self, subject: str, session_id: str) -> bool:
        """Ends a session and refuses all its access tokens from now on.

        Args:
            subject: whose session it is; one of another subject is left alone.
            session_id: its id, or a full refresh token of it.

        Returns:
            True where it existed. Where the storage no longer knows it, its access tokens are refused all the same.

        Raises:
            InvalidArgument: a subject or session id that cannot be used.
            StorageUnavailable: storage or feed failed; the call can be made again.
        """
        return self._run(self._flow.delete_one(subject, session_id))

    def delete_all(self, subject: str) -> int:
        """Ends every session of the subject and refuses every access token issued before; the count of sessions ended.

        Raises:
            InvalidArgument: a subject that cannot be used.
            StorageUnavailable: storage or feed failed; the call can be made again.
        """
        return self._run(self._flow.delete_all(subject))

    def restrict_one(self, claims: Claims | Mapping[str, Any]) -> None:
        """Refuses the access tokens issued so far to the session of these claims. It lives on: the next ``update`` gives a good one.

        Raises:
            InvalidArgument: claims without a usable ``sub`` or ``sid``.
            StorageUnavailable: storage or feed failed; the call can be made again.
        """
        self._run(self._flow.restrict_one(claims))

    def restrict_all(self, subject: str) -> None:
        """The same for all the subject's sessions.

        Raises:
            InvalidArgument: a subject that cannot be used.
            StorageUnavailable: storage or feed failed; the call can be made again.
        """
        self._run(self._flow.restrict_all(subject))

    def close(self) -> None:
        """Stops the feed. Can be called again."""
        self._revocations.close()

    def __enter__(self) -> SessionManager:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        try:
            operation, arguments = next(flow)
            while True:
                try:
                    answer = self._perform[operation](*arguments)
                    if isinstance(answer, CoroutineType):
                        answer.close()
                        raise ConfigurationError(
                            f"{operation} must not be async in a SessionManager; AsyncSessionManager takes it"
                        )
                except Exception as error:
                    operation, arguments = flow.throw(failure(operation, error))
                else:
                    operation, arguments = flow.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _notify(self, event: Event) -> None:
        subscription, listeners = self._listeners.of(event)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                logger.exception("a listener for %s raised", subscription.name)


class AsyncSessionManager(_Manager):
    """The same for event loops: storages, feeds, hooks and listeners may be awaitable, and every method but ``read`` is awaited.

    Takes the options of :class:`SessionManager`.
    """

    _takes_async = True

    async def create(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        subject: str,
        context: SessionContext | None = None,
        access_ttl: int | None = None,
        refresh_ttl: int | None = None,
    ) -> SessionTokens:
        """See :meth:`SessionManager.create`."""
        return await self._run(self._flow.create(claims, subject, context, access_ttl, refresh_ttl))

    async def read_all(self, subject: str) -> Mapping[str, Session]:
        """See :meth:`SessionManager.read_all`."""
        return await self._run(self._flow.read_all(subject))

    async def update(
        self,
        refresh_token: str,
        claims: Mapping[str, Any] | None = None,
        *,
        subject: str | None = None,
        context: SessionContext | None = None,
        access_ttl: int | None = None,
    ) -> SessionTokens:
        """See :meth:`SessionManager.update`."""
        return await self._run(
            self._flow.update(refresh_token, claims, subject, context, access_ttl)
        )

    async def delete_one(self, subject: str, session_id: str) -> bool:
        """See :meth:`SessionManager.delete_one`."""
        return await self._run(self._flow.delete_one(subject, session_id))

    async def delete_all(self, subject: str) -> int:
        """See :meth:`SessionManager.delete_all`."""
        return await self._run(self._flow.delete_all(subject))

    async def restrict_one(self, claims: Claims | Mapping[str, Any]) -> None:
        """See :meth:`SessionManager.restrict_one`."""
        await self._run(self._flow.restrict_one(claims))

    async def restrict_all(self, subject: str) -> None:
        """See :meth:`SessionManager.restrict_all`."""
        await self._run(self._flow.restrict_all(subject))

    async def close(self) -> None:
        """Stops the feed. Can be called again."""
        await _awaited(self._performer(self._revocations.close, self._revocations.feed)())

    async def __aenter__(self) -> AsyncSessionManager:
        await self._revocations.replay()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, flow: Flow[T]) -> T:
        if self._replays:
            await self._revocations.replay()
        try:
            operation, arguments = next(flow)
            while True:
                try:
                    answer = await _awaited(self._perform[operation](*arguments))
                except Exception as error:
                    operation, arguments = flow.throw(failure(operation, error))
                else:
                    operation, arguments = flow.send(answer)
        except StopIteration as stop:
            value: T = stop.value
            return value

    async def _notify(self, event: Event) -> None:
        subscription, listeners = self._listeners.of(event)
        for listener in listeners:
            try:
                await _awaited(listener(event))
            except Exception:
                logger.exception("a listener for %s raised", subscription.name)


async def _awaited(answer: Awaitable[T] | T) -> T:
    return await answer if inspect.isawaitable(answer) else answer
