"""Real web servers for an application: uvicorn, hypercorn and gunicorn, and nginx before them.

Each listens on a free port of loopback, as a process of its own, and ends with its test. When it
does not answer, or when the test asks, its log is shown.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from tests.servers import free_port, until
from tests.web.tls import Certificate

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


class Server(NamedTuple):
    """A server that runs."""

    port: int
    log: Path
    is_secure: bool

    def origin(self, host: str = "127.0.0.1") -> str:
        """Return the server's origin under this name of loopback."""
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"

    def read_log(self) -> str:
        return self.log.read_text(errors="replace")


def uvicorn(application: str, port: int, certificate: Certificate | None) -> list[str]:
    secure = (
        [f"--ssl-certfile={certificate.chain}", f"--ssl-keyfile={certificate.key}"]
        if certificate
        else []
    )
    return ["uvicorn", application, "--port", str(port), *secure]


def hypercorn(application: str, port: int, certificate: Certificate | None) -> list[str]:
    """Return the command of hypercorn, which speaks HTTP/2 where there is a certificate."""
    secure = (
        [f"--certfile={certificate.chain}", f"--keyfile={certificate.key}"] if certificate else []
    )
    return ["hypercorn", application, "--bind", f"127.0.0.1:{port}", "--access-logfile=-", *secure]


def gunicorn(application: str, port: int, certificate: Certificate | None) -> list[str]:
    """Return the command of gunicorn with workers that answer one request at a time."""
    secure = (
        [f"--certfile={certificate.chain}", f"--keyfile={certificate.key}"] if certificate else []
    )
    return ["gunicorn", application, "--bind", f"127.0.0.1:{port}", "--no-control-socket", *secure]


def gunicorn_threads(application: str, port: int, certificate: Certificate | None) -> list[str]:
    """Return the command of gunicorn with threads, which web sockets of WSGI need."""
    return [*gunicorn(application, port, certificate), "--worker-class=gthread", "--threads=32"]


Command = Callable[[str, int, Certificate | None], list[str]]


@contextmanager
def serving(
    command: Command,
    application: str,
    folder: Path,
    *,
    certificate: Certificate | None = None,
    port: int = 0,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve an application of the examples, or of the tests, until the block is left.

    Args:
        command: one of the functions above.
        application: where it is imported from, as ``fastapi_app:app``.
        folder: where the log lies, and what the application writes.
        certificate: for TLS; without one it is plain HTTP.
        port: where it listens; 0: on a free port.
        workers: how many processes answer.
        environment: what the application reads besides.
    """
    if sys.platform == "win32":
        pytest.skip("these servers are started and stopped as POSIX has it")
    port = port or free_port()
    program, *arguments = command(application, port, certificate)
    if importlib.util.find_spec(program) is None:
        missing(f"{program} is not installed")
    more = [f"--workers={workers}"] if workers > 1 else []
    log = folder / f"{program}-{port}.log"
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(EXAMPLES), str(EXAMPLES.parent)]),
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
    }
    with running([sys.executable, "-m", program, *arguments, *more], log, port, folder, variables):
        yield Server(port, log, certificate is not None)


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            {more}
        }}
    }}
}}
"""


@contextmanager
def nginx(
    upstream: Server, folder: Path, certificate: Certificate, *, port: int = 0, more: str = ""
) -> Iterator[Server]:
    """Run nginx over TLS as a reverse proxy before a server, until the block is left.

    Args:
        upstream: the server that it asks, over plain HTTP.
        folder: where its files lie.
        certificate: what it shows to clients.
        port: where it listens; 0: on a free port.
        more: lines for the location, as ``proxy_set_header Host $host;``.
    """
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        missing("nginx is not installed (apt-get install nginx-light)")
    port = port or free_port()
    configuration = folder / f"nginx-{port}.conf"
    configuration.write_text(
        NGINX.format(
            folder=folder, port=port, certificate=certificate, upstream=upstream.port, more=more
        )
    )
    log = folder / f"nginx-{port}.log"
    command = [binary, "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    with running(command, log, port, folder, dict(os.environ)):
        yield Server(port, log, True)


def missing(what: str) -> NoReturn:
    """Fail in CI on Linux, where everything is to be installed, and skip the test elsewhere."""
    if os.environ.get("CI") and sys.platform == "linux":
        pytest.fail(f"{what}, and CI has to try everything", pytrace=False)
    pytest.skip(f"{what}; CI would fail here")


@contextmanager
def running(
    command: list[str], log: Path, port: int, folder: Path, environment: dict[str, str]
) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until(lambda: _answers(process, port, log), f"{command[0]} on port {port}", interval=0.02)
        yield
    except BaseException:
        sys.stderr.write(f"--- {log}\n{log.read_text(errors='replace')[-20_000:]}\n")
        raise
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
