"""Metrics of sessions: what managers and gates do, and how keys, feeds and revocations stand.

Hooks (``tokenwheel.session.observers``), data (``figures.py``, ``counts.py``) and exporters are
apart. :class:`SessionCollector` is for ``prometheus_client``: ``pip install
'tokenwheel[prometheus]'``. :func:`instrument` is for OpenTelemetry: ``pip install
'tokenwheel[otel]'``. Nothing is added to ``read``, and no label holds a subject, an id, an
address or a token.
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
