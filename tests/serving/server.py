"""A server of the small application, and what is sent to it byte by byte."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.web.gunicorn import gunicorn_line
from tests.serving.slow_clients import seconds_to_answer

ROOT = Path(__file__).parents[2]
THREADS = 4


@contextmanager
def serving(**variables: str) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    line = gunicorn_line(
        "tests.serving.served_app:make_app", host="127.0.0.1", port=port, threads=THREADS, reload=False
    )
    server = subprocess.Popen(line, cwd=ROOT, env={**os.environ, "SCRIPT_NAME": "", **variables})
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                seconds_to_answer(port, "/health")
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def raw(port: int, request: bytes, *, seconds: float = 5, ends: bool = False) -> bytes:
    """Everything that comes back until the server closes, or falls silent; `ends` where the client sends no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        client.sendall(request)
        if ends:
            client.shutdown(socket.SHUT_WR)
        return read_all(client)


def read_all(client: socket.socket) -> bytes:
    answer = b""
    with suppress(TimeoutError, ConnectionResetError):
        while piece := client.recv(65536):
            answer += piece
    return answer


def busy(seconds: float, *, number: int = 1, caller: str = "ann") -> bytes:
    """A request that computes for a while."""
    head = f"GET /busy/{number}?seconds={seconds} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer rs_{caller}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n"


def process_of(port: int) -> int:
    """The process that answers."""
    answer = raw(port, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", seconds=20)
    return int(answer.split(b"\r\n\r\n")[1].split()[0])


def cpu_s_of(process: int) -> float:
    """The processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
