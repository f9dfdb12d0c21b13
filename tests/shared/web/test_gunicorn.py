"""Serving: a taken port is said before anything starts."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from shared.web.gunicorn import gunicorn_line, why_not


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_a_taken_port_is_said_with_the_variable_to_set(taken: int) -> None:
    sentence = why_not("127.0.0.1", taken, "PYTHON_PORT")
    assert sentence is not None
    assert str(taken) in sentence
    assert "PYTHON_PORT" in sentence


def test_a_free_port_is_free_and_stays_so() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert why_not("127.0.0.1", port, "PORT") is None
    assert why_not("127.0.0.1", port, "PORT") is None


def test_an_address_of_another_machine_is_said() -> None:
    sentence = why_not("192.0.2.1", 5000, "PORT")
    assert sentence is not None
    assert "192.0.2.1" in sentence


def test_one_worker_process_serves_with_threads() -> None:
    line = gunicorn_line("gateway.app:create_app", host="127.0.0.1", port=5000, threads=16, reload=False)
    assert line[line.index("--workers") + 1] == "1"
    assert line[line.index("--threads") + 1] == "16"
    assert line[line.index("--bind") + 1] == "127.0.0.1:5000"
    assert "gateway.app:create_app()" in line
    assert "--reload" not in line
    assert gunicorn_line("a:b", host="h", port=1, threads=1, reload=True)[-1] == "--reload"
