"""Metrics and traces: what managers do and gates refuse, how keys, feeds and revocations stand.

:class:`SessionCollector` is for Prometheus: ``pip install 'tokenwheel[prometheus]'``.
:func:`instrument` is for OpenTelemetry: ``pip install 'tokenwheel[otel]'``. Nothing is added to
``read``. No label or attribute holds a subject, a session id, an address or a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .opentelemetry import instrument
    from .prometheus import SessionCollector

__all__ = ["SessionCollector", "instrument"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import an exporter when it is first asked for (PEP 562)."""
        if name == "SessionCollector":
            from .prometheus import SessionCollector

            return SessionCollector
        if name == "instrument":
            from .opentelemetry import instrument

            return instrument
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
