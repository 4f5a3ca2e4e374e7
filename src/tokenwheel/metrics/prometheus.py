"""Metrics for Prometheus, by its own client: ``pip install 'tokenwheel[prometheus]'``.

What is counted is kept by counters of ``prometheus_client``. What is read of a manager is read
when Prometheus scrapes. Where several worker processes share ``PROMETHEUS_MULTIPROC_DIR``, each
writes both into files there instead (``workers.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from ..errors import ConfigurationError
from ..exact import named, text_of
from .counts import check_counted
from .figures import Manager, read_figures

try:
    from prometheus_client import values
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "SessionCollector needs prometheus_client: pip install 'tokenwheel[prometheus]'",
        name=error.name,
    ) from error

from .instruments import InstrumentCounting, Instruments, full_name, shared_instruments
from .workers import WorkerFigures

if TYPE_CHECKING:
    from ..web import Gate

__all__ = ["SessionCollector"]


class _Member(NamedTuple):
    """A manager of a collector. It is held weakly, and so is its gate."""

    manager: Callable[[], Manager | None]
    gate: Callable[[], Gate | None]
    labels: tuple[str, ...]
    counting: InstrumentCounting
    workers: WorkerFigures | None


class SessionCollector(Collector):
    """Tell Prometheus what a manager does, how its parts stand, and what a gate refuses.

    .. code-block:: python

        prometheus_client.REGISTRY.register(SessionCollector(manager, gate))

    Nothing is added to ``read``. No label holds a subject, a session id, an address or a token. A
    scrape waits for no storage, server or URL. What cannot be read is left out of it, and the rest
    stays. The collector keeps no manager alive.

    In a process that has ``PROMETHEUS_MULTIPROC_DIR``, a scrape of this collector is empty. All
    figures are then in the files that ``prometheus_client.multiprocess.MultiProcessCollector``
    reads. Counters and the histogram are written as things happen. Gauges are written every 5
    seconds, from the first operation or refusal in a process on, and in each process that is
    forked. With gunicorn, call ``multiprocess.mark_process_dead(worker.pid)`` in ``child_exit``, so
    that the gauges of a worker that has gone count no more.

    Args:
        manager: a ``SessionManager`` or an ``AsyncSessionManager``.
        gate: the gate whose refusals are counted; None to count none.
        service: the value of a label ``service`` on every figure, where one process has several
            managers: see :meth:`add`. None for no such label.

    Raises:
        ConfigurationError: an argument is not what it has to be.
    """

    def __init__(
        self, manager: Manager, gate: Gate | None = None, *, service: str | None = None
    ) -> None:
        self._members: list[_Member] = []
        self._service = () if service is None else ("service",)
        self._is_of_workers = bool(values.ValueClass._multiprocess)
        self._instruments = (
            shared_instruments(self._service) if self._is_of_workers else Instruments(self._service)
        )
        self.add(manager, gate, service=service)

    def add(
        self, manager: Manager, gate: Gate | None = None, *, service: str | None = None
    ) -> None:
        """Tell Prometheus of another manager of this process as well.

        A registry takes one ``SessionCollector``, as each figure may be in it once.

        Args:
            manager: the other manager.
            gate: the gate whose refusals are counted; None to count none.
            service: tells its figures apart from those of the others.

        Raises:
            ConfigurationError: an argument is not what it has to be, or the managers of this
                collector don't have a ``service`` each.
        """
        check_counted(manager, gate)
        name = None if service is None else text_of(service)
        if service is not None and not name:
            raise ConfigurationError(f"service must be a text or None, not {named(service)}")
        taken = [member.labels for member in self._members]
        labels = () if name is None else (name,)
        if len(labels) != len(self._service) or labels in taken:
            raise ConfigurationError(
                "where a collector has several managers, each needs a service of its own: "
                "SessionCollector(manager, gate, service='shop'), then add(..., service='admin')"
            )
        workers = WorkerFigures(manager, self._service, labels) if self._is_of_workers else None
        counting = InstrumentCounting(
            self._instruments, labels, None if workers is None else workers.look
        )
        counting.attach(manager, gate)
        held_gate = (lambda: None) if gate is None else ref(gate)
        self._members.append(_Member(ref(manager), held_gate, labels, counting, workers))

    def collect(self) -> Iterable[Metric]:
        """Yield the families of all figures, as ``prometheus_client`` asks for them."""
        if self._is_of_workers:
            return
        yield from self._instruments.collect()
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for member in self._members:
            manager = member.manager()
            if manager is None:
                continue
            for figure, samples in read_figures(manager):
                name = full_name(figure)
                if name not in families:
                    kind = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
                    names = [*figure.labels, *self._service]
                    families[name] = kind(name, figure.help, labels=names)
                family = families[name]
                for sample in samples:
                    labels = [sample.labels[name] for name in figure.labels]
                    family.add_metric([*labels, *member.labels], sample.value)
        yield from families.values()

    def close(self) -> None:
        """Count no more. Can be called again. A registry keeps what was counted until then.

        To have it gone from there, call ``unregister`` of the registry.
        """
        for member in self._members:
            member.counting.detach(member.manager(), member.gate())
            if member.workers is not None:
                member.workers.close()
