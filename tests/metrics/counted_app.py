"""A service in several processes of gunicorn, whose metrics any of them tells."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tests.support import SECRET
from tokenwheel import SessionManager, SqliteStorage
from tokenwheel.metrics import SessionCollector
from tokenwheel.web import Gate
from tokenwheel.web.flask import FlaskAuth

storage = SqliteStorage(os.environ["SESSIONS"])
manager = SessionManager(
    SECRET,
    issuer="i",
    audience="a",
    storage=storage,
    storage_key=SECRET,
    revocations=None,
)
gate = Gate(manager)
collector = SessionCollector(manager, gate)
app = Flask(__name__)
auth = FlaskAuth()
auth.init_app(app, gate)


@app.post("/login")
def login() -> Any:
    return {"pid": os.getpid(), "token": manager.create(subject="ann").access_token}


@app.get("/me")
@auth.required
def me() -> Any:
    return {"pid": os.getpid()}


@app.get("/metrics")
def metrics() -> Any:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    registry.register(collector)
    return Response(generate_latest(registry), content_type="text/plain")
