"""Whatever a client sends: never a 500, always the one error body, nothing told that is nobody's business."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import Role, Settings
from shared.clock import utc_now
from tests.stack import DEMO_EMAIL, LEAKS, PASSWORD, SECRET, Stack, fits, is_failure
from tests.world import World, open_world

pytestmark = pytest.mark.xdist_group("bad-input")
JSON = "application/json"
ROLES: tuple[Role, ...] = ("viewer", "analyst", "admin")


@pytest.fixture(scope="module")
def demo(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The demo's data, a worker, and an ML service that is away."""
    folder = Path(shutil.copytree(template / "database", tmp_path_factory.mktemp("demo") / "database"))
    world = open_world(folder / "retainstream.db")
    with world.working():
        yield world


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Nothing at all: no customers, no model."""
    world = open_world(tmp_path_factory.mktemp("empty") / "retainstream.db")
    with world.working():
        yield world


# --- bodies ---------------------------------------------------------------------------------------------------------

WITH_BODY = (
    "/api/auth/login",
    "/api/dashboard/predict",
    "/api/predictions/generate",
    "/api/predictions/score",
    "/api/predictions/what-if",
    "/api/model/train",
    "/api/customers/segment",
)


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"a":}',
        "{'a': 1}",
        "undefined",
        '{"sample_size": NaN}',
        '{"sample_size": Infinity}',
        '{"sample_size": -Infinity}',
        "\x00",
        '{"a": 1}{"b": 2}',
        '{"email": "\\ud800"}',
        "[" * 5000,
    ],
    ids=["cut", "no value", "quotes", "word", "NaN", "Infinity", "-Infinity", "null byte", "two", "surrogate", "deep"],
)
def test_a_body_that_is_no_json_is_400(demo: World, path: str, body: str) -> None:
    answer = demo.ask("POST", path, data=body.encode("utf-8", "surrogatepass"), content_type=JSON)
    is_failure(answer, 400, "malformed_request")


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("body", ["[]", '"text"', "7", "null", "true", "[{}]"])
def test_json_that_is_no_object_is_422(demo: World, path: str, body: str) -> None:
    said = is_failure(demo.ask("POST", path, data=body, content_type=JSON), 422, "validation_failed")
    fits(said["error"]["details"], [{"field": str, "message": str}], "details")


@pytest.mark.parametrize("path", WITH_BODY)
def test_bytes_that_are_no_text_are_400(demo: World, path: str) -> None:
    is_failure(demo.ask("POST", path, data=b'{"email": "\xff\xfe"}', content_type=JSON), 400, "malformed_request")


@pytest.mark.parametrize("path", WITH_BODY)
@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "nonsense", "text/json; x"])
def test_another_content_type_is_415(demo: World, path: str, kind: str) -> None:
    is_failure(demo.ask("POST", path, data="<a/>", content_type=kind), 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/api/dashboard/predict", "/api/predictions/generate"])
@pytest.mark.parametrize("name", ["sample_size", "sampleSize"])
@pytest.mark.parametrize(
    "value", ["10", 1.5, 10.0, True, False, [], [10], {}, 0, -1, -(10**18), 10**9, 10**30, "", "NaN"]
)
def test_a_sample_size_that_is_none_is_422_and_named(demo: World, path: str, name: str, value: Any) -> None:
    jobs = demo.ask("GET", "/api/jobs").get_json()["data"]["jobs"][0]["id"]
    body = json.dumps({name: value})
    said = is_failure(demo.ask("POST", path, data=body, content_type=JSON), 422, "validation_failed")
    assert [each["field"] for each in said["error"]["details"]] == [name]
    assert demo.ask("GET", "/api/jobs").get_json()["data"]["jobs"][0]["id"] == jobs, "nothing was queued"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/auth/login", {"email": DEMO_EMAIL, "password": "password", "remember": True}),
        ("/api/customers/segment", {"field": "plan", "nested": {"a": [1]}}),
    ],
)
def test_old_routes_ignore_fields_they_do_not_know(demo: World, path: str, body: Any) -> None:
    assert demo.ask("POST", path, json=body).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "role"),
    [
        ("/api/predictions/score", {"customer_id": "usr_942183", "explain": True}, "analyst"),
        ("/api/predictions/what-if", {"customer_id": "usr_942183", "changes": {"device_count": 1}, "x": 1}, "analyst"),
        ("/api/model/rollback", {"reason": "why", "version": "2.4.1"}, "admin"),
        ("/api/model/promote", {"version": "2.4.1", "reason": "why", "quietly": True}, "admin"),
        ("/api/users", {"email": "a@b.de", "password": PASSWORD, "name": "A", "role": "viewer", "is": 1}, "admin"),
        ("/api/auth/logout", {"all": True}, "viewer"),
    ],
)
def test_our_own_routes_refuse_fields_they_do_not_know(demo: World, path: str, body: Any, role: str) -> None:
    is_failure(demo.ask("POST", path, role, json=body), 422, "validation_failed")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"customer_id": None},
        {"customer_id": "usr_942183", "features": {}},
        {"customer_id": 942183},
        {"customer_id": ""},
        {"customer_id": "x" * 201},
        {"features": []},
        {"features": {"no_such_feature": 1}},
        {"features": {"watch_time_hours": [1]}},
        {"features": {"plan": {"a": 1}}},
    ],
)
def test_a_score_of_nobody_is_422(demo: World, body: Any) -> None:
    is_failure(demo.ask("POST", "/api/predictions/score", json=body), 422, "validation_failed")


@pytest.mark.parametrize(
    "changes",
    [{}, None, [], {"tenure_months": 3}, {"no_such": 1}, {"plan": "Standard"}, {"device_count": [1]}, "device_count"],
)
def test_a_what_if_that_cannot_be_is_422(demo: World, changes: Any) -> None:
    body = {"customer_id": "usr_942183", "changes": changes}
    is_failure(demo.ask("POST", "/api/predictions/what-if", json=body), 422, "validation_failed")


@pytest.mark.parametrize("field", ["email", "password", "name"])
@pytest.mark.parametrize("value", [None, 1, True, [], {}, "", " ", "\x00", "x" * 5000])
def test_registering_with_anything_else_is_422_and_never_repeated(demo: World, field: str, value: Any) -> None:
    body = {"email": "fine@example.com", "password": PASSWORD, "name": "Fine", field: value}
    answer = demo.ask("POST", "/api/auth/register", json=body)
    said = is_failure(answer, 422, "validation_failed")
    assert {each["field"] for each in said["error"]["details"]} == {field}
    assert PASSWORD not in answer.text
    assert "x" * 100 not in answer.text


# --- sizes ----------------------------------------------------------------------------------------------------------


def test_a_body_that_is_too_large_is_413(demo: World) -> None:
    body = b'{"a": "' + b"x" * (1024 * 1024 + 10) + b'"}'
    for path in WITH_BODY:
        is_failure(demo.ask("POST", path, data=body, content_type=JSON), 413, "too_large")


def test_the_limit_of_uploads_is_the_configured_one(tmp_path: Path) -> None:
    gateway = open_world(tmp_path / "small.db", MAX_UPLOAD_MB=1)
    assert gateway.app.config["MAX_CONTENT_LENGTH"] == 1024 * 1024
    body = b"x" * (1024 * 1024 + 10)
    is_failure(gateway.ask("POST", "/api/dashboard/predict", data=body, content_type=JSON), 413, "too_large")


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=abc",
        "page=1.5",
        "page=",
        "page=1e3",
        "page=null",
        "page=99999999999999999999",
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=1000000000",
        "limit=abc",
        "page=1&limit=",
        "page=%00",
        "page=1;limit=2",
    ],
)
def test_paging_that_cannot_be_is_422(demo: World, query: str) -> None:
    said = is_failure(demo.ask("GET", f"/api/customers/high-risk?{query}"), 422, "validation_failed")
    assert {each["field"] for each in said["error"]["details"]} <= {"page", "limit"}


def test_a_page_behind_the_last_is_empty(demo: World) -> None:
    answer = demo.ask("GET", "/api/customers/high-risk?page=1000000&limit=100")
    assert answer.status_code == 200
    assert answer.get_json()["data"]["customers"] == []


ODD_IDS = [
    "' OR '1'='1",
    "usr_942183'--",
    '"; DROP TABLE customers; --',
    "%",
    "_",
    "usr_%",
    "usr_94218_",
    "%25",
    "\x00",
    "usr_942183\x00",
    "ünïcödé-客户-🙂",
    "x" * 2000,
    "..",
    "a b",
    "<script>alert(1)</script>",
    "USR_942183",
    " usr_942183",
    "\\",
    "\u202e",
]


@pytest.mark.parametrize("user_id", ODD_IDS, ids=range(len(ODD_IDS)))
def test_an_odd_id_is_an_unknown_customer(demo: World, user_id: str) -> None:
    for path in ("", "/actions"):
        answer = demo.ask("GET", f"/api/customers/{quote(user_id, safe='')}{path}")
        said = is_failure(answer, 404, "not_found")
        assert said["message"] in ("Customer not found", "Route not found")
    body = {"customer_id": user_id}
    is_failure(demo.ask("POST", "/api/predictions/score", json=body), 404 if len(user_id) <= 200 else 422)


def test_bytes_that_are_no_text_in_an_address_are_an_unknown_customer(demo: World) -> None:
    is_failure(demo.ask("GET", "/api/customers/%ff%fe"), 404, "not_found")
    assert demo.ask("GET", "/api/customers?q=%ff%fe").status_code == 200


@pytest.mark.parametrize("q", ["%25", "_", "%25%25%25", "usr_%25", "us_", "\\", "%27", "%22", "usr%5C", "*", "[a-z]"])
def test_wildcards_of_sql_are_letters(demo: World, q: str) -> None:
    found = demo.ask("GET", f"/api/customers?q={q}").get_json()["data"]["customers"]
    assert found == []


@pytest.mark.parametrize("q", ["usr_9", "usr_942183", "USR_942183@EXAMPLE.COM"])
def test_a_search_finds_ids_and_addresses_that_begin_so(demo: World, q: str) -> None:
    found = demo.ask("GET", f"/api/customers?q={q}&limit=100").get_json()["data"]["customers"]
    assert "usr_942183" in [each["user_id"] for each in found]


@pytest.mark.parametrize("q", ["", "x" * 201])
def test_a_search_that_is_empty_or_endless_is_422(demo: World, q: str) -> None:
    is_failure(demo.ask("GET", f"/api/customers?q={q}"), 422)


@pytest.mark.parametrize(
    "after",
    [
        "x",
        ":",
        "0.5",
        "0.5:",
        ":5",
        "nan:1",
        "inf:1",
        "-inf:1",
        "-1:1",
        "2:1",
        "0.5:-1",
        "0.5:1.5",
        "0.5:99999999999999999999",
        "0.5:" + "9" * 190,
        "%00:1",
        "1" * 201,
        "0.5:1:2",
    ],
)
def test_a_position_that_is_none_is_422(demo: World, after: str) -> None:
    said = is_failure(demo.ask("GET", f"/api/customers?after={after}"), 422, "validation_failed")
    assert [each["field"] for each in said["error"]["details"]] == ["after"]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "%00", "²", "1" * 201])
def test_a_position_in_jobs_and_users_that_is_none_is_422(demo: World, after: str) -> None:
    is_failure(demo.ask("GET", f"/api/jobs?after={after}"), 422)
    is_failure(demo.ask("GET", f"/api/users?after={after}", "admin"), 422)


@pytest.mark.parametrize("number", ["0", "99999999999", "9223372036854775807", "9223372036854775808", "9" * 50])
def test_a_job_by_any_number_is_told(demo: World, number: str) -> None:
    for method in ("GET", "DELETE"):
        answer = demo.ask(method, f"/api/jobs/{number}")
        assert answer.status_code in (404, 422)
        is_failure(answer)


@pytest.mark.parametrize("path", ["/api/jobs/abc", "/api/jobs/-1", "/api/jobs/1.5", "/api/nothing", "/nothing", "/api"])
def test_an_unknown_path_is_404(demo: World, path: str) -> None:
    said = is_failure(demo.ask("GET", path), 404, "not_found")
    assert said["message"] == "Route not found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/auth/login", {"OPTIONS", "POST"}),
        ("PUT", "/api/model/train", {"OPTIONS", "POST"}),
        ("DELETE", "/api/dashboard/metrics", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/api/customers/usr_942183", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/api/health", {"GET", "HEAD", "OPTIONS"}),
        ("INVENTED", "/api/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_an_unknown_method_is_405_and_says_which_are_known(
    demo: World, method: str, path: str, allowed: set[str]
) -> None:
    answer = demo.ask(method, path)
    is_failure(answer, 405, "method_not_allowed")
    assert {name.strip() for name in answer.headers["Allow"].split(",")} == allowed


def test_invented_methods_leave_no_trace_in_the_metrics(demo: World) -> None:
    """A label whose values a client chooses grows without end."""
    for k in range(5):
        demo.ask(f"INVENTED{k}", "/api/health")
        demo.ask("GET", f"/invented-{k}")
    page = demo.client.get("/metrics").text
    assert "http_requests_total" in page
    assert not re.search(r"INVENTED\d|invented-\d", page)


def test_head_and_options_answer_without_a_body(demo: World) -> None:
    for path in ("/api/health", "/api/dashboard/metrics", "/api/customers/usr_942183"):
        answer = demo.ask("HEAD", path)
        assert (answer.status_code, answer.data) == (200, b"")
        answer = demo.client.options(path)
        assert answer.status_code == 200
        assert "GET" in answer.headers["Allow"]
    assert demo.client.head("/api/dashboard/metrics").status_code == 401


@pytest.mark.parametrize("prefer", ["wait=abc", "wait=1e9", "respond-async; x", ",,,", "x" * 5000, "wait=\xff", "é"])
def test_a_strange_preference_is_no_failure_of_ours(demo: World, prefer: str) -> None:
    answer = demo.ask("POST", "/api/dashboard/predict", json={"sample_size": 1}, headers={"Prefer": prefer})
    assert answer.status_code in (202, 503)


@pytest.mark.parametrize("key", ["x" * 5000, "é", "' OR 1=1", " "])
def test_a_strange_idempotency_key_is_no_failure_of_ours(demo: World, key: str) -> None:
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    assert demo.ask("POST", "/api/dashboard/predict", json={"sample_size": 1}, headers=headers).status_code in (
        202,
        503,
    )


# --- tokens ---------------------------------------------------------------------------------------------------------


def _said(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def _signed(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> Callable[[str], str]:
    return lambda token: jwt.encode({**_said(token), **changes}, secret, algorithm=algorithm)


def _expired(token: str) -> str:
    then = utc_now() - timedelta(hours=1)
    return _signed(exp=int(then.timestamp()))(token)


BAD_TOKENS: dict[str, Callable[[str], str]] = {
    "another server's": _signed("another secret of another server, as long as ours"),
    "expired": _expired,
    "tampered": lambda token: token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
    "with another role": lambda token: token.split(".")[0] + "." + _signed("x" * 32, role="admin")(token).split(".")[1]
    + "." + token.split(".")[2],
    "cut": lambda token: token[: len(token) // 2],
    "no signature": lambda token: jwt.encode(_said(token), "", algorithm="none"),
    "of nobody": _signed(sub="999999"),
    "of a number": _signed(sub="-1"),
    "of a huge number": _signed(sub="9" * 40),
    "of text": _signed(sub="admin"),
    "of another version": _signed(token_version=7),
    "for refreshing": _signed(type="refresh"),
    "without a type": _signed(type=None),
    "text": lambda _: "not a token",
    "unicode": lambda _: "é.ü.ß",
    "huge": lambda _: "x." * 3000,
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_token_that_does_not_count_is_403(demo: World, kind: str) -> None:
    token = BAD_TOKENS[kind](demo.signed_in("analyst")["Authorization"].split()[1])
    headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
    said = is_failure(demo.client.get("/api/dashboard/metrics", headers=headers), 403, "token_rejected")
    assert said["message"] == "Invalid or expired token"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "bearer"])
def test_a_header_without_a_token_is_401(demo: World, header: str) -> None:
    answer = demo.client.get("/api/dashboard/metrics", headers={"Authorization": header})
    said = is_failure(answer, 401, "unauthenticated")
    assert said["message"] == "Access token required"


def test_a_body_is_not_looked_at_before_the_token(demo: World) -> None:
    answer = demo.client.post("/api/model/train", data=b"x" * 2_000_000, content_type=JSON)
    is_failure(answer, 401, "unauthenticated")


# --- limits ---------------------------------------------------------------------------------------------------------


def test_guessing_passwords_is_slowed_down(tmp_path: Path) -> None:
    gateway = open_world(tmp_path / "limits.db", CREDENTIALS_LIMIT="5 per minute", REQUEST_LIMIT="20 per minute")
    for role in ROLES:
        gateway.signed_in(role)
    body = {"email": "viewer@example.com", "password": "a guess"}
    answers = [gateway.client.post("/api/auth/login", json=body) for _ in range(6)]
    # Three people have signed in.
    assert [a.status_code for a in answers] == [401, 401, 429, 429, 429, 429]
    said = is_failure(answers[-1], 429, "rate_limited")
    assert re.search(r"in \d+ s", said["message"])
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].headers["X-RateLimit-Limit"] == "5"
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"
    right = {"email": "viewer@example.com", "password": PASSWORD}
    is_failure(gateway.client.post("/api/auth/login", json=right), 429)
    statuses = [gateway.ask("GET", "/api/dashboard/metrics").status_code for _ in range(25)]
    assert statuses == [200] * 20 + [429] * 5
    assert gateway.ask("GET", "/api/dashboard/metrics", "admin").status_code == 200, "limits are a client's"
    assert all(gateway.client.get("/api/health").status_code == 200 for _ in range(30))


def test_the_default_limits_are_the_documented_ones() -> None:
    made = Settings(_env_file=None)
    assert (made.credentials_limit, made.request_limit) == ("10 per minute", "600 per minute")


# --- the ML service is away -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/predictions/score", {"customer_id": "usr_942183"}),
        ("POST", "/api/predictions/what-if", {"customer_id": "usr_331092", "changes": {"payment_failures": 0}}),
        ("GET", "/api/customers/usr_331092/actions", None),
        ("POST", "/api/dashboard/predict", {"sample_size": 10}),
        ("POST", "/api/predictions/generate", {}),
        ("POST", "/api/model/train", {}),
    ],
)
def test_what_needs_the_ml_service_is_503_while_it_is_away(demo: World, method: str, path: str, body: Any) -> None:
    answer = demo.ask(method, path, json=body) if body is not None else demo.ask(method, path)
    said = is_failure(answer, 503, "service_unavailable")
    assert "ML service" in said["message"]
    assert int(answer.headers["Retry-After"]) > 0


READS = (
    "/api/dashboard/metrics",
    "/api/dashboard/distribution",
    "/api/dashboard/features",
    "/api/dashboard/history",
    "/api/dashboard/threshold",
    "/api/customers/high-risk",
    "/api/customers",
    "/api/customers?q=usr",
    "/api/predictions/results",
    "/api/predictions/performance",
    "/api/model/status",
    "/api/model/features",
    "/api/model/versions",
    "/api/model/timeline",
    "/api/jobs",
    "/api/schema",
    "/api/auth/me",
)


@pytest.mark.parametrize("path", [*READS, "/api/customers/usr_942183", "/api/model/versions/2.4.1"])
def test_reads_go_on_while_the_ml_service_is_away(demo: World, path: str) -> None:
    answer = demo.ask("GET", path)
    assert answer.status_code == 200
    assert answer.get_json()["success"] is True


def test_health_says_that_the_ml_service_is_away(demo: World) -> None:
    answer = demo.client.get("/api/health")
    assert (answer.status_code, answer.get_json()["status"]) == (200, "OK")
    assert answer.get_json()["dependencies"] == {"database": "OK", "ml_service": "unavailable"}
    answer = demo.client.get("/api/health/ready")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


# --- nothing there yet ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", READS)
def test_every_read_answers_before_there_is_anything(empty: World, path: str) -> None:
    answer = empty.ask("GET", path)
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["success"] is True


def test_what_cannot_be_computed_yet_is_null_and_never_invented(empty: World) -> None:
    read = lambda path: empty.ask("GET", path).get_json()["data"]  # noqa: E731
    metrics = read("/api/dashboard/metrics")
    assert {metrics["churnRate"][name] for name in ("current", "previous", "change")} == {None}
    shown = metrics["predictedChurners"]
    assert {shown[name] for name in ("count", "confidence", "change", "expected", "revenue_at_risk")} == {None}
    assert {metrics["modelAuc"][name] for name in ("score", "status", "version")} == {None}
    assert [each["count"] for each in read("/api/dashboard/distribution")] == [0] * 11
    assert read("/api/dashboard/features") == read("/api/dashboard/history") == []
    assert read("/api/customers/high-risk")["pagination"] == {"page": 1, "limit": 10, "total": 0, "pages": 0}
    assert (read("/api/predictions/results")["predictions"], read("/api/predictions/results")["total"]) == ([], 0)
    performance = read("/api/predictions/performance")
    assert set(performance.values()) == {None}
    status = read("/api/model/status")
    assert (status["version"], status["status"], status["auc_score"]) == (None, "untrained", None)
    assert set(status["performance"].values()) == {None}
    assert read("/api/model/features") == {"features": []}
    segments = empty.ask("POST", "/api/customers/segment", json={}).get_json()["data"]["segments"]
    assert [each["count"] for each in segments] == [0, 0, 0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/dashboard/predict", {}),
        ("/api/predictions/generate", {"sample_size": 100}),
        ("/api/model/train", {}),
        ("/api/predictions/score", {"customer_id": "usr_942183"}),
        ("/api/predictions/score", {"features": {"watch_time_hours": 1}}),
        ("/api/predictions/what-if", {"customer_id": "usr_942183", "changes": {"device_count": 2}}),
    ],
)
def test_work_on_nobody_is_409_and_says_what_to_do(empty: World, path: str, body: Any) -> None:
    said = is_failure(empty.ask("POST", path, json=body), 409, "no_customers")
    assert "import" in said["message"]


def test_a_customer_of_an_empty_base_is_404(empty: World) -> None:
    said = is_failure(empty.ask("GET", "/api/customers/usr_942183"), 404, "not_found")
    assert said["message"] == "Customer not found"
    assert empty.ask("GET", "/api/customers/usr_942183/actions").status_code in (404, 409)


def test_an_empty_gateway_is_alive_but_not_ready(empty: World) -> None:
    assert empty.client.get("/api/health").status_code == 200
    assert empty.client.get("/api/health/ready").status_code == 503
    assert empty.ask("POST", "/api/model/promote", "admin", json={"version": "2.4.1", "reason": "x"}).status_code == 404
    assert empty.ask("POST", "/api/model/rollback", "admin", json={"reason": "x"}).status_code == 409


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, new_stack: Callable[..., Stack]) -> Iterator[World]:
    """Customers, and no model yet."""
    stack = new_stack(empty=True)
    table = stack.folder / "customers.csv"
    rows = [f"u{k},u{k}@example.com,Standard,{k},{k % 20},{k % 5},{k % 30},{k % 3},{k % 24},0" for k in range(60)]
    header = (
        "user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,"
        "tenure_months,churn"
    )
    table.write_text("\n".join([header, *rows]) + "\n")
    done = stack.command("import", str(table), "--schema", "retainstream")
    assert done.returncode == 0, done.stderr
    world = open_world(stack.database_path)
    with world.working():
        yield world


@pytest.mark.parametrize("path", [*READS, "/api/customers/u7"])
def test_every_read_answers_before_there_is_a_model(imported: World, path: str) -> None:
    answer = imported.ask("GET", path)
    assert answer.status_code == 200, answer.text


def test_without_a_model_a_customer_is_shown_unscored(imported: World) -> None:
    found = imported.ask("GET", "/api/customers/u7").get_json()["data"]
    assert (found["user_id"], found["plan"], found["watch_time_hours"]) == ("u7", "Standard", 7.0)
    assert (found["churn_probability"], found["prediction_date"], found["model_version"]) == (None, None, None)
    body = {"customer_id": "u7"}
    is_failure(imported.ask("POST", "/api/predictions/score", json=body), 409, "no_model")
    is_failure(imported.ask("POST", "/api/dashboard/predict", json={}), 409, "no_model")
    is_failure(imported.ask("GET", "/api/customers/u7/actions"), 409, "no_model")


# --- all of it at once ----------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "\x00", "' OR 1=1 --", "%", "../..", "NaN", "-1", "x" * 3000, "{}", "1e999", "usr_942183"]),
)
FIELDS = st.sampled_from(
    [
        "email",
        "password",
        "name",
        "role",
        "sample_size",
        "sampleSize",
        "customer_id",
        "features",
        "changes",
        "version",
        "reason",
        "force",
        "cookie",
        "refresh_token",
        "everywhere",
        "current_password",
        "new_password",
        "disabled",
        "x",
    ]
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3))
BODIES = st.one_of(
    st.dictionaries(FIELDS, VALUES, max_size=5).map(lambda v: json.dumps(v).encode()),
    VALUES.map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=40),
    st.just(b""),
)
QUERIES = st.dictionaries(
    st.sampled_from(["page", "limit", "after", "q", "state", "kind", "cut", "view", "since", "sort"]),
    SCALARS.map(lambda v: str(v).encode("utf-8", "replace").decode()),
    max_size=3,
)
KINDS = st.sampled_from([JSON, None, "", "text/plain", "application/json; charset=latin-1", "multipart/form-data", "x"])


def _rules(app: Flask) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(method=method, rule=rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _told(answer: Any, what: str) -> None:
    """Fail unless this is an answer that a client may get for nonsense."""
    if answer.status_code < 400:
        answer.close()  # it may be a stream that nobody reads
        return
    body = answer.get_json(silent=True)
    assert body is not None, f"{what}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code == 503:
        code = (body.get("error") or {}).get("code", "service_unavailable")
        assert code == "service_unavailable", what
    else:
        assert answer.status_code < 500, f"{what}: {answer.text[:300]}"
    if "error" in body:
        is_failure(answer)
    else:
        assert what.startswith("GET /api/health/ready"), what


def _address(rule: Any, value: str) -> str:
    return re.sub(r"<[^>]+>", lambda _: quote(value, safe=""), rule.rule)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_nonsense_on_any_route_is_told_and_breaks_nothing(empty: World, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(_rules(empty.app)))
    value = data.draw(st.sampled_from(["1", "0", "usr_942183", "%", "'", "\x00", "x" * 2000, "é", "2.4.1", "-1"]))
    role = data.draw(st.sampled_from(["viewer", "analyst", "admin"]))
    path = _address(chosen.rule, value)
    if path in ("/api/auth/password", "/api/auth/logout"):
        return  # they would end the sessions that the rest of this test needs
    answer = empty.ask(
        chosen.method,
        path,
        role,
        query_string=data.draw(QUERIES),
        data=data.draw(BODIES),
        content_type=data.draw(KINDS),
        headers={"Prefer": "respond-async"},
    )
    _told(answer, f"{chosen.method} {path}")


GARBAGE = (
    (b"", None),
    (b"{}", JSON),
    (b"{", JSON),
    (b"[]", JSON),
    (b'{"email": {"a": 1}, "password": [1], "name": 1, "role": "root"}', JSON),
    (b'{"sample_size": "10", "customer_id": 1, "version": 2.4, "reason": null, "changes": []}', JSON),
    (b"\xff\xfe\x00", JSON),
    (b"a=1&b=2", "application/x-www-form-urlencoded"),
    (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
)


@pytest.mark.parametrize("role", ["nobody", "analyst", "admin"])
@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_each_route_takes_garbage_calmly(demo: World, role: str, number: int) -> None:
    body, kind = GARBAGE[number]
    query = "" if number % 3 == 0 else "?page=x&limit=-1&after=%00&q=%25&cut=nan&state=x&since=x&view=x"
    how = {"data": body, "content_type": kind, "headers": {"Prefer": "respond-async"}}
    for each in _rules(demo.app):
        for value in ("1", "%"):
            path = _address(each.rule, value)
            if path in ("/api/auth/password", "/api/auth/logout") and role != "nobody":
                continue
            if role == "nobody":
                answer = demo.client.open(path + query, method=each.method, **how)
            else:
                answer = demo.ask(each.method, path + query, role, **how)
            _told(answer, f"{each.method} {path}{query}")
            if answer.status_code >= 400:
                assert not LEAKS.search(answer.text), path
            if value == "1" and path == each.rule:
                break  # nothing to fill in
