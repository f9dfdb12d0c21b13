"""Whatever body a client sends: never a 500, always the one error body, nothing told that is nobody's business."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.shapes import fits, is_failure
from tests.stack import DEMO_EMAIL, PASSWORD
from tests.world import World, open_world

pytestmark = pytest.mark.xdist_group("bad-input")
JSON = "application/json"

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
    ("path", "body", "role"),
    [
        ("/api/auth/login", {"email": DEMO_EMAIL, "password": "password", "cookie": 1}, "viewer"),
        ("/api/auth/logout", {"everywhere": 0}, "viewer"),
        ("/api/model/promote", {"version": "2.4.1", "reason": "why", "force": "no"}, "admin"),
    ],
)
def test_a_flag_is_true_or_false_and_no_number_or_word(demo: World, path: str, body: Any, role: str) -> None:
    is_failure(demo.ask("POST", path, role, json=body), 422, "validation_failed")


@pytest.mark.parametrize("value", ["0", "1", "off", "yes", ""])
def test_a_flag_of_a_form_or_a_query_is_true_or_false(demo: World, value: str) -> None:
    form = {"file": (io.BytesIO(b"user_id\n1\n"), "a.csv"), "dry_run": value}
    said = is_failure(demo.ask("POST", "/api/customers/outcomes", data=form), 422, "validation_failed")
    assert [each["field"] for each in said["error"]["details"]] == ["dry_run"]
    is_failure(demo.ask("GET", f"/api/customers?churned={value}"), 422, "validation_failed")


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


def test_a_body_that_is_too_large_is_413(demo: World) -> None:
    body = b'{"a": "' + b"x" * (1024 * 1024 + 10) + b'"}'
    for path in WITH_BODY:
        is_failure(demo.ask("POST", path, data=body, content_type=JSON), 413, "too_large")


def test_the_limit_of_uploads_is_the_configured_one(tmp_path: Path) -> None:
    gateway = open_world(tmp_path / "small.db", MAX_UPLOAD_MB=1)
    assert gateway.app.config["MAX_CONTENT_LENGTH"] == 1024 * 1024
    body = b"x" * (1024 * 1024 + 10)
    is_failure(gateway.ask("POST", "/api/dashboard/predict", data=body, content_type=JSON), 413, "too_large")
