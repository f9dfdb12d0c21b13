"""Threads that stay with a connection for a moment: whoever asks at once is served at once, and nobody starves."""

from __future__ import annotations

import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import ROOT, free_port, wait_until

THREADS = 2
APP = """
import threading
import time

def parts():
    yield b"first"
    time.sleep(0.3)
    yield b"second"

def app(environ, start_response):
    text, path = [("Content-Type", "text/plain")], environ["PATH_INFO"]
    if path == "/parts":
        start_response("200 OK", text)
        return parts()
    if path == "/file":
        start_response("200 OK", text)
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    if path == "/nothing":
        start_response("204 No Content", [])
        return []
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("200 OK", [*text, ("Content-Length", str(len(body)))])
        return [body]
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


def test_headers_and_body_arrive_in_one_piece(server: tuple[object, int]) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=20) as raw:
        for _ in range(20):
            raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head, _, body = raw.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200") and body.isdigit()


def test_files_bodies_of_many_parts_and_none_come_whole_and_in_order(server: tuple[object, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=20)
    expected = {"/nothing": b"", "/file": APP.encode(), "/parts": b"firstsecond", "/": None}
    for path, body in [*expected.items()] * 3:
        for method in ("GET", "HEAD"):
            connection.request(method, path)
            answer = connection.getresponse()
            got = answer.read()
            assert answer.status == (204 if path == "/nothing" else 200)
            assert got == b"" if method == "HEAD" else body is None or got == body, path


def test_the_first_part_of_a_body_is_not_kept_until_the_second(server: tuple[object, int]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=20)
    connection.request("GET", "/parts")
    began = time.monotonic()
    answer = connection.getresponse()
    assert answer.read(5) == b"first" and time.monotonic() - began < 0.25
    assert answer.read() == b"second"


def test_who_waits_for_leave_to_send_a_body_gets_it(server: tuple[object, int]) -> None:
    with socket.create_connection(("127.0.0.1", server[1]), timeout=20) as raw:
        raw.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 100")
        raw.sendall(b"ok")
        got = b""
        while not got.endswith(b"\r\n\r\nok"):
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
