"""A resource server for the tests: ``gunicorn --preload tests.processes.resource_wsgi:app``.

``KEYS_URL`` is where the keys of the tokens are that it verifies. Its workers are forked after the
manager was made, and answer in threads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from tests.processes.resources import OPTIONS, answer_to
from tokenwheel import RemoteKeySet, SessionManager

keys = RemoteKeySet(os.environ["KEYS_URL"], **OPTIONS)
sessions = SessionManager(keys, issuer="auth.example", audience="api.example")


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/stats":
        status, text = 200, json.dumps(keys.stats()._asdict())
    else:
        status, text = answer_to(sessions.read, environ.get("HTTP_AUTHORIZATION", ""))
    body = text.encode()
    start_response(
        f"{status} {HTTPStatus(status).phrase}",
        [
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("Worker", str(os.getpid())),
        ],
    )
    return [body]
