"""The figures of one worker process, written where another process can read them.

Prometheus scrapes one worker, which knows nothing of how the others stand. So each writes its own
figures into a file, every few seconds: a worker that only reads tokens has no other occasion. The
thread that does so begins with the first operation or refusal of a process, and in each process
that is forked. A server's parent process, which loads the application and forks, has none.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import cache
from weakref import ref

from prometheus_client import Counter, Gauge

from ..fork_safety import restart_after_fork
from .client_locks import CLIENT
from .figures import Figure, Manager, Sample, read_figures
from .instruments import full_name

__all__ = ["WorkerFigures"]

logger = logging.getLogger("tokenwheel")

_INTERVAL = 5.0  # seconds; Prometheus scrapes every 15 or so


class WorkerFigures:
    """Write the figures of a manager from the process that this is called in.

    Args:
        manager: is held weakly.
        service: the names of the labels that tell managers apart.
        labels: their values.
    """

    def __init__(self, manager: Manager, service: tuple[str, ...], labels: tuple[str, ...]) -> None:
        self._manager = ref(manager)
        self._service = service
        self._labels = labels
        self._written: dict[str, float] = {}  # of counters, which have no labels of their own
        self._made_in = os.getpid()
        self._pid: int | None = None
        self._stopped = threading.Event()
        restart_after_fork(self)

    def look(self) -> None:
        """See to it that the figures of this process are written."""
        if self._pid != os.getpid():
            self.restart()

    def restart(self) -> None:
        """Begin to write the figures of this process; also called in a child of a fork."""
        if self._stopped.is_set() or self._manager() is None:
            return
        self._pid = os.getpid()
        if self._pid != self._made_in:
            # What a counter began with was the parent's doing.
            self._written = self._counters()
        self._stopped = threading.Event()
        threading.Thread(
            target=_write_until,
            args=(self._stopped, ref(self)),
            name="tokenwheel-metrics",
            daemon=True,
        ).start()

    def close(self) -> None:
        """Write no more."""
        self._stopped.set()

    def write(self) -> bool:
        """Write the figures once. Return False where the manager is no more."""
        manager = self._manager()
        if manager is None:
            return False
        for figure, samples in read_figures(manager):
            with CLIENT.lock:
                self._write(figure, samples)
        return True

    def _write(self, figure: Figure, samples: list[Sample]) -> None:
        instrument = _instrument_of(figure, self._service)
        for sample in samples:
            values = [*(sample.labels[name] for name in figure.labels), *self._labels]
            child = instrument.labels(*values) if values else instrument
            if isinstance(child, Gauge):
                child.set(sample.value)
            else:
                child.inc(max(sample.value - self._written.get(figure.name, 0.0), 0.0))
                self._written[figure.name] = sample.value

    def _counters(self) -> dict[str, float]:
        manager = self._manager()
        if manager is None:
            return {}
        return {
            figure.name: samples[0].value
            for figure, samples in read_figures(manager)
            if figure.kind == "counter"
        }


def _write_until(stopped: threading.Event, figures: ref[WorkerFigures]) -> None:
    while True:
        held = figures()
        if held is None:
            return
        try:
            if not held.write():
                return
        except Exception:
            logger.exception("the metrics of this process could not be written")
        del held
        if stopped.wait(_INTERVAL):
            return


@cache
def _instrument_of(figure: Figure, service: tuple[str, ...]) -> Counter | Gauge:
    """Return what writes a figure of this process; the same one for all its managers.

    It is made when there is something to write, since a gauge begins with a 0 that is in the file.
    """
    name, labels = full_name(figure), [*figure.labels, *service]
    if figure.kind == "counter":
        return Counter(name, figure.help, labels, registry=None)
    mode = f"live{figure.of_workers}"
    return Gauge(name, figure.help, labels, registry=None, multiprocess_mode=mode)  # type: ignore[arg-type]
