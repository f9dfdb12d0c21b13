"""Serves both services: gunicorn, one worker process, threads.

Law: a port that is taken is said in one sentence before anything starts.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import NoReturn

from shared.web.port_holder import holder_of

#: Clients that may be connected at once. Above it, those go that have waited longest.
MAX_CONNECTIONS = 2_000


def why_not(host: str, port: int, variable: str) -> str | None:
    """Return the reason why an address can't be listened on, or None.

    Parameters
    ----------
    variable
        The environment variable that names the port, for the sentence.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As gunicorn does: a port whose last connection has just closed is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                taken = f"Port {port} on {host} is taken: {holder_of(port) or 'something'} listens there"
                return f"{taken}; end it or set {variable} to a free port."
            return f"Can't listen on {host}:{port} ({error.strerror}); check the address and {variable}."
    return None


def gunicorn_line(factory: str, *, host: str, port: int, threads: int, reload: bool) -> list[str]:
    """The command that serves `module:factory()`.

    One worker process: rate limits, loaded models and the waiting places belong to one process.
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
    # No header of a client says where the application is mounted, whatever address it comes from.
    line += ["--worker-connections", str(MAX_CONNECTIONS), "--forwarder-headers", "", "--forwarded-allow-ips", ""]
    line += ["--workers", "1", "--threads", str(threads), "--bind", f"{host}:{port}"]
    line += ["--keep-alive", "75", "--graceful-timeout", "10", "--timeout", "120", "--log-level", "warning"]
    if os.path.isdir("/dev/shm"):
        # The worker's heartbeat file: on a read-only container there is no other place to write.
        line += ["--worker-tmp-dir", "/dev/shm"]
    return [*line, "--reload"] if reload else line


def serve(factory: str, *, host: str, port: int, threads: int, reload: bool) -> NoReturn:
    """Replace this process by gunicorn."""
    line = gunicorn_line(factory, host=host, port=port, threads=threads, reload=reload)
    os.execv(line[0], line)
