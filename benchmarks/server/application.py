"""Serves one case.

    python -m benchmarks.server.application CASE SOCKET FILE COUNT

The requests that it lets through, so many, are written to the file before the first is answered.
The shared secret comes in the environment.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from .cases import CASES
from .requests import write_requests

SECRET_VARIABLE = "TOKENWHEEL_BENCHMARK_SECRET"


def serve_asgi(application: Any, descriptor: int) -> None:
    import uvicorn

    config = uvicorn.Config(
        application,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def serve_wsgi(application: Any, descriptor: int) -> None:
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            self.cfg.set("bind", f"fd://{descriptor}")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", 1)
            self.cfg.set("keepalive", 60)
            self.cfg.set("loglevel", "warning")

        def load(self) -> Any:
            return application

    Gunicorn().run()


def main() -> None:
    name, descriptor, file, count = sys.argv[1:]
    del sys.argv[1:]  # gunicorn reads them, too.
    case = CASES[name]
    served = case.make(os.environ[SECRET_VARIABLE])
    served.activate()
    write_requests(Path(file), served.requests(int(count)))
    serve = serve_asgi if case.interface == "ASGI" else serve_wsgi
    serve(served.application, int(descriptor))


if __name__ == "__main__":
    main()
