"""The service as it runs: gunicorn, a real socket, real connections that break."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ml_service.data.simulated import simulated
from shared.contracts.api import ARROW_TYPE, NDJSON_TYPE
from tests import prefork
from tests.ml_service.conftest import DATED, SLOW_S, TOKEN, UNDATED, as_stream

ROOT = Path(__file__).parents[3]
#: One process of pytest runs them all, over one service.
pytestmark = pytest.mark.xdist_group("ml_serving")
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": ARROW_TYPE, "Accept": NDJSON_TYPE}


@contextmanager
def serving(models: Path, log_file: Path) -> Iterator[int]:
    """The service on a free port, over a folder of models."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    environment = {
        **os.environ,
        "PYTHON_PORT": str(number),
        "ML_MODEL_PATH": str(models),
        "ML_SERVICE_TOKEN": TOKEN,
        "APP_ENV": "test",
        "ML_THREADS": "1",
    }
    server = prefork.start("ml_service", folder=ROOT, env=environment, out=log_file)
    try:
        until(lambda: answers(number), 30)
        yield number
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, saved_models: Path) -> Path:
    return Path(shutil.copytree(saved_models, tmp_path_factory.mktemp("serving") / "models"))


@pytest.fixture(scope="module")
def port(models: Path) -> Iterator[int]:
    """One service for the tests of this file, which leave it as able as they found it."""
    with serving(models, models.parent / "log") as number:
        yield number


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/api/health")[0] == 200
    except OSError:
        return False


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, HEADERS)
    response = connection.getresponse()
    content = response.status, response.read()
    connection.close()
    return content


def until(condition: object, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def test_a_caller_who_hangs_up_ends_the_training_and_scoring_goes_on_meanwhile(port: int, models: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/api/train", as_stream(simulated(customers=500).snapshot, trials=40), HEADERS)
    response = connection.getresponse()
    assert response.status == 200 and "progress" in json.loads(response.readline())
    started = time.monotonic()
    assert ask(port, "GET", "/api/features")[0] == 200
    assert time.monotonic() - started < 2
    assert ask(port, "POST", "/api/train", as_stream(simulated(customers=500).snapshot))[0] == 409
    assert connection.sock is not None or response.fp is not None
    response.close()
    connection.close()
    until(lambda: sorted(path.name for path in models.iterdir()) == [DATED, UNDATED], 15)
    until(lambda: ask(port, "GET", "/api/models")[0] == 200, 5)


def test_a_body_that_breaks_off_or_is_no_http_hurts_nobody(port: int) -> None:
    head = f"POST /api/predict HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: {ARROW_TYPE}\r\n".encode()
    for rest in (
        b"Content-Length: 100\r\n\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: many\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
            raw.sendall(head + rest)
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(65536)
        assert not answer.startswith(b"HTTP/1.1 5"), (rest, answer)
    assert answers(port)


def test_a_stream_in_chunks_is_read_as_one(port: int) -> None:
    body = as_stream(simulated(customers=20).snapshot)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    pieces = (body[i : i + 5000] for i in range(0, len(body), 5000))
    connection.request("POST", f"/api/predict?model_version={DATED}", pieces, HEADERS, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.slow
@pytest.mark.timeout(SLOW_S)
def test_without_a_body_it_trains_on_the_simulated_subscribers(registry_folder: Path) -> None:
    with serving(registry_folder, registry_folder.parent / "log") as port:
        trains_on_the_simulated_subscribers(port)


def trains_on_the_simulated_subscribers(port: int) -> None:
    for body, version in ((None, "3.0.1"), (b"", "3.0.2")):
        status, answer = ask(port, "POST", "/api/train", body)
        report = json.loads(answer.splitlines()[-1])["report"]
        assert (status, report["model_version"], report["training_samples"]) == (200, version, 120_000)
