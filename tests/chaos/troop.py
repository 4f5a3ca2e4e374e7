"""The nodes of a trial as their keeper sees them: started, forked, stopped and killed.

A process is signalled through a descriptor of it (``pidfd``), never by its number: that may belong
to somebody else's by then.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.servers import until

from .node import Plan
from .shared import NOT_FORKED, SEATS, Controls, Order, Seat

ROOT = Path(__file__).parents[2]
_LOG_SHOWN = 2_000  # characters


@dataclass
class Member:
    """A node that runs, or ran."""

    plan: Plan
    descriptor: int
    process: subprocess.Popen[bytes] | None  # None where another node forked it
    is_buried: bool = False

    @property
    def is_alive(self) -> bool:
        return not self.is_buried and not select.select([self.descriptor], [], [], 0)[0]

    def send(self, how: int) -> None:
        if self.is_alive:
            signal.pidfd_send_signal(self.descriptor, how)

    def bury(self) -> None:
        """Wait until it has ended, and let go of it."""
        until(lambda: not self.is_alive, f"the end of {self.plan.name}", 0.01)
        self.is_buried = True
        os.close(self.descriptor)
        if self.process is not None:
            self.process.wait()


class Troop:
    """All nodes of a trial.

    Args:
        plan: what every node has in common.
        chance: draws what each node is.
        ports: where nodes may find the server; none over a file.
        environment: variables that are set for every node.
    """

    def __init__(
        self,
        plan: Plan,
        controls: Controls,
        chance: random.Random,
        ports: list[int],
        environment: dict[str, str],
    ) -> None:
        self._plan = plan
        self._controls = controls
        self._chance = chance
        self._ports = ports
        self._environment = environment
        self._lives = 0
        self.members: list[Member] = []
        self.fallen: list[str] = []

    def start(self) -> Plan | None:
        """Start a node in a process of its own. Return its plan; None where every seat is taken."""
        seat = self._free_seat()
        if seat is None:
            return None
        chance, is_server = self._chance, bool(self._ports)
        # The first two over a server are one of each kind, whatever is drawn.
        is_async = is_server and (self._lives == 1 or (self._lives > 1 and chance.random() < 0.4))
        plan = replace(
            self._plan,
            seat=seat,
            life=self._take_seat(seat),
            workers=chance.choice([1, 1, 2, 3]),
            is_async=is_async,
            refuses=not is_server or chance.random() < 0.7,
            port=chance.choice(self._ports) if is_server else 0,
        )
        log = (Path(plan.folder) / f"{plan.name}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.node", plan.to_json()],
                cwd=ROOT,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.members.append(Member(plan, os.pidfd_open(process.pid), process))
        return plan

    def fork(self, order: Order) -> str:
        """Have a blocking node fork. Return what came of it, for the log."""
        parent = self.draw(lambda plan: not plan.is_async)
        seat = self._free_seat()
        if parent is None or seat is None or not self._seat(parent.plan).process:
            return ""
        life = self._take_seat(seat)
        plan = replace(parent.plan, seat=seat, life=life)
        of_parent, of_child = self._seat(parent.plan), self._controls.seats[seat]
        of_parent.child, of_parent.forked = seat, 0
        of_parent.order = order
        until(lambda: of_parent.forked or not parent.is_alive, "a fork", 0.01)
        if of_parent.forked in (0, NOT_FORKED):
            return ""
        try:
            child = Member(plan, os.pidfd_open(of_parent.forked), None)
        except ProcessLookupError:
            self._add_fallen(parent, f"has a child, {plan.name}, that ended by itself")
            return ""
        self.members.append(child)
        try:
            until(lambda: of_child.process or not child.is_alive, "the child of a fork", 0.01)
        except AssertionError:
            self._add_fallen(parent, f"has a child, {plan.name}, that does not begin")
            self.kill(child)
        return f"{plan.name} from {parent.plan.name}"

    def draw(self, fits: Callable[[Plan], bool] = lambda _: True) -> Member | None:
        """Return a node that runs, drawn by chance; None where none fits."""
        fitting = [member for member in self.members if fits(member.plan)]
        return self._chance.choice(fitting) if fitting else None

    def kill(self, member: Member) -> None:
        member.send(signal.SIGKILL)
        self._forget(member)

    def let_leave(self, members: list[Member]) -> None:
        """Have nodes close their managers and end, and wait for it."""
        for member in members:
            self._seat(member.plan).order = Order.LEAVE
        for member in members:
            self._see_off(member)

    def notice_the_fallen(self) -> None:
        """Take note of nodes that have ended by themselves."""
        for member in [member for member in self.members if not member.is_alive]:
            self._forget(member)
            self._add_fallen(member, "ended by itself")

    def dismiss(self) -> None:
        """See every node leave, now that the trial is over."""
        for member in list(self.members):
            self._see_off(member)

    def kill_all(self) -> None:
        for member in list(self.members):
            self.kill(member)

    def seats(self) -> list[Seat]:
        return [self._seat(member.plan) for member in self.members]

    def _seat(self, plan: Plan) -> Seat:
        seat: Seat = self._controls.seats[plan.seat]
        return seat

    def _free_seat(self) -> int | None:
        taken = {member.plan.seat for member in self.members}
        return next((seat for seat in range(SEATS) if seat not in taken), None)

    def _take_seat(self, number: int) -> int:
        seat = self._controls.seats[number]
        seat.process = seat.order = seat.has_accepted = seat.has_refused = 0
        seat.life = self._lives
        self._lives += 1
        return self._lives - 1

    def _see_off(self, member: Member) -> None:
        """Wait until a node has left; kill one that doesn't."""
        try:
            until(lambda: not member.is_alive, "that a node leaves", 0.01)
        except AssertionError:
            self._add_fallen(member, "does not leave")
            member.send(signal.SIGKILL)
        self._forget(member)
        if member.process is not None and member.process.returncode:
            self._add_fallen(member, f"left with {member.process.returncode}")

    def _add_fallen(self, member: Member, what: str) -> None:
        """Take note of what became of a node, with the end of its log where it has its own."""
        log = Path(member.plan.folder) / f"{member.plan.name}.log"
        said = log.read_text()[-_LOG_SHOWN:] if log.exists() else ""
        self.fallen.append(f"{member.plan.name} {what}\n{said}".strip())

    def _forget(self, member: Member) -> None:
        self.members.remove(member)
        member.bury()
