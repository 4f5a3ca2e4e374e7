"""The counters and the histogram of ``prometheus_client`` that keep what is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import Metric

from .client_locks import CLIENT
from .counts import BUCKETS, Counting
from .figures import Figure

__all__ = ["InstrumentCounting", "Instruments", "full_name", "shared_instruments"]


def full_name(figure: Figure) -> str:
    """Return a figure's name as Prometheus has it, without the ``_total`` of a counter."""
    suffix = "info" if figure.kind == "info" else figure.unit
    return "_".join(filter(None, ("tokenwheel", figure.name, suffix)))


class Instruments:
    """Keep what is counted of one or more managers. They are in no registry by themselves.

    Args:
        service: the names of labels that tell managers apart.
    """

    def __init__(self, service: tuple[str, ...]) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tokenwheel_{name}", text, [*labels, *service], registry=None)

        self.created = counter("sessions_created", "Sessions that were opened.")
        self.refreshed = counter(
            "sessions_refreshed",
            "Refreshes; retried where a refresh token was used again within its grace.",
            "retried",
        )
        self.ended = counter(
            "sessions_ended", "Sessions that were ended before their time.", "reason"
        )
        self.refusals = counter("refusals", "Requests that the gate refused.", "code", "transport")
        self.durations = Histogram(
            "tokenwheel_session_operation_duration_seconds",
            "How long the methods of the manager took.",
            ["operation", "outcome", *service],
            registry=None,
            buckets=BUCKETS,
        )

    def collect(self) -> Iterable[Metric]:
        """Return the families."""
        instruments = (self.created, self.refreshed, self.ended, self.refusals, self.durations)
        with CLIENT.lock:
            return [family for instrument in instruments for family in instrument.collect()]


@cache
def shared_instruments(service: tuple[str, ...]) -> Instruments:
    """Return the instruments that all collectors of this process share.

    Two of one name would write to the same place of the same file, each over the other.
    """
    return Instruments(service)


class InstrumentCounting(Counting):
    """Count what one manager and its gate do by instruments.

    Args:
        instruments: keep the counts.
        labels: what tells this manager apart from others.
        look: is called after an operation and a refusal; None for nothing.
    """

    def __init__(
        self,
        instruments: Instruments,
        labels: tuple[str, ...],
        look: Callable[[], None] | None,
    ) -> None:
        self._instruments = instruments
        self._labels = labels
        self._look = look
        self._created = instruments.created.labels(*labels) if labels else instruments.created
        # Those that there can be, so that a rate begins at 0 and not with the first of its kind.
        self._refreshed = {
            retried: instruments.refreshed.labels(str(retried).lower(), *labels)
            for retried in (False, True)
        }
        for reason in ("deleted", "evicted", "reused"):
            instruments.ended.labels(reason, *labels)

    def count_created(self) -> None:
        """Count a session that was opened."""
        with CLIENT.lock:
            self._created.inc()

    def count_refreshed(self, retried: bool) -> None:
        """Count a refresh."""
        with CLIENT.lock:
            self._refreshed[retried].inc()

    def count_ended(self, reason: str, number: int) -> None:
        """Count sessions that ended."""
        with CLIENT.lock:
            self._instruments.ended.labels(reason, *self._labels).inc(number)

    def end_operation(self, begun: Any, operation: str, outcome: str, seconds: float) -> None:
        """Take the duration of a method of the manager."""
        with CLIENT.lock:
            self._instruments.durations.labels(operation, outcome, *self._labels).observe(seconds)
        if self._look is not None:
            self._look()

    def refused(self, code: str, transport: str) -> None:
        """Count a request that was refused."""
        with CLIENT.lock:
            self._instruments.refusals.labels(code, transport, *self._labels).inc()
        if self._look is not None:
            self._look()
