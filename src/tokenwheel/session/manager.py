"""SessionManager and AsyncSessionManager: one lifecycle, driven in two ways.

Each public method is a line that hands a flow (``flow.py``) to the driver (``driver.py``), which
has its steps carried out: by calling the storage, the feed, the hook and the listeners, or by
awaiting them. Nothing about sessions is decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from .._impl import Claims
from ..conformance import is_awaitable
from ..driver import drive, drive_async
from ..event_loop import check_event_loop
from ..events import Event, Listeners
from ..models import Session, SessionContext, SessionTokens
from .base import BaseManager
from .observers import name_of
from .ownership import Part
from .revoking import Flow
from .steps import Step

__all__ = ["AsyncSessionManager", "SessionManager"]

logger = logging.getLogger("tokenwheel")

T = TypeVar("T")


class SessionManager(BaseManager):
    """Open, verify, refresh and end sessions, with storages that block.

    Every lifetime, here and in the methods, is a number of seconds or a ``datetime.timedelta`` of
    whole seconds.

    Args:
        keys: a shared secret, or a :class:`~tokenwheel.KeySet`. With public keys only, the manager
            reads, deletes, ends and restricts.
        algorithm: what signs with a shared secret (``HS256``, ``HS384``, ``HS512``); a KeySet
            brings its own.
        issuer: put into tokens as ``iss`` and required of them.
        audience: put into tokens as ``aud``.
        accept_audience: one of these must be in a token's ``aud``; by default the ``audience``.
        access_ttl: lifetime of an access token in seconds.
        refresh_ttl: lifetime of a session in seconds, however often it is refreshed.
        idle_ttl: the session ends when it isn't refreshed for this many seconds.
        refresh_token_length: bytes of the rotating secret, at least 15.
        rotate_refresh_tokens: whether ``update`` replaces the refresh token (RFC 9700, section
            4.14.2).
        reuse_grace: seconds during which the refresh token before the current one may be retried.
            Where the leeway is more than 5 seconds, the rest of it is added; to no grace, nothing.
        max_sessions: sessions a subject may have at once.
        when_full: ``"reject"`` raises :class:`~tokenwheel.TooManySessions`, ``"evict_oldest"`` ends
            the oldest session.
        leeway: seconds of clock difference between nodes, tolerated on ``exp``, ``nbf`` and
            ``iat``. An access token is accepted that much longer.
        storage: where sessions are kept; by default in memory.
        storage_key: a secret of at least 32 random bytes that is kept out of the storage, the same
            for all who share it. Or several: the first one seals records, and all open them. Or
            what ``tokenwheel keys new --algorithm HS256`` writes into a file. With it, who can
            write to the storage can make or change no session, and a dump of it is of no use.
        revocations: what ``read`` asks; by default a list in memory.
        refresh_hook: called with the session and the context of each refresh; raises to refuse it.
            By default the device must be the same.
        verified_cache_size: how many verified tokens are remembered; 0 for none.
        clock: returns Unix seconds. By default the system's clock, as ``time.time`` tells it at
            each call: freezegun and time-machine move it.

    Attributes:
        storage: where sessions are kept, as it was handed in.
        broken_records: how often a record was not believed, since nobody with the ``storage_key``
            had written it.
        revocations: what ``read`` asks. Its ``stats()`` and those of its ``feed`` say how it
            stands.

    Raises:
        ConfigurationError: an option makes no sense; says which, and what is allowed.
    """

    def create(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        subject: str,
        context: SessionContext | None = None,
        access_ttl: int | timedelta | None = None,
        refresh_ttl: int | timedelta | None = None,
    ) -> SessionTokens:
        """Open a session: one login on one device.

        Args:
            claims: the application's own claims for the access token; plain JSON.
            subject: whose session it is: 1 to 255 characters.
            context: from where the login came, for the refresh hook and the list of sessions.
            access_ttl: lifetime in seconds of this access token only.
            refresh_ttl: lifetime in seconds of this session only.

        Returns:
            The access token, the refresh token, the session id, and when the two tokens expire.

        Raises:
            InvalidArgument: an argument cannot be used; nothing was stored.
            TooManySessions: ``max_sessions`` is reached and ``when_full`` is ``"reject"``. With
                ``"evict_oldest"`` sessions whose records are damaged go first.
            ConfigurationError: the key set has no key that can sign.
            StorageUnavailable: the storage failed.
        """
        return self._run(self._flow.create(claims, subject, context, access_ttl, refresh_ttl))

    def read_all(self, subject: str) -> Mapping[str, Session]:
        """Return the active sessions of a subject by session id.

        Raises:
            InvalidArgument: a subject that cannot be used.
            StorageUnavailable: the storage failed, or a record in it is damaged: without it the
                list would pass for a complete one. ``delete_all`` ends the session of that, too.
        """
        return self._run(self._flow.read_all(subject))

    def update(
        self,
        refresh_token: str,
        claims: Mapping[str, Any] | Callable[[Session], Mapping[str, Any] | None] | None = None,
        *,
        subject: str | None = None,
        context: SessionContext | None = None,
        access_ttl: int | timedelta | None = None,
    ) -> SessionTokens:
        """Refresh a session (RFC 6749, section 6; RFC 9700, section 4.14).

        Within ``reuse_grace`` a retry with the refresh token just replaced gets the very same new
        one.

        Args:
            refresh_token: the one last handed out for the session.
            claims: the application's own claims for the new access token. Those of the last access
                token are not carried over. Or a callable that is given the
                :class:`~tokenwheel.Session` and returns them. It is called once the refresh token
                was found good and the refresh hook has agreed, before anything is signed or
                changed; and once more where the session was restricted meanwhile, since its answer
                may be what the restriction was about.
            subject: whose session it has to be, where the caller knows.
            context: from where the refresh comes, for the refresh hook.
            access_ttl: lifetime in seconds of this access token only.

        Returns:
            A fresh access token; and with rotation a new refresh token, else the same one.

        Raises:
            SessionNotFound: the refresh token opens no session; all reasons alike.
            RefreshTokenReused: it was replaced longer than ``reuse_grace`` ago. The session has
                been ended.
            ContextMismatch: the refresh hook refused; the session is unchanged.
            InvalidArgument: an argument, or what the callable returned, cannot be used; the session
                is unchanged.
            Exception: what the callable raised, as it is; the session is unchanged.
            ConfigurationError: the key set has no key that can sign.
            StorageUnavailable: the storage failed; says where the call can be made again with this
                refresh token. Or the record of the session is damaged.
        """
        flow = self._flow.update(refresh_token, claims, subject, context, access_ttl)
        del refresh_token  # No error shows it.
        return self._run(flow)

    def delete_one(self, subject: str, session_id: str) -> bool:
        """End a session and refuse all its access tokens from now on.

        Args:
            subject: whose session it is; one of another subject is left alone.
            session_id: its id, or a full refresh token of it.

        Returns:
            True where it existed. Where the storage no longer knows it, its access tokens are
            refused all the same.

        Raises:
            InvalidArgument: a subject or session id that cannot be used; or one that the storage
                does not know, after 100 such of the same subject: nothing was revoked.
            StorageUnavailable: storage or feed failed; says where another call can help. Tokens
                issued so far to a session that had been looked up are refused in this process
                meanwhile. Or the session's record is damaged so that it cannot be deleted.
        """
        flow = self._flow.delete_one(subject, session_id)
        del session_id  # It may be a refresh token, which no error shows.
        return self._run(flow)

    def end(self, refresh_token: str) -> Session | None:
        """End the session whose refresh token this is, and refuse all its access tokens.

        It is a logout by the refresh token alone (RFC 7009). Any refresh token that the session
        ever had will do, its current one or one that was replaced. Listeners are told that the
        session was deleted.

        Args:
            refresh_token: what the client holds. It may be anything.

        Returns:
            The session as it was last. None, with nothing changed, where the refresh token is of no
            session that lives: it was made up, cut or lengthened, or its session is over or is
            another service's. Of several calls at once only one gets the session.

        Raises:
            StorageUnavailable: storage or feed failed; says where another call can help. Tokens
                issued so far to the session are refused in this process meanwhile. Or the session's
                record is damaged: the session has been ended, as far as the record tells that the
                refresh token is one of its own.
        """
        flow = self._flow.end(refresh_token)
        del refresh_token  # No error shows it.
        return self._run(flow)

    def delete_all(self, subject: str, *, keep: str | None = None) -> int:
        """End every session of a subject and refuse every access token issued before.

        A session whose record is damaged is ended as well. Listeners are not told of it, since what
        the record says cannot be believed; a line in the log tells.

        Args:
            subject: whose sessions they are.
            keep: the id of a session that is left alone with its access tokens, or a full refresh
                token of it. Where the subject has no such session, every session ends.

        Returns:
            How many sessions were ended.

        Raises:
            InvalidArgument: a subject, or a session to keep, that cannot be used; nothing was done.
            StorageUnavailable: storage or feed failed; says where another call can help. Tokens
                issued so far to a session that had been looked up are refused in this process
                meanwhile. Or a record is damaged so that its session cannot be ended; all the
                others were.
        """
        flow = self._flow.delete_all(subject, keep)
        del keep  # It may be a refresh token, which no error shows.
        return self._run(flow)

    def restrict_one(self, claims: Claims | Mapping[str, Any]) -> None:
        """Refuse the access tokens issued so far to the session of these claims.

        The session lives on: the access token of its next ``update`` is good at once.

        Args:
            claims: what ``read`` returned, or a mapping with ``sub`` and ``sid``.

        Raises:
            InvalidArgument: claims without a usable ``sub`` or ``sid``; or a ``sid`` that the
                storage does not know, after 100 such of the same subject: nothing was revoked.
                Claims that ``read`` returned are never too many.
            StorageUnavailable: storage or feed failed; says where another call can help. Tokens
                issued so far to a session that had been looked up are refused in this process
                meanwhile. Or the session's record is damaged: its tokens are refused, and it cannot
                be refreshed.
        """
        flow = self._flow.restrict_one(claims)
        del claims  # Their 'sid' may be a refresh token, which no error shows.
        self._run(flow)

    def restrict_all(self, subject: str, *, keep: str | None = None) -> None:
        """Refuse the access tokens issued so far to every session of a subject.

        The sessions live on: the access token of the next ``update`` of each is good at once.

        Args:
            subject: whose sessions they are.
            keep: the id of a session whose access tokens stay good, or a full refresh token of it.
                Where the subject has no such session, those of every session are refused.

        Raises:
            InvalidArgument: a subject, or a session to keep, that cannot be used; nothing was done.
            StorageUnavailable: storage or feed failed; says where another call can help. Tokens
                issued so far to a session that had been looked up are refused in this process
                meanwhile. Or a record is damaged: all tokens are refused, and its session cannot be
                refreshed.
        """
        flow = self._flow.restrict_all(subject, keep)
        del keep  # It may be a refresh token, which no error shows.
        self._run(flow)

    def close(self) -> None:
        """Stop the feed and close the storage, unless another manager still uses them.

        Can be called again. Sessions stay where they are kept. What a client holds that you made,
        stays yours to close. Where the feed cannot be stopped, the storage is closed all the same.

        Raises:
            Exception: what the feed or the storage raised.
        """
        with ExitStack() as stack:
            for part in reversed(self._usage.end()):
                stack.callback(part.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self, flow: Flow[T]) -> T:
        observers = self._observers
        if not observers.all:
            return drive(flow, self._carry_out)
        with observers.operation(name_of(flow)):
            return drive(flow, self._carry_out_observed)

    def _carry_out_observed(self, step: Step[Any]) -> Any:
        call = self._observers.call(step)
        if call is None:
            return self._carry_out(step)
        with call:
            return self._carry_out(step)

    @staticmethod
    def _notify(listeners: Listeners, event: Event) -> None:
        subscription, subscribed = listeners.of(event)
        for listener, told in subscribed:
            try:
                listener(told)
            except Exception:
                logger.exception("a listener for %s raised", subscription.name)


class AsyncSessionManager(BaseManager):
    """Open, verify, refresh and end sessions on an asyncio event loop.

    Storages, feeds, hooks and listeners may be awaitable, and every method but ``read`` is awaited.
    The options and attributes are those of :class:`SessionManager`.

    Blocking storages and feeds that wait are called from a few threads of the manager's own, so
    they never take those of ``asyncio.to_thread`` from the application. :meth:`close` ends them.
    """

    _takes_async = True

    async def create(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        subject: str,
        context: SessionContext | None = None,
        access_ttl: int | timedelta | None = None,
        refresh_ttl: int | timedelta | None = None,
    ) -> SessionTokens:
        """Open a session: one login on one device. Return its tokens.

        Arguments and errors are those of :meth:`SessionManager.create`.
        """
        return await self._run(self._flow.create(claims, subject, context, access_ttl, refresh_ttl))

    async def read_all(self, subject: str) -> Mapping[str, Session]:
        """Return the active sessions of a subject by session id.

        Errors are those of :meth:`SessionManager.read_all`.
        """
        return await self._run(self._flow.read_all(subject))

    async def update(
        self,
        refresh_token: str,
        claims: Mapping[str, Any]
        | Callable[[Session], Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None]
        | None = None,
        *,
        subject: str | None = None,
        context: SessionContext | None = None,
        access_ttl: int | timedelta | None = None,
    ) -> SessionTokens:
        """Refresh a session. Return a fresh access token, and with rotation a new refresh token.

        Where ``claims`` is a callable, what it returns may be awaitable. It runs on the event loop.
        Arguments and errors are those of :meth:`SessionManager.update`.
        """
        flow = self._flow.update(refresh_token, claims, subject, context, access_ttl)
        del refresh_token  # No error shows it.
        return await self._run(flow)

    async def delete_one(self, subject: str, session_id: str) -> bool:
        """End a session and refuse all its access tokens from now on. Return True where it existed.

        Arguments and errors are those of :meth:`SessionManager.delete_one`.
        """
        flow = self._flow.delete_one(subject, session_id)
        del session_id  # It may be a refresh token, which no error shows.
        return await self._run(flow)

    async def end(self, refresh_token: str) -> Session | None:
        """End the session whose refresh token this is. Return it, or None where there is none.

        Arguments and errors are those of :meth:`SessionManager.end`.
        """
        flow = self._flow.end(refresh_token)
        del refresh_token  # No error shows it.
        return await self._run(flow)

    async def delete_all(self, subject: str, *, keep: str | None = None) -> int:
        """End every session of a subject but ``keep``. Return how many were ended.

        Every access token issued before is refused from now on. Arguments and errors are those of
        :meth:`SessionManager.delete_all`.
        """
        flow = self._flow.delete_all(subject, keep)
        del keep  # It may be a refresh token, which no error shows.
        return await self._run(flow)

    async def restrict_one(self, claims: Claims | Mapping[str, Any]) -> None:
        """Refuse the access tokens issued so far to the session of these claims.

        The session lives on. Arguments and errors are those of :meth:`SessionManager.restrict_one`.
        """
        flow = self._flow.restrict_one(claims)
        del claims  # Their 'sid' may be a refresh token, which no error shows.
        await self._run(flow)

    async def restrict_all(self, subject: str, *, keep: str | None = None) -> None:
        """Refuse the access tokens issued so far to every session of a subject but ``keep``.

        The sessions live on. Arguments and errors are those of :meth:`SessionManager.restrict_all`.
        """
        flow = self._flow.restrict_all(subject, keep)
        del keep  # It may be a refresh token, which no error shows.
        await self._run(flow)

    async def close(self) -> None:
        """Stop the feed and close the storage, unless another manager still uses them.

        Blocking calls that are under way end first. Can be called again. Sessions stay where they
        are kept. What a client holds that you made, stays yours to close. Where the feed cannot be
        stopped, the storage is closed all the same.

        Raises:
            Exception: what the feed or the storage raised.
        """
        async with AsyncExitStack() as stack:
            for part in reversed(self._usage.end()):
                stack.push_async_callback(_close, part)
            if self._threads is not None:
                await self._threads.close()

    async def __aenter__(self) -> Self:
        await self._fetch_keys()
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
        if self._threads is not None:
            check_event_loop()  # Before the first step, and not between two of them.
        observers = self._observers
        if not observers.all:
            return await self._run_unobserved(flow, self._await_step)
        with observers.operation(name_of(flow)):
            return await self._run_unobserved(flow, self._await_observed)

    async def _run_unobserved(
        self, flow: Flow[T], await_step: Callable[[Step[Any]], Awaitable[Any]]
    ) -> T:
        await self._fetch_keys()
        if self._abilities.replays:
            await self._revocations.replay()
        return await drive_async(flow, await_step)

    async def _fetch_keys(self) -> None:
        if self._living_keys is not None:
            await self._living_keys.start_async()

    async def _await_step(self, step: Step[Any]) -> Any:
        return await _answer_of(self._carry_out(step))

    async def _await_observed(self, step: Step[Any]) -> Any:
        call = self._observers.call(step)
        if call is None:
            return await self._await_step(step)
        with call:
            return await self._await_step(step)

    @staticmethod
    async def _notify(listeners: Listeners, event: Event) -> None:
        subscription, subscribed = listeners.of(event)
        for listener, told in subscribed:
            try:
                await _answer_of(listener(told))
            except Exception:
                logger.exception("a listener for %s raised", subscription.name)


async def _close(part: Part) -> None:
    from .worker_threads import call_apart  # which needs asyncio

    await _answer_of(await call_apart(part.close) if part.waits else part.close())


async def _answer_of(answer: Any) -> Any:
    return await answer if is_awaitable(answer) else answer
