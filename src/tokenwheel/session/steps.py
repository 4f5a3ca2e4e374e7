"""What a flow asks to have done, one class a step.

A step says its arguments, the type of its answer, and what it stands for. A flow writes ``record =
yield from Read(session_id, now)``: a type checker knows arguments and answer, and an editor follows
``carry_out`` to the storage's method. A step also knows what an error that it met means to the
manager's caller. Nothing here decides or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from types import CoroutineType
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from ..conformance import is_awaitable
from ..errors import (
    ConfigurationError,
    ContextMismatch,
    InvalidArgument,
    TokenwheelError,
)
from ..events import Event
from ..failures import meaning_of
from ..models import Session, SessionContext, SessionRecord
from ..revocation.list import RevocationList
from ..revocation.protocol import Revocation, RevocationFeed
from ..storage.protocol import AsyncSessionStorage, PublishingStorage, SessionStorage
from .arguments import ASYNC_CLAIMS
from .hooks import RefreshHook

__all__ = [
    "AskClaims",
    "AskHook",
    "Collaborators",
    "Delete",
    "Insert",
    "KeepAccessLifetime",
    "Notify",
    "Publisher",
    "Read",
    "ReadAll",
    "Refuse",
    "Replace",
    "Revoke",
    "RevokeAndDelete",
    "RevokeAndReplace",
    "Step",
]

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Who carries out what the steps say. Where a method returns an awaitable, so does the step."""

    storage: SessionStorage | AsyncSessionStorage
    revocations: RevocationList
    publish: Callable[[Sequence[Revocation], float], Any]
    """``publish`` of the revocations, on the thread where it may wait."""
    hook: RefreshHook
    notify: Callable[[Event], Any]


class Publisher(NamedTuple):
    """A storage that publishes to a feed in the same step as it changes a session."""

    storage: PublishingStorage
    feed: RevocationFeed


class Step(Generic[A]):
    """One thing a flow asks to have done. ``yield from step`` is its answer, of type ``A``."""

    __slots__ = ()
    party: ClassVar[str] = "storage"
    """Which option of the manager is asked to do it."""

    def __iter__(self) -> Generator[Step[Any], Any, A]:
        try:
            answer: A = yield self
        except TokenwheelError as error:
            if isinstance(error, InvalidArgument) and self.party in ("storage", "revocations"):
                # What the caller gave was checked before. It is what was stored that can't be used.
                raise self._meaning_of(error) from error
            raise
        except Exception as error:
            raise self._meaning_of(error) from error
        # By its type alone: what a hook answers may raise when it is asked for its class.
        if type(answer) is CoroutineType:
            answer.close()  # type: ignore[attr-defined]
            raise ConfigurationError(
                f"{self.party} must not be async in a SessionManager; AsyncSessionManager takes it"
            )
        return answer

    def carry_out(self, collaborators: Collaborators) -> Any:
        """Do what the step says. Return the answer, or an awaitable of it."""
        raise NotImplementedError

    def _meaning_of(self, error: Exception) -> TokenwheelError:
        """Return what a foreign error that this step met means to the manager's caller."""
        return meaning_of("the session storage could not be reached or answered an error", error)


# The steps are values that nobody changes. They are not frozen, since freezing makes each cost four
# times as much.


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Insert(Step[bool]):
    """Add a new session to the storage.

    The answer is False where its subject already has ``limit`` sessions.
    """

    record: SessionRecord
    limit: int | None
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.storage.insert(self.record, self.limit, self.now)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Read(Step[SessionRecord | None]):
    """Read a session. The answer is None where the storage has none of this id."""

    session_id: str
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.storage.read(self.session_id, self.now)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class ReadAll(Step[Sequence[SessionRecord]]):
    """Read the sessions of a subject, those that are over possibly among them."""

    subject: str
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.storage.read_all(self.subject, self.now)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Replace(Step[bool]):
    """Write a new state of a session.

    The answer is False where somebody else has changed it meanwhile.
    """

    record: SessionRecord
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.storage.replace(self.record, self.now)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Delete(Step[Sequence[str]]):
    """Delete sessions. The answer is the ids of those that nobody else has changed meanwhile."""

    records: Sequence[SessionRecord]
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.storage.delete(self.records, self.now)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class KeepAccessLifetime(Step[int]):
    """Keep how long an issuer's access tokens live at most. 0 seconds only ask.

    The answer is what is kept, in seconds.
    """

    issuer: str
    seconds: int

    def carry_out(self, collaborators: Collaborators) -> Any:
        storage: Any = collaborators.storage
        return storage.keep_access_lifetime(self.issuer, self.seconds)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Refuse(Step[None]):
    """Refuse access tokens in this process, and tell nobody."""

    party = "revocations"
    revocations: Sequence[Revocation]
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        collaborators.revocations.refuse(self.revocations, self.now)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Revoke(Step[None]):
    """Refuse access tokens in this process, then tell the others."""

    party = "revocations"
    revocations: Sequence[Revocation]
    now: float

    def carry_out(self, collaborators: Collaborators) -> Any:
        # To publish is also to refuse here, but maybe not before a worker thread is free.
        collaborators.revocations.refuse(self.revocations, self.now)
        return collaborators.publish(self.revocations, self.now)

    def _meaning_of(self, error: Exception) -> TokenwheelError:
        return meaning_of("the revocation feed could not be reached or answered an error", error)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class RevokeAndDelete(Step[Sequence[str]]):
    """Refuse access tokens here, then delete their sessions and tell the others in one step.

    There is one revocation for each record. The answer is that of :class:`Delete`.
    """

    publisher: Publisher
    records: Sequence[SessionRecord]
    now: float
    revocations: Sequence[Revocation]

    def carry_out(self, collaborators: Collaborators) -> Any:
        storage, feed = self.publisher
        collaborators.revocations.refuse(self.revocations, self.now)
        return storage.delete(self.records, self.now, feed, self.revocations)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class RevokeAndReplace(Step[bool]):
    """Refuse access tokens here, then write their session and tell the others in one step.

    There is one revocation. The answer is that of :class:`Replace`.
    """

    publisher: Publisher
    record: SessionRecord
    now: float
    revocations: Sequence[Revocation]

    def carry_out(self, collaborators: Collaborators) -> Any:
        storage, feed = self.publisher
        collaborators.revocations.refuse(self.revocations, self.now)
        return storage.replace(self.record, self.now, feed, self.revocations)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class AskHook(Step[None]):
    """Ask the application whether a refresh may come from this context.

    The hook raises where it may not.
    """

    party = "refresh_hook"
    session: Session
    context: SessionContext

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.hook(self.session, self.context)

    def _meaning_of(self, error: Exception) -> TokenwheelError:
        return ContextMismatch("the refresh hook refused the context this refresh comes from")


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class AskClaims(Step[Any]):
    """Ask the application for the claims of the access token that is about to be issued.

    What it raises refuses the refresh. It is the caller's own error, and reaches the caller as it
    is.
    """

    party = "claims"
    ask: Callable[[Session], Any]
    session: Session

    def __iter__(self) -> Generator[Step[Any], Any, Any]:
        answer = yield self
        if is_awaitable(answer):
            if type(answer) is CoroutineType:
                answer.close()
            raise InvalidArgument(ASYNC_CLAIMS)
        return answer

    def carry_out(self, collaborators: Collaborators) -> Any:
        return self.ask(self.session)


@dataclass(slots=True, eq=False, repr=False, match_args=False)
class Notify(Step[None]):
    """Tell the listeners what has happened."""

    party = "listener"
    event: Event

    def carry_out(self, collaborators: Collaborators) -> Any:
        return collaborators.notify(self.event)
