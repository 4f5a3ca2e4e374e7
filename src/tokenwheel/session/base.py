"""What both managers share: their options, ``read``, and who listens to events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .._impl import Claims
from ..conformance import check_instance, is_coroutine_function
from ..errors import ConfigurationError, InvalidArgument
from ..events import Event, Listener, Listeners, SessionEvent
from ..exact import is_instance, named
from ..hidden import clears_locals
from ..jwt import AccessTokens
from ..keys import Key, KeySet, LivingKeySet
from ..revocation import RevocationList
from ..seconds import wall_time
from ..storage.memory import MemoryStorage
from ..storage.protocol import AsyncSessionStorage, SessionStorage
from .abilities import abilities_of
from .flow import SessionFlow
from .hooks import RefreshHook, same_device
from .observers import Observers
from .options import DEFAULT_LEEWAY, check_hook, check_lifecycle, check_storage_key, check_tokens
from .ownership import Part, Usage
from .seal import Seal, tell_without_key
from .steps import Collaborators, Step

if TYPE_CHECKING:
    from .worker_threads import WorkerThreads

__all__ = ["BaseManager"]

L = TypeVar("L", bound=Listener)


class BaseManager:
    """Check the options of a manager once, verify access tokens, and keep the listeners."""

    _takes_async = False
    _notify: Callable[[Listeners, Event], Any]

    @clears_locals
    def __init__(
        self,
        keys: str | bytes | KeySet,
        *,
        algorithm: str = "HS256",
        issuer: str,
        audience: str | Sequence[str],
        accept_audience: str | Sequence[str] | None = None,
        access_ttl: int | timedelta = 900,
        refresh_ttl: int | timedelta = 2_592_000,
        idle_ttl: int | timedelta | None = None,
        refresh_token_length: int = 24,
        rotate_refresh_tokens: bool = True,
        reuse_grace: float | timedelta = 10,
        max_sessions: int | None = None,
        when_full: Literal["reject", "evict_oldest"] = "reject",
        leeway: float | timedelta = DEFAULT_LEEWAY,
        storage: SessionStorage | AsyncSessionStorage | None = None,
        storage_key: str | bytes | Key | Sequence[str | bytes | Key] | None = None,
        revocations: RevocationList | None = None,
        refresh_hook: RefreshHook | None = None,
        verified_cache_size: int = 65_536,
        clock: Callable[[], float] | None = None,
    ) -> None:
        clock = wall_time if clock is None else clock
        options = check_tokens(
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
            leeway=options.leeway,
        )
        hook = check_hook(refresh_hook)
        seal = Seal(options.issuer, check_storage_key(storage_key))
        storage = MemoryStorage() if storage is None else storage
        revocations = RevocationList(clock=clock) if revocations is None else revocations
        check_instance("revocations", revocations)
        if not is_instance(revocations, RevocationList):
            raise ConfigurationError("revocations must be a RevocationList")
        abilities = abilities_of(storage, revocations.feed)
        if not self._takes_async:
            _refuse_async("storage", abilities.storage_is_async)
            _refuse_async("refresh_hook", is_coroutine_function(hook))
            _refuse_async("revocations", abilities.feed_is_async)
        self._living_keys = options.keys if is_instance(options.keys, LivingKeySet) else None
        makes_sessions = options.keys.signing is not None
        if makes_sessions and abilities.storage_is_durable and storage_key is None:
            tell_without_key(storage)
        tokens = AccessTokens(
            options.keys,
            issuer=options.issuer,
            audience=options.audience,
            accept_audience=options.accept_audience,
            leeway=options.leeway,
            largest_leeway=lifecycle.revocation_margin,
            cache_size=options.cache_size,
            clock=clock,
            revocations=revocations,
        )
        self._clock = clock
        self._keys = options.keys
        self._verify = tokens.verifier.verify
        # A call between the two would cost nearly as much as all the rest. Set by ``vars``, it
        # would be looked up in a dict each time.
        if type(self).read is BaseManager.read:
            object.__setattr__(self, "read", self._verify)
        tokens.verifier._spare_counts(self, self._verify)
        self._storage = storage
        self._seal = seal
        self._revocations = revocations
        self._listeners = Listeners()
        self._abilities = abilities
        self._observers = Observers(storage, revocations.feed)
        publish: Callable[..., Any] = revocations.publish
        publisher = abilities.publisher
        self._threads: WorkerThreads | None = None
        if self._takes_async and (abilities.storage_waits or abilities.feed_waits):
            from .worker_threads import StorageInThreads, WorkerThreads  # which need asyncio

            self._threads = WorkerThreads(abilities.storage_timeout)
            if abilities.storage_waits:
                storage = StorageInThreads(storage, self._threads.call)
                publisher = None if publisher is None else publisher._replace(storage=storage)
            if abilities.feed_waits:
                publish = partial(self._threads.call, publish)
        collaborators = Collaborators(
            storage=storage,
            revocations=revocations,
            publish=publish,
            hook=hook,
            # Not a method of the manager: in a cycle of references a manager that was dropped would
            # count as one that uses its storage, until the collector came by.
            notify=partial(self._notify, self._listeners),
        )

        def carry_out(step: Step[Any]) -> Any:
            return step.carry_out(collaborators)

        self._carry_out: Callable[[Step[Any]], Any] = carry_out
        self._flow = SessionFlow(
            lifecycle,
            tokens,
            self._listeners,
            clock,
            seal=seal,
            takes_async=self._takes_async,
            compares_devices=hook is same_device,
            session_id_prefix=abilities.session_id_prefix,
            publisher=publisher,
            storage_is_checked=abilities.storage_is_checked,
            keeps_access_lifetime=abilities.keeps_access_lifetime,
        )
        self._usage = Usage(self._parts())
        # Another manager that closes meanwhile knows by then that this one uses the keys.
        if self._living_keys is not None and not self._takes_async:
            self._living_keys.start()

    def read(
        self,
        access_token: str | bytes,
        *,
        audience: str | Sequence[str] | None = None,
        leeway: float | timedelta | None = None,
    ) -> Claims:
        """Verify an access token and return its claims.

        This touches no storage and no network, and never waits.

        Args:
            access_token: the JWT, without ``Bearer``. Octets are read like their text.
            audience: required of this token instead of the manager's ``accept_audience``: one of
                these must be in ``aud``.
            leeway: seconds or a timedelta of whole seconds, instead of the manager's. At most 60
                seconds, or the manager's own where that is more: revocations are kept that long.

        Returns:
            The claims, which can be read like a dict.

        Raises:
            InvalidAccessToken: not a token this service issued for this audience.
            AccessTokenExpired: past its ``exp``.
            AccessTokenNotYetValid: before its ``nbf`` or ``iat``.
            AccessTokenRevoked: its session was ended or restricted.
            InvalidArgument: an ``audience`` or ``leeway`` that cannot be used.
            StorageUnavailable: there are revocations, or keys, that this process cannot fetch, so
                the token may have been revoked, or its key have been replaced.
        """
        try:
            return self._verify(access_token, audience=audience, leeway=leeway)
        finally:
            del access_token  # No error shows it.

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set (RFC 7517, section 5), for other services.

        :class:`~tokenwheel.keys.RemoteKeySet` reads it there, from the route that
        :mod:`tokenwheel.web` serves it at. Shared secrets are left out.

        Raises:
            StorageUnavailable: the keys are those of a URL, and cannot be relied on.
        """
        return self._keys.jwks()

    @property
    def storage(self) -> SessionStorage | AsyncSessionStorage:
        """The storage that keeps the sessions, as it was handed in."""
        return self._storage

    @property
    def revocations(self) -> RevocationList:
        """The list that ``read`` asks; its ``stats()`` and its ``feed`` tell how it stands."""
        return self._revocations

    @property
    def broken_records(self) -> int:
        """How often a record in the storage was not believed, as no ``storage_key`` had sealed it.

        Each time is also logged. Anything but 0 means that somebody else writes to the storage, or
        that a manager which shares it has another ``storage_key``.
        """
        return self._seal.broken

    @overload
    def on(self, event: SessionEvent) -> Callable[[L], L]: ...

    @overload
    def on(self, event: SessionEvent, listener: L) -> L: ...

    def on(self, event: SessionEvent, listener: L | None = None) -> L | Callable[[L], L]:
        """Call a listener with each event of this kind, after what it tells of has taken effect.

        Without a listener this is a decorator of one.

        Args:
            event: the kind of events.
            listener: a callable that takes one event. An async manager also takes coroutine
                functions.

        Returns:
            The listener; or the decorator.

        Raises:
            InvalidArgument: not a :class:`~tokenwheel.SessionEvent`, or a listener that cannot be
                called here.
        """
        _check_event(event)

        def subscribe(listener: L) -> L:
            if not callable(listener):
                raise InvalidArgument(
                    f"listener must be a callable that takes one event, not {named(listener)}"
                )
            if not self._takes_async and is_coroutine_function(listener):
                raise InvalidArgument(
                    "listener must not be a coroutine function in a SessionManager; "
                    "AsyncSessionManager takes it"
                )
            self._listeners.add(event, listener)
            return listener

        return subscribe if listener is None else subscribe(listener)

    def off(self, event: SessionEvent, listener: Listener) -> None:
        """Stop calling a listener with events of this kind. Do nothing where it wasn't subscribed.

        Raises:
            InvalidArgument: not a :class:`~tokenwheel.SessionEvent`.
        """
        _check_event(event)
        self._listeners.remove(event, listener)

    def _parts(self) -> list[Part]:
        """Return what this manager uses and perhaps has to close: keys, the feed, the storage."""
        abilities = self._abilities
        parts = []
        if (keys := self._living_keys) is not None:
            parts.append(Part(keys, keys.close, keys.waits))
        parts += [Part(self._revocations, self._revocations.close, abilities.feed_waits)]
        if abilities.close_storage is not None:
            parts.append(Part(self._storage, abilities.close_storage, abilities.storage_waits))
        return parts


def _check_event(event: object) -> None:
    if type(event) is not SessionEvent:
        raise InvalidArgument(
            f"event must be a SessionEvent, as SessionEvent.SESSION_CREATED, not {named(event)}"
        )


def _refuse_async(option: str, is_async: bool) -> None:
    if is_async:
        raise ConfigurationError(
            f"{option} must not be async in a SessionManager; AsyncSessionManager takes it"
        )
