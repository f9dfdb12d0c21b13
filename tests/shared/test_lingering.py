"""Threads that stay with a connection for a moment: whoever asks at once is served at once, and nobody starves."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import ROOT, free_port, wait_until

THREADS = 2
APP = """
import threading

def app(environ, start_response):
    body = str(threading.get_ident()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    (tmp_path / "small.py").write_text(APP)
    port = free_port()
    line = [sys.executable, "-m", "gunicorn", "small:app", "--worker-class", "shared.lingering.LingeringWorker"]
    line += ["--no-control-socket", "--threads", str(THREADS), "--bind", f"127.0.0.1:{port}", "--keep-alive", "20"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    process = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_listening(port), "gunicorn listens")
        yield process, port
    finally:
        process.kill()
        process.wait()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(connection: http.client.HTTPConnection) -> bytes:
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read()


def test_requests_that_follow_at_once_are_served_by_the_same_thread(server: tuple[object, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=20)
    ask(connection)
    threads = [ask(connection) for _ in range(200)]
    # The system may take its time once in a while: the connection then comes back by way of the main thread.
    assert sum(a == b for a, b in itertools.pairwise(threads)) > 150


def test_more_connections_than_threads_are_all_served(server: tuple[object, int]) -> None:
    connections = [http.client.HTTPConnection("127.0.0.1", server[1], timeout=20) for _ in range(THREADS * 8)]
    for _ in range(5):
        assert all(ask(connection) for connection in connections)


def test_two_requests_sent_together_are_both_answered(server: tuple[object, int]) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=20) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        got = b""
        while got.count(b"HTTP/1.1 200") < 2:
            part = raw.recv(65536)
            assert part, got
            got += part


def test_a_stop_ends_it_while_connections_stay_open(server: tuple[subprocess.Popen[bytes], int]) -> None:
    process, port = server
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(4)]
    for connection in connections:
        ask(connection)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
