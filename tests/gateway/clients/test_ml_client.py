"""The ML client: whatever goes wrong on the way comes out as one of our errors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from gateway.clients import ml_client
from gateway.clients.call_places import CallPlaces
from gateway.clients.coalescing import RequestCoalescer
from gateway.clients.ml_client import MLClient
from gateway.clients.recent_answers import RecentAnswers
from shared.contracts.api import ARROW_TYPE, PredictRequest
from shared.errors import (
    InsufficientData,
    InvalidInput,
    ModelUnavailable,
    NoModel,
    NotFound,
    ServiceError,
    ServiceUnavailable,
)
from shared.web.error_responses import STATUS_OF
from tests.stack import free_port
from tests.world import NOBODY

FEW = PredictRequest(model_version="2.4.1", columns={"x": [1.0]})
LINES = [{"progress": 0.5, "stage": "fitting"}, {"report": {"auc": 0.8}}]


def ndjson(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def body_of(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"success": False, "message": message, "error": {"code": code, "request_id": "r", **more}}


# --- a real server ---------------------------------------------------------------------------------------------------


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drain(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            body += self.rfile.read(size + 2)[:-2]
        self.rfile.readline()
        return body


class _Server:
    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # callers who leave are meant to
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> _Server:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Asked:
    path: str
    headers: Mapping[str, str]
    body: bytes


class _Same(_Quiet):
    """The same answer to everything."""

    status: int
    body: bytes
    asked: list[Asked]
    url: str

    def do_GET(self) -> None:
        self.asked.append(Asked(self.path, dict(self.headers), self.drain()))
        self.answer(self.status, self.body)

    do_POST = do_GET


@contextmanager
def answering(status: int, body: bytes | dict[str, Any]) -> Iterator[tuple[MLClient, type[_Same]]]:
    """A client of a real server that always answers so, and what that server was asked."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler = type("Same", (_Same,), {"status": status, "body": raw, "asked": []})
    with _Server(handler) as server:
        handler.url = server.url
        yield MLClient(server.url, "a token"), handler


# --- what is sent ---------------------------------------------------------------------------------------------------


def test_every_request_carries_the_token_the_request_id_and_its_own_content_type() -> None:
    with answering(200, ndjson(*LINES)) as (client, server):
        client.score_columns(b"rows", "2.4.1", request_id="r-1")
        list(client.train([b"a", b"b"], request_id="r-2"))
    score, train = server.asked
    assert {score.headers["Authorization"], train.headers["Authorization"]} == {"Bearer a token"}
    assert (score.headers["X-Request-ID"], train.headers["X-Request-ID"]) == ("r-1", "r-2")
    assert (score.path, score.body) == ("/api/predict?model_version=2.4.1", b"rows")
    assert (train.path, train.body) == ("/api/train", b"ab")
    assert {each.headers["Content-Type"] for each in server.asked} == {ARROW_TYPE}


def test_a_path_of_the_address_stands_before_every_path() -> None:
    with answering(200, b'{"status": "OK"}') as (_, server):
        MLClient(f"{server.url}/inner/", "t").health()
    assert server.asked[0].path == "/inner/api/health"


def test_versions_are_those_on_disk_verified_or_not() -> None:
    found = [{"model_version": "2.4.2", "verified": True}, {"model_version": "2.4.1", "verified": False}]
    with answering(200, {"newest": "2.4.2", "models": found}) as (client, _):
        assert client.versions() == ["2.4.2", "2.4.1"]


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    with answering(200, b'{"status": "OK"}') as (client, _):
        assert client.health() == {"status": "OK"}


def test_one_connection_serves_one_request_after_the_other_until_the_server_closes_it() -> None:
    class Counted(_Same):
        status, body, asked, ports, closes = 200, b'{"status": "OK"}', [], set(), False

        def do_GET(self) -> None:
            self.ports.add(self.client_address)
            super().do_GET()
            self.close_connection = self.closes

    with _Server(Counted) as server:
        client = MLClient(server.url, "t")
        for _ in range(3):
            client.health()
        assert len(Counted.ports) == 1
        Counted.closes = True
        for _ in range(3):
            client.health()
            time.sleep(0.05)
    assert len(Counted.asked) == 6


def test_a_server_that_is_about_to_listen_is_waited_for() -> None:
    port = free_port()

    def late() -> None:
        time.sleep(0.1)
        handler = type("Same", (_Same,), {"status": 200, "body": b'{"status": "OK"}', "asked": []})
        ThreadingHTTPServer(("127.0.0.1", port), handler).handle_request()

    threading.Thread(target=late, daemon=True).start()
    assert MLClient(f"http://127.0.0.1:{port}", "t").health() == {"status": "OK"}


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [lambda c: c.health(), lambda c: c.versions(), lambda c: c.score_few(FEW)])
def test_nobody_listening_is_unavailable(ask: Callable[[MLClient], Any]) -> None:
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        ask(MLClient(f"http://127.0.0.1:{free_port()}", "t"))


def test_nobody_listening_is_unavailable_for_a_training_too() -> None:
    with pytest.raises(ServiceUnavailable, match="does not answer"):
        list(MLClient(NOBODY, "t").train([b"x"]))


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_is_said_to_differ_between_the_two(status: int) -> None:
    code = {401: "unauthenticated", 403: "token_rejected"}[status]
    refused = answering(status, body_of(code, "Invalid or expired token"))
    with refused as (client, _), pytest.raises(ServiceUnavailable, match="ML_SERVICE_TOKEN differs"):
        client.versions()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("no_model", NoModel),
        ("not_found", NotFound),
        ("validation_failed", InvalidInput),
        ("service_error", ServiceError),
    ],
)
def test_an_error_of_the_service_is_raised_as_what_it_was(code: str, kind: type[ServiceError]) -> None:
    details = [{"field": "x", "message": "wrong"}]
    body = body_of(code, "So it is.", details=details)
    with answering(422, body) as (client, _), pytest.raises(kind, match="So it is") as caught:
        client.versions()
    assert caught.value.details == details


def test_an_error_with_a_code_we_do_not_know_is_unavailable() -> None:
    body = body_of("teapot", "Short and stout.")
    with answering(418, body) as (client, _), pytest.raises(ServiceUnavailable, match="Short and stout"):
        client.score_few(FEW)


def test_a_failure_inside_the_service_points_to_its_log() -> None:
    body = body_of("internal", "Something went wrong here.")
    with answering(500, body) as (client, _), pytest.raises(ServiceUnavailable, match="search its log"):
        client.score_few(FEW)


@pytest.mark.parametrize("status", [400, 404, 500, 502])
@pytest.mark.parametrize("body", [b"<html>nginx</html>", b"", b"[]", b'"x"', b"null", b'{"message": "x"}', b"\xff\xfe",
                                  b'{"message": "x", "error": "text"}', b'{"message": "x", "error": {}}'])  # fmt: skip
def test_an_error_page_of_somebody_else_names_the_setting_to_check(status: int, body: bytes) -> None:
    with answering(status, body) as (client, _), pytest.raises(ServiceUnavailable, match="PYTHON_SERVICE_URL"):
        client.versions()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b"{}", b'{"models": 1}', b'{"models": [{}]}'])
@pytest.mark.parametrize("ask", [MLClient.versions, lambda c: c.score_few(FEW)])
def test_a_cheerful_answer_that_is_garbage_is_unavailable_too(body: bytes, ask: Callable[[MLClient], Any]) -> None:
    with answering(200, body) as (client, _), pytest.raises(ServiceUnavailable, match="PYTHON_SERVICE_URL"):
        ask(client)


def test_no_redirect_of_the_ml_service_is_followed() -> None:
    class Elsewhere(_Quiet):
        asked: ClassVar[list[str]] = []

        def do_GET(self) -> None:
            self.asked.append(self.path)
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with _Server(Elsewhere) as server, pytest.raises(ServiceUnavailable):
        MLClient(server.url, "a token").versions()
    assert Elsewhere.asked and "/elsewhere" not in Elsewhere.asked


def test_a_page_where_health_should_be_is_unavailable() -> None:
    with answering(200, b"<html>hello</html>") as (client, _), pytest.raises(ServiceUnavailable):
        client.health()


# --- requests coalesced ---------------------------------------------------------------------------------------------


class _Scorer(BaseHTTPRequestHandler):
    """Answers each row with its own value; slowly, so that others gather. 7 is a wrong value, 8 an outage."""

    calls: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.calls.append(asked)
        time.sleep(0.03)
        values = asked["columns"]["x"]
        if 7.0 in values:
            return self._answer(422, body_of("validation_failed", f"row {values.index(7.0)} is wrong"))
        if 8.0 in values:
            return self._answer(503, body_of("service_unavailable", "gone"))
        rows = [
            {"churn_probability": v / 1000, "confidence": 1.0, "label": 0, "out_of_fold": False, "margin": v,
             "reasons": [], "other_points": 0.0,
             "warnings": [{"feature": "x", "kind": "unknown", "value": "9", "known_as": None}] if v == 9.0 else []}
            for v in values
        ]  # fmt: skip
        about = {"model_version": asked["model_version"], "threshold": 0.5, "base_probability": 0.1, "base_margin": 0.0}
        return self._answer(200, {**about, "predictions": rows})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        pass


def asked_at_once(requests_: list[PredictRequest]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Each request from a thread of its own: answers or failures, and the calls that were made."""
    _Scorer.calls.clear()
    with _Server(_Scorer) as server:
        client = MLClient(server.url, "t")

        def ask(request: PredictRequest) -> Any:
            try:
                return client.score_few(request)
            except ServiceError as error:
                return error

        with ThreadPoolExecutor(len(requests_)) as pool:
            return list(pool.map(ask, requests_)), list(_Scorer.calls)


def one(value: float, *, version: str = "2.4.1", **more: Any) -> PredictRequest:
    return PredictRequest(model_version=version, columns={"x": [value]}, **more)


def test_those_who_ask_at_once_share_calls_and_get_their_own_rows() -> None:
    asked = [PredictRequest(model_version="2.4.1", columns={"x": [10.0 + k] * (1 + k % 3)}) for k in range(24)]
    answers, calls = asked_at_once(asked)
    assert [[p.margin for p in answer.predictions] for answer in answers] == [each.columns["x"] for each in asked]
    assert len(calls) < 12


def test_versions_and_ways_of_asking_never_share_a_call() -> None:
    asked = [one(10.0 + k, version=f"2.4.{k % 2}", row_keys=[k] if k % 3 else None) for k in range(18)]
    answers, calls = asked_at_once(asked)
    assert [answer.model_version for answer in answers] == [each.model_version for each in asked]
    assert all(answer.predictions[0].margin == 10.0 + k for k, answer in enumerate(answers))
    for call in calls:
        values = call["columns"]["x"]
        assert {f"2.4.{int(v) % 2}" for v in values} == {call["model_version"]}
        keys = [int(v) - 10 for v in values]
        assert call["row_keys"] == (keys if call["row_keys"] is not None else None)


def test_a_wrong_value_fails_its_own_request_only_and_names_its_own_row() -> None:
    answers, _ = asked_at_once([one(7.0 if k == 5 else 10.0 + k) for k in range(12)])
    assert isinstance(answers[5], InvalidInput) and "row 0" in answers[5].message
    assert all(answer.predictions[0].margin == 10.0 + k for k, answer in enumerate(answers) if k != 5)


def test_an_outage_reaches_everybody_who_was_on_board_as_an_error_of_their_own() -> None:
    answers, _ = asked_at_once([one(8.0)] * 6)
    assert all(isinstance(answer, ServiceUnavailable) for answer in answers)
    assert len({id(answer) for answer in answers}) == 6


def test_warnings_reach_whoever_sent_the_row_and_nobody_else() -> None:
    answers, calls = asked_at_once([one(9.0 if k == 3 else 10.0 + k) for k in range(10)])
    assert [len(answer.predictions[0].warnings) for answer in answers] == [int(k == 3) for k in range(10)]
    assert len(calls) < 10


def test_ragged_columns_never_shift_the_rows_of_others() -> None:
    ragged = [
        PredictRequest(model_version="2.4.1", columns={"x": [1.0, 2.0][:n], "y": [1.0, 2.0][: 3 - n]}) for n in (1, 2)
    ]
    _, calls = asked_at_once(ragged * 4)
    assert all(len(call["columns"]["x"]) + len(call["columns"]["y"]) == 3 for call in calls)


# --- a model that is gone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["not_found", "no_model", "corrupt_model"])
@pytest.mark.parametrize("ask", [lambda c: c.score_few(FEW), lambda c: c.score_columns(b"rows", "2.4.1")])
def test_a_score_by_a_model_that_is_gone_is_no_unknown_customer(code: str, ask: Callable[[MLClient], Any]) -> None:
    gone = answering(500 if code == "corrupt_model" else 404, body_of(code, "There is no model 2.4.1 on disk."))
    with gone as (client, _), pytest.raises(ModelUnavailable, match="no model") as caught:
        ask(client)
    assert STATUS_OF[caught.value.code] == 503


def test_a_model_is_intact_only_where_the_service_has_just_verified_it() -> None:
    with answering(200, {"verified": True, "problem": None}) as (client, server):
        client.require_intact("2.4.1")
    assert server.asked[0].path == "/api/models/2.4.1"
    with (
        answering(200, {"verified": False, "problem": "model.ubj differs"}) as (client, _),
        pytest.raises(ModelUnavailable, match=r"model\.ubj"),
    ):
        client.require_intact("2.4.1")
    with answering(404, body_of("not_found", "There is no model.")) as (client, _), pytest.raises(ModelUnavailable):
        client.require_intact("2.4.1")


# --- a service that hangs -------------------------------------------------------------------------------------------


def test_who_finds_no_place_is_told_so_at_once_when_none_has_come_back_for_a_moment() -> None:
    places, entered, leave = CallPlaces(2), threading.Barrier(3), threading.Event()

    def hang() -> None:
        with places:
            entered.wait(5)
            leave.wait(5)

    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(hang) for _ in range(2)]
        entered.wait(5)
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable), places:
            pass
        first, began = time.monotonic() - began, time.monotonic()
        with pytest.raises(ServiceUnavailable) as caught, places:
            pass
        again = time.monotonic() - began
        leave.set()
        for each in held:
            each.result()
    assert first < 1 and again < 0.05 and caught.value.retry_after_s
    with places:
        pass


def test_while_places_are_given_back_nobody_is_refused() -> None:
    places = CallPlaces(2)

    def ask(_: int) -> None:
        with places:
            time.sleep(0.02)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(ask, range(80)))


def test_riders_fail_with_the_call_that_they_wait_for() -> None:
    calls, begun, end = [], threading.Event(), threading.Event()

    def send(items: Sequence[int]) -> list[int | None]:
        calls.append(list(items))
        begun.set()
        end.wait(5)
        raise ServiceUnavailable("nobody there")

    coalescer: RequestCoalescer[int, int] = RequestCoalescer(send, max_batch=4)

    def ask(item: int) -> str:
        with pytest.raises(ServiceUnavailable) as caught:
            coalescer.submit("key", item)
        return caught.value.message

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(ask, 0)
        begun.wait(5)
        others = [pool.submit(ask, k) for k in range(1, 12)]
        while len(coalescer._queues["key"]) < 11:
            time.sleep(0.001)
        end.set()
        assert {each.result(5) for each in (first, *others)} == {"nobody there"}
    assert calls == [[0]]


def test_many_who_ask_how_the_service_is_cost_it_one_call() -> None:
    asked, answers = [], RecentAnswers[int](life_s=60)

    def ask() -> int:
        asked.append(1)
        return len(asked)

    assert [answers.get("q", ask) for _ in range(5)] == [1] * 5
    assert answers.get("another", ask) == 2


# --- training lines -------------------------------------------------------------------------------------------------


def test_lines_come_one_by_one_and_end_with_the_report() -> None:
    with answering(200, ndjson(*LINES) + b"\n" + ndjson({"never": "read"})) as (client, _):
        assert list(client.train([b"x"])) == LINES


def test_an_error_line_is_raised_as_what_it_was() -> None:
    error = {"code": "insufficient_data", "message": "Too few leavers.", "details": []}
    with answering(200, ndjson(LINES[0], {"error": error})) as (client, _):
        lines = client.train([b"x"])
        assert next(lines) == LINES[0]
        with pytest.raises(InsufficientData, match="Too few leavers"):
            next(lines)


@pytest.mark.parametrize(
    "body",
    [b"", ndjson(LINES[0]), ndjson(LINES[0]) + b'{"report": {"au', b"<html>", ndjson(LINES[0]) + b"[1]\n",
     ndjson({"error": "text"}), ndjson({"error": {}})],
)  # fmt: skip
def test_lines_that_end_early_or_are_garbage_are_unavailable(body: bytes) -> None:
    with answering(200, body) as (client, _), pytest.raises(ServiceUnavailable):
        list(client.train([b"x"]))


def test_a_refused_training_is_raised_as_what_it_was() -> None:
    refused = answering(422, body_of("insufficient_data", "Too few rows."))
    with refused as (client, _), pytest.raises(InsufficientData, match="Too few rows"):
        list(client.train([b"x"]))


def test_what_goes_wrong_while_the_snapshot_is_read_comes_out_as_it_is() -> None:
    def snapshot() -> Iterator[bytes]:
        yield b"begin"
        raise InsufficientData("Nothing has matured.")

    with _Server(_Slow) as server, pytest.raises(InsufficientData, match="matured"):
        list(MLClient(server.url, "t").train(snapshot()))


# --- time, breaker, threads, closing -----------------------------------------------------------------


class _Slow(_Quiet):
    """Half a second for every score."""

    def do_POST(self) -> None:
        self.drain()
        time.sleep(0.5)
        self.answer(200, b"arrow")


class _Moody(_Quiet):
    """Fails while told to."""

    fails = True
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        if type(self).fails:
            self.answer(500, json.dumps(body_of("internal", "no")).encode())
        else:
            self.answer(200, b'{"status": "OK"}')


class _Endless(_Quiet):
    """A training that never ends, and notices when its caller goes."""

    gone = threading.Event()

    def do_POST(self) -> None:
        self.drain()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = ndjson({"progress": 0.1, "stage": "fitting"})
        try:
            for _ in range(500):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            self.gone.set()
        self.close_connection = True


class _Cut(_Quiet):
    """A training whose connection breaks in the middle of a line."""

    def do_POST(self) -> None:
        self.drain()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        line = ndjson(LINES[0]) + b'{"rep'
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.close_connection = True


def test_eight_threads_are_served_at_once_and_not_one_after_the_other() -> None:
    with _Server(_Slow) as server, ThreadPoolExecutor(8) as threads:
        client = MLClient(server.url, "t")
        began = time.monotonic()
        answers = list(threads.map(lambda _: client.score_columns(b"x", "2.4.1"), range(8)))
        took = time.monotonic() - began
    assert answers == [b"arrow"] * 8
    assert took < 2.4, f"{took:.1f} s for eight requests of half a second: they waited for each other"


def test_an_answer_that_takes_too_long_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    with _Server(_Slow) as server:
        client = MLClient(server.url, "t")
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            client._send("POST", "/api/predict", b"x", read_timeout_s=0.1)
        assert time.monotonic() - began < 1.5
    monkeypatch.setattr(ml_client, "TRAIN_LINE_TIMEOUT_S", 0.1)
    with _Server(_Slow) as server, pytest.raises(ServiceUnavailable):
        list(MLClient(server.url, "t").train([b"x"]))


def test_after_five_failures_nobody_is_asked_and_after_a_pause_all_is_well_again() -> None:
    class Moody(_Moody):
        pass

    with _Server(Moody) as server:
        client = MLClient(server.url, "t")
        for _ in range(9):
            with pytest.raises(ServiceUnavailable):
                client.health()
        assert Moody.asked == 5, "the breaker is open: the service is left in peace"
        Moody.fails = False
        client._breaker.reset_timeout = 0.05
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                assert client.health() == {"status": "OK"}
                break
            except ServiceUnavailable:
                time.sleep(0.05)
        assert client.health() == {"status": "OK"}


def test_answers_that_are_the_callers_fault_do_not_open_the_breaker() -> None:
    with answering(422, body_of("validation_failed", "no")) as (client, server):
        for _ in range(12):
            with pytest.raises(InvalidInput):
                client.score_few(FEW)
    assert len(server.asked) == 12


def test_the_sentence_about_a_wrong_token_stays_however_often_one_asks() -> None:
    with answering(403, body_of("token_rejected", "Invalid or expired token")) as (client, _):
        for _ in range(8):
            with pytest.raises(ServiceUnavailable, match="ML_SERVICE_TOKEN differs"):
                client.versions()


def test_closing_the_lines_closes_the_connection() -> None:
    _Endless.gone.clear()
    with _Server(_Endless) as server:
        lines = MLClient(server.url, "t").train([b"x"])
        assert next(lines) == {"progress": 0.1, "stage": "fitting"}
        lines.close()
        assert _Endless.gone.wait(5), "the service still writes to somebody who has left"


def test_a_connection_that_breaks_within_a_line_is_unavailable() -> None:
    with _Server(_Cut) as server:
        lines = MLClient(server.url, "t").train([b"x"])
        with pytest.raises(ServiceUnavailable):
            list(lines)
