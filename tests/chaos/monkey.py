"""What befalls the nodes of a trial, whatever they keep their sessions in.

Every action is a row of ``actions``: a name, how often it comes up beside the others, and what it
does. Most begin a trouble that ends some seconds later, while others begin. What it did is written
to the journal as an event.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .journal import Event, Journal
from .shared import Controls, Order, Seat
from .troop import Member, Troop

FARTHEST_AHEAD = 1200  # seconds: 20 minutes
_FEWEST, _MOST = 3, 7  # nodes at once
_LONGEST_WAIT = 1.0  # seconds between two actions
_LONGEST_JUMP = 6.0  # seconds until a clock is put right
_CALM = 2.5  # seconds without trouble, after which everybody has heard everything


class Action(NamedTuple):
    """Something that may befall.

    Attributes:
        weight: how often it comes up, beside the others.
        act: does it.
    """

    weight: int
    act: Callable[[], None]


class Trouble(NamedTuple):
    """A trouble that goes on."""

    kind: str
    about: str
    begun: float
    until: float
    end: Callable[[], None]


class Monkey:
    """Does at random what may befall every kind of node.

    Args:
        troop: the nodes.
        controls: what nodes are told.
        journal: where events are written.
        chance: draws all that is done.
        without: names of actions that are left out.
    """

    def __init__(
        self,
        troop: Troop,
        controls: Controls,
        journal: Journal,
        chance: random.Random,
        without: frozenset[str],
    ) -> None:
        self.troop = troop
        self.chance = chance
        self.counts: Counter[str] = Counter()
        self._controls = controls
        self._journal = journal
        self._without = without
        self._troubles: list[Trouble] = []

    @property
    def actions(self) -> dict[str, Action]:
        return {
            "kill_node": Action(5, self.kill_node),
            "start_node": Action(5, self.start_node),
            "leave_node": Action(3, self.leave_node),
            "leave_but_one": Action(1, self.leave_but_one),
            "stop_node": Action(5, self.stop_node),
            "fork_node": Action(4, lambda: self.fork_node(Order.FORK)),
            "fork_without_hooks": Action(3, lambda: self.fork_node(Order.FORK_WITHOUT_HOOKS)),
            "jump_clock": Action(4, self.jump_clock),
            "jump_all_clocks": Action(1, self.jump_all_clocks),
        }

    def rage(self, seconds: float) -> None:
        """Do one action after another, for so long, and end every trouble then."""
        end = time.monotonic() + seconds
        for name, action in self._draw():
            if time.monotonic() > end:
                break
            self.counts[name] += 1
            action.act()
            self.wait(self.chance.uniform(0.1, _LONGEST_WAIT))
            self.troop.notice_the_fallen()
            while len(self.troop.members) < _FEWEST:
                self.start_node()
        self.end_troubles()

    def _draw(self) -> Iterator[tuple[str, Action]]:
        """Yield actions in a random order: within a minute every one of them comes up."""
        rows = [row for row in self.actions.items() if row[0] not in self._without]
        urn = [(name, action) for name, action in rows for _ in range(action.weight)]
        while urn:
            self.chance.shuffle(urn)
            yield from urn

    def wait(self, seconds: float) -> None:
        """Let time pass, and end the troubles that are to end meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for trouble in list(self._troubles):
                if trouble.until <= time.monotonic():
                    self._end(trouble)
            time.sleep(0.02)

    def calm(self) -> None:
        """End every trouble, and leave time for everybody to hear of everything."""
        self.end_troubles()
        self.wait(_CALM)

    def begin(self, kind: str, about: str, end: Callable[[], None], longest: float = 3.0) -> None:
        """Take note of a trouble that has begun, and is to end within so many seconds."""
        now = time.monotonic()
        self._troubles.append(
            Trouble(kind, about, now, now + self.chance.uniform(0.1, longest), end)
        )

    def is_going_on(self, kind: str) -> bool:
        return any(trouble.kind == kind for trouble in self._troubles)

    def note(self, kind: str, begun: float, about: str = "") -> None:
        self._journal.write(Event(kind, begun, time.monotonic(), about))

    def end_troubles(self) -> None:
        for trouble in list(self._troubles):
            self._end(trouble)

    def _end(self, trouble: Trouble) -> None:
        self._troubles.remove(trouble)
        trouble.end()
        self.note(trouble.kind, trouble.begun, trouble.about)

    def kill_node(self) -> None:
        begun, member = time.monotonic(), self.troop.draw()
        if member is not None:
            self.troop.kill(member)
            self.note("kill", begun, member.plan.name)

    def leave_node(self) -> None:
        """Have a node close its manager and end, as when a service is started anew."""
        member = self.troop.draw()
        if member is not None:
            self._leave([member])

    def leave_but_one(self) -> None:
        stays = self.troop.draw()
        self._leave([member for member in self.troop.members if member is not stays])

    def _leave(self, members: list[Member]) -> None:
        self.end_troubles()  # With some of them no node could leave.
        begun = time.monotonic()
        self.troop.let_leave(members)
        self.note("leave", begun, ", ".join(member.plan.name for member in members))

    def start_node(self) -> None:
        begun = time.monotonic()
        if len(self.troop.members) < _MOST:
            plan = self.troop.start()
            if plan is not None:
                self.note("start", begun, f"{plan.name} at {plan.port}, seat {plan.seat}")

    def stop_node(self) -> None:
        member = self.troop.draw()
        if member is None:
            return
        member.send(signal.SIGSTOP)
        self.begin("stop", member.plan.name, lambda: member.send(signal.SIGCONT))

    def fork_node(self, order: Order) -> None:
        if len(self.troop.members) >= _MOST or self.is_going_on("stop"):
            return
        begun = time.monotonic()
        forked = self.troop.fork(order)
        if forked:
            self.note(order.name.lower(), begun, forked)

    def jump_clock(self) -> None:
        self._jump([self.chance.choice(list(self._controls.seats))])

    def jump_all_clocks(self) -> None:
        self._jump(list(self._controls.seats))

    def _jump(self, seats: list[Seat]) -> None:
        ahead = self.chance.randrange(1, FARTHEST_AHEAD)

        def put(seconds: int) -> None:
            for seat in seats:
                seat.ahead = seconds

        put(ahead)
        who = f"node {seats[0].life}" if len(seats) == 1 else "all"
        self.begin("clock", f"{who} by {ahead} s", lambda: put(0), _LONGEST_JUMP)
