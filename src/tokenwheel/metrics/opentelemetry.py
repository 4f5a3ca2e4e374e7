"""Metrics and traces for OpenTelemetry, by its API alone: ``pip install 'tokenwheel[otel]'``.

An instrument of OpenTelemetry can't be taken back, and a second one of its name is dropped with the
callback that it brings. So the observable ones are made once for each provider. They read whatever
managers are instrumented at that moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary, WeakSet, ref

from .. import __version__
from ..errors import ConfigurationError
from ..fork_safety import renew_after_fork
from .counts import BUCKETS, Counting, check_counted
from .figures import FIGURES, Figure, Manager, read_figure

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import Observation
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "instrument needs opentelemetry-api: pip install 'tokenwheel[otel]'", name=error.name
    ) from error

from .tracing import CallTracer

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider
    from opentelemetry.trace import TracerProvider

    from ..web import Gate

__all__ = ["Instrumentation", "instrument"]

# UCUM, by which OpenTelemetry goes, for the unit of a figure.
_UNITS = {"bytes": "By", "seconds": "s", "timestamp_seconds": "s", "entries": "{entry}", "": ""}
_MERGED: dict[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min}


class _Turns:
    """Hold ``lock`` while a manager becomes instrumented, or ceases to be."""

    def __init__(self) -> None:
        self.renew()
        renew_after_fork(self)

    def renew(self) -> None:
        """Have a lock that is free, in a child whose parent may have held it in another thread."""
        self.lock = Lock()


_turns = _Turns()
_instrumented: WeakSet[Manager] = WeakSet()
_observed: WeakKeyDictionary[Any, WeakSet[Manager]] = WeakKeyDictionary()


def instrument(
    manager: Manager,
    gate: Gate | None = None,
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
) -> Instrumentation:
    """Tell OpenTelemetry what a manager does, how its parts stand, and what a gate refuses.

    A span is made around each call of the storage and the feed. Nothing is added to ``read``. No
    attribute holds a subject, a session id, an address or a token. The manager is not kept alive.

    Args:
        manager: a ``SessionManager`` or an ``AsyncSessionManager``.
        gate: the gate whose refusals are counted; None to count none.
        meter_provider: makes the meter; by default the global one, which is to be set before.
        tracer_provider: makes the tracer; by default the global one.

    Returns:
        What ends it all again, by ``close()`` or as a context manager.

    Raises:
        ConfigurationError: an argument is not what it has to be, or the manager is instrumented
            already: everything would be counted twice.
    """
    check_counted(manager, gate)
    provider = metrics.get_meter_provider() if meter_provider is None else meter_provider
    with _turns.lock:
        if manager in _instrumented:
            raise ConfigurationError(
                "the manager is instrumented already: close() what instrument returned before"
            )
        _instrumented.add(manager)
        meter = provider.get_meter("tokenwheel", __version__)
        if provider not in _observed:
            managers: WeakSet[Manager] = WeakSet()
            _observe(meter, managers)
            _observed[provider] = managers
        observed = _observed[provider]
        observed.add(manager)
    tracer = trace.get_tracer("tokenwheel", __version__, tracer_provider)
    return Instrumentation(manager, gate, observed, _MeterCounting(meter), CallTracer(tracer))


class Instrumentation:
    """What :func:`instrument` has set up. It ends by ``close()``, or as a context manager."""

    def __init__(
        self,
        manager: Manager,
        gate: Gate | None,
        observed: WeakSet[Manager],
        counting: _MeterCounting,
        tracer: CallTracer,
    ) -> None:
        self._manager: Callable[[], Manager | None] = ref(manager)
        self._gate: Callable[[], Gate | None] = (lambda: None) if gate is None else ref(gate)
        self._observed = observed
        self._counting = counting
        self._tracer = tracer
        counting.attach(manager, gate)
        manager._observers.add(tracer)

    def close(self) -> None:
        """Count nothing more, and make no more spans. Can be called again."""
        with _turns.lock:
            manager, self._manager = self._manager(), _nothing
            if manager is None:
                return
            self._counting.detach(manager, self._gate())
            manager._observers.remove(self._tracer)
            self._observed.discard(manager)
            _instrumented.discard(manager)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _nothing() -> None:
    return None


class _MeterCounting(Counting):
    """Count what a manager and its gate do by the instruments of a meter."""

    def __init__(self, meter: Meter) -> None:
        self._created = meter.create_counter(
            "tokenwheel.sessions.created", "{session}", "Sessions that were opened."
        )
        self._refreshed = meter.create_counter(
            "tokenwheel.sessions.refreshed",
            "{session}",
            "Refreshes; retried where a refresh token was used again within its grace.",
        )
        self._ended = meter.create_counter(
            "tokenwheel.sessions.ended", "{session}", "Sessions that were ended before their time."
        )
        self._refusals = meter.create_counter(
            "tokenwheel.refusals", "{request}", "Requests that the gate refused."
        )
        self._durations = meter.create_histogram(
            "tokenwheel.session.operation.duration",
            "s",
            "How long the methods of the manager took.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )

    def count_created(self) -> None:
        """Count a session that was opened."""
        self._created.add(1)

    def count_refreshed(self, retried: bool) -> None:
        """Count a refresh."""
        self._refreshed.add(1, {"retried": str(retried).lower()})

    def count_ended(self, reason: str, number: int) -> None:
        """Count sessions that ended."""
        self._ended.add(number, {"reason": reason})

    def end_operation(self, begun: Any, operation: str, outcome: str, seconds: float) -> None:
        """Take the duration of a method of the manager."""
        self._durations.record(seconds, {"operation": operation, "outcome": outcome})

    def refused(self, code: str, transport: str) -> None:
        """Count a request that was refused."""
        self._refusals.add(1, {"code": code, "transport": transport})


def _observe(meter: Meter, managers: WeakSet[Manager]) -> None:
    """Make the instruments that read how the parts of managers stand."""
    for figure in FIGURES:
        make = (
            meter.create_observable_counter
            if figure.kind == "counter"
            else meter.create_observable_gauge
        )
        make(
            name_of(figure),
            callbacks=[partial(_read, figure, managers)],
            unit=_UNITS[figure.unit],
            description=figure.help,
        )


def name_of(figure: Figure) -> str:
    """Return a figure's name as OpenTelemetry has it.

    Seconds are left to the unit. An exporter for Prometheus puts them back, and so arrives at the
    name that ``SessionCollector`` gives.
    """
    last = "info" if figure.kind == "info" else figure.unit.removesuffix("seconds")
    words = f"tokenwheel_{figure.name}_{last}".strip("_")
    return words.replace("_", ".")


def _read(
    figure: Figure, managers: WeakSet[Manager], options: CallbackOptions
) -> Iterable[Observation]:
    """Yield a figure of all managers: of several the sum, or what is furthest from good."""
    values: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for manager in list(managers):
        for sample in read_figure(figure, manager):
            values.setdefault(tuple(sample.labels.items()), []).append(sample.value)
    merge = _MERGED["sum" if figure.kind == "counter" else figure.of_workers]
    for labels, read in values.items():
        yield Observation(merge(read), dict(labels))
