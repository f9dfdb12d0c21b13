"""Serves both services: gunicorn, one worker process, threads.

Law: a port that is in use is reported in one sentence before anything starts.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
from typing import NoReturn

from shared.web.port_holder import holder_of

#: Clients that may be connected at the same time. Above it, those that have waited longest are dropped.
MAX_CONNECTIONS = 2_000
#: Descriptors reserved for files, listeners and databases.
SPARE_DESCRIPTORS = 256


def raise_descriptor_limit() -> int:
    """Let this process open a descriptor for each connection, as far as it may; return how many it can hold."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_CONNECTIONS
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(MAX_CONNECTIONS, max(soft - SPARE_DESCRIPTORS, soft // 2))


def why_not(host: str, port: int, variable: str) -> str | None:
    """Return why an address can't be listened on, or None.

    Parameters
    ----------
    variable
        The environment variable that sets the port, for the sentence.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gunicorn does, so that a port whose last connection has just closed counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                taken = f"Port {port} on {host} is taken: {holder_of(port) or 'something'} listens there"
                return f"{taken}; end it or set {variable} to a free port."
            return f"Can't listen on {host}:{port} ({error.strerror}); check the address and {variable}."
    return None


def gunicorn_line(
    factory: str, *, host: str, port: int, threads: int, reload: bool, json_logs_of: str | None = None
) -> list[str]:
    """Return the command that serves `module:factory()`.

    One worker process, because rate limits, loaded models and waiting places are kept per process.

    Parameters
    ----------
    json_logs_of
        The service that gunicorn's own JSON lines name; None: lines of text.
    """
    line = [
        sys.executable,
        "-m",
        "gunicorn",
        f"{factory}()",
        "--no-control-socket",
        "--worker-class",
        "shared.web.worker.Worker",
    ]
    # No client's header sets where the application is mounted, whatever its address.
    line += ["--worker-connections", str(MAX_CONNECTIONS), "--forwarder-headers", "", "--forwarded-allow-ips", ""]
    line += ["--workers", "1", "--threads", str(threads), "--bind", f"{host}:{port}"]
    line += ["--keep-alive", "75", "--graceful-timeout", "10", "--timeout", "120", "--log-level", "warning"]
    if json_logs_of is not None:
        line += ["--name", json_logs_of, "--logger-class", "shared.web.gunicorn_logger.GunicornLogger"]
    if os.path.isdir("/dev/shm"):
        # The worker's heartbeat file: a read-only container has no other place to write.
        line += ["--worker-tmp-dir", "/dev/shm"]
    return [*line, "--reload"] if reload else line


def serve(
    factory: str, *, host: str, port: int, threads: int, reload: bool, json_logs_of: str | None = None
) -> NoReturn:
    """Replace this process by gunicorn; parameters as for `gunicorn_line`."""
    line = gunicorn_line(factory, host=host, port=port, threads=threads, reload=reload, json_logs_of=json_logs_of)
    os.execv(line[0], line)
