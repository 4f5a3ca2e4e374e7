"""The application of ``fastapi_app`` with its metrics at ``/metrics``, for Prometheus to scrape.

Run it as ``uvicorn fastapi_metrics_app:app``. The figures are for you
alone: let the proxy before it pass on no request for ``/metrics``.
"""

from __future__ import annotations

from fastapi_app import app, auth, sessions
from prometheus_client import REGISTRY, make_asgi_app

from tokenwheel.metrics.prometheus import SessionCollector

__all__ = ["app"]

REGISTRY.register(SessionCollector(sessions, auth.gate))
app.mount("/metrics", make_asgi_app())
