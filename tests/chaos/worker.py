"""What a worker of a node does: one random call after another, each of them written down."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tokenwheel import SessionTokens, TokenwheelError

from .journal import OK, Call, name_of
from .shared import LAST, SLOTS, Phase, Shelved, subject_of

if TYPE_CHECKING:
    from .node import Node

# What is done with a session that lives, and how often.
_CHANCES = {
    "read": 40,
    "update": 16,
    "delete_one": 14,
    "restrict_one": 14,
    "restrict_all": 4,
    "delete_all": 4,
    "read_all": 4,
}
_LONGEST_PAUSE = 0.006  # seconds between two steps


class Worker:
    """One of a node's threads or tasks.

    Args:
        node: where it works.
        chance: draws what it does.
        numbers: gives each call of the process a number.
    """

    def __init__(self, node: Node, chance: random.Random, numbers: Iterator[int]) -> None:
        self._node = node
        self._shelf = node.shelf
        self._chance = chance
        self._numbers = numbers

    async def work(self) -> None:
        while self._node.works:
            if self._node.controls.phase == Phase.LISTEN:
                await self.listen()
            else:
                await self.step()
            await self._node.pause(self._chance.random() * _LONGEST_PAUSE)

    async def step(self) -> None:
        """Do something with a session that was drawn; open one where there is none."""
        slot = self._chance.randrange(SLOTS - 1)
        shelved = self._shelf[slot]
        if shelved is None or (shelved.has_ended and self._chance.random() < 0.5):
            await self.create(slot)
        elif shelved.has_ended:
            await self.read(slot, self._chance.choice(shelved.access_tokens))
        else:
            (method,) = self._chance.choices(list(_CHANCES), list(_CHANCES.values()))
            if method == "read":
                await self.read(slot, self._chance.choice(shelved.access_tokens))
            elif method == "update":
                await self.update(slot, shelved)
            elif method in ("delete_one", "restrict_one"):
                await self.log_out(slot, shelved, method)
            else:
                await self.log_out_everywhere(slot, shelved, method)

    async def listen(self) -> None:
        """Read the token with which the trial ends, and others beside it."""
        last = self._shelf[LAST]
        if last is not None:
            outcome = await self.read(LAST, last.access_tokens[0])
            if outcome == OK:
                self._node.seat.has_accepted = 1
            elif outcome == "AccessTokenRevoked":
                self._node.seat.has_refused = 1
        slot = self._chance.randrange(SLOTS - 1)
        shelved = self._shelf[slot]
        if shelved is not None:
            await self.read(slot, self._chance.choice(shelved.access_tokens))

    async def create(self, slot: int) -> None:
        tokens = await self._call("create", slot, {"subject": subject_of(slot)})
        if isinstance(tokens, SessionTokens):
            self._shelf[slot] = Shelved(
                tokens.session_id, tokens.refresh_token, [tokens.access_token]
            )
            await self.read(slot, tokens.access_token)

    async def update(self, slot: int, shelved: Shelved) -> None:
        tokens = await self._call(
            "update",
            slot,
            {"refresh_token": shelved.refresh_token},
            shelved.session_id,
            presented=name_of(shelved.refresh_token),
        )
        if isinstance(tokens, SessionTokens):
            self._shelf[slot] = shelved.refreshed(tokens.access_token, tokens.refresh_token)
            await self.read(slot, tokens.access_token)
        elif tokens in ("SessionNotFound", "RefreshTokenReused"):
            self._shelf[slot] = shelved._replace(has_ended=True)

    async def log_out(self, slot: int, shelved: Shelved, method: str) -> None:
        subject = subject_of(slot)
        if method == "delete_one":
            arguments: dict[str, Any] = {"subject": subject, "session_id": shelved.session_id}
        else:
            arguments = {"claims": {"sub": subject, "sid": shelved.session_id}}
        answer = await self._call(method, slot, arguments, shelved.session_id)
        if method == "delete_one" and isinstance(answer, bool):
            self._shelf[slot] = shelved._replace(has_ended=True)
        await self.read(slot, shelved.access_tokens[-1])

    async def log_out_everywhere(self, slot: int, shelved: Shelved, method: str) -> None:
        subject = subject_of(slot)
        answer = await self._call(method, slot, {"subject": subject})
        if method == "delete_all" and isinstance(answer, int):
            for other in self._shelf.slots_of(subject):
                held = self._shelf[other]
                if held is not None:
                    self._shelf[other] = held._replace(has_ended=True)
        await self.read(slot, shelved.access_tokens[-1])

    async def read(self, slot: int, token: str) -> str:
        """Read a token. Return OK, or the name of the error."""
        answer = await self._call("read", slot, {"access_token": token}, presented=name_of(token))
        return answer if isinstance(answer, str) else OK

    async def _call(
        self,
        method: str,
        slot: int,
        arguments: dict[str, Any],
        session_id: str = "",
        presented: str = "",
    ) -> Any:
        """Make a call and write it down. Return its answer, or the name of the error."""
        node = self._node
        ahead = node.seat.ahead
        call = Call(
            node=node.plan.name,
            number=next(self._numbers),
            method=method,
            begun=time.monotonic(),
            subject=subject_of(slot),
            session_id=session_id,
            presented=presented,
            ahead=ahead,
        )
        if method not in ("read", "read_all"):
            node.journal.write(call)
        try:
            answer = getattr(node.manager, method)(**arguments)
            if inspect.isawaitable(answer):
                answer = await answer
            outcome = OK
        except TokenwheelError as error:
            outcome = answer = type(error).__name__
        except Exception as error:
            outcome = answer = f"{type(error).__name__}: {error}"
        call = call._replace(
            ended=time.monotonic(), outcome=outcome, ahead=max(ahead, node.seat.ahead)
        )
        node.journal.write(_with_answer(call, answer))
        return answer


def _with_answer(call: Call, answer: Any) -> Call:
    if isinstance(answer, SessionTokens):
        return call._replace(
            session_id=answer.session_id,
            access_token=answer.access_token,
            refresh_token=name_of(answer.refresh_token),
        )
    if call.outcome == OK and call.method == "read_all":
        return call._replace(answer=" ".join(answer))
    if isinstance(answer, bool | int):
        return call._replace(answer=str(answer))
    return call
