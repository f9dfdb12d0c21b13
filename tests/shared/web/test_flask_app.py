"""Defaults of both services' Flask apps: request ids, one error body, bounded metrics, headers."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask, jsonify, redirect, request
from flask.testing import FlaskClient

from shared import errors
from shared.web.error_responses import STATUS_OF
from shared.web.flask_app import install_defaults
from shared.web.logs import configure_logs

KINDS = [
    kind for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.ServiceError)
]  # fmt: skip


def make(**options: Any) -> FlaskClient:
    configure_logs(service="test", level="error")
    app = Flask("test")
    install_defaults(app, **options)

    @app.get("/ok/<name>")
    def ok(name: str) -> Any:
        return jsonify(name=name, nan=math.nan, at=datetime(2026, 1, 2, tzinfo=UTC))

    @app.get("/raise/<int:at>")
    def raises(at: int) -> Any:
        raise KINDS[at]("So it is.", details=[{"field": "x", "message": "wrong"}])

    @app.get("/break")
    def breaks() -> Any:
        raise ZeroDivisionError("secret words")

    @app.get("/away")
    def away() -> Any:
        return redirect("/ok/there")

    @app.post("/body")
    def body() -> Any:
        return jsonify(request.get_json())

    return app.test_client()


def test_every_error_has_a_code_of_its_own_and_a_status() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert {kind.code for kind in KINDS} <= set(STATUS_OF)


@pytest.mark.parametrize("at", range(len(KINDS)), ids=[kind.__name__ for kind in KINDS])
def test_an_error_is_answered_with_its_status_its_sentence_and_its_details(at: int) -> None:
    answer = make().get(f"/raise/{at}", headers={"X-Request-ID": "r-1"})
    assert answer.status_code == STATUS_OF[KINDS[at].code]
    assert answer.get_json() == {
        "success": False,
        "message": "So it is.",
        "error": {"code": KINDS[at].code, "request_id": "r-1", "details": [{"field": "x", "message": "wrong"}]},
    }
    assert ("Retry-After" in answer.headers) is (answer.status_code == 503)


def test_an_unknown_failure_tells_nothing_but_its_request_id() -> None:
    answer = make().get("/break", headers={"X-Request-ID": "r-1"})
    assert (answer.status_code, answer.get_json()["error"]) == (500, {"code": "internal", "request_id": "r-1"})
    assert b"secret" not in answer.data


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("DELETE", "/ok/x", 405, "method_not_allowed")],
)
def test_what_flask_refuses_has_the_same_body(method: str, path: str, status: int, code: str) -> None:
    answer = make().open(path, method=method)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (status, code)
    assert answer.get_json()["success"] is False
    if status == 405:
        assert "GET" in answer.headers["Allow"]


def test_a_body_that_is_no_json_is_the_callers_fault() -> None:
    answer = make().post("/body", data="{", content_type="application/json")
    assert answer.status_code == 400
    assert answer.get_json()["error"]["code"] == "malformed_request"


def test_a_doubled_slash_leads_nowhere_and_least_of_all_to_the_host_that_a_client_names() -> None:
    answer = make().get("/ok//x", headers={"Host": "evil.test"})
    assert answer.status_code == 404 and "Location" not in answer.headers


def test_a_redirect_stays_one() -> None:
    assert make().get("/away").status_code == 302


@pytest.mark.parametrize("given", ["abc-1.2_3", "A" * 64])
def test_a_sane_request_id_is_echoed(given: str) -> None:
    assert make().get("/ok/x", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "A" * 65, "a b", "<script>", "ä", 'a"b'])
def test_an_odd_request_id_is_replaced(given: str) -> None:
    found = make().get("/ok/x", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert found != given
    assert found.isalnum()


def test_two_requests_have_two_ids() -> None:
    client = make()
    assert client.get("/ok/x").headers["X-Request-ID"] != client.get("/ok/x").headers["X-Request-ID"]


def test_not_a_number_never_reaches_the_wire_and_moments_end_in_z() -> None:
    assert make().get("/ok/x").get_json() == {"name": "x", "nan": None, "at": "2026-01-02T00:00:00Z"}


def test_a_service_that_no_browser_asks_sends_it_nothing_to_heed() -> None:
    answer = make(for_browsers=False).get("/ok/x")
    assert set(answer.headers.keys()) == {"Content-Type", "Content-Length", "X-Request-ID"}


@pytest.mark.parametrize("path", ["/ok/x", "/nowhere", "/break"])
def test_security_headers_are_on_every_answer(path: str) -> None:
    answer = make().get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]
    policy = answer.headers["Content-Security-Policy"]
    assert all(part in policy for part in ("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"))
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in answer.headers
    sent = make(behind_tls=True).get(path).headers["Strict-Transport-Security"]
    assert sent.replace(" ", "") == "max-age=31536000;includeSubDomains"


def test_metrics_count_by_rule_and_never_by_path() -> None:
    client = make()
    for name in ("alice", "bob", "carol"):
        client.get(f"/ok/{name}")
    client.get("/wp-admin/alice")
    page = client.get("/metrics").get_data(as_text=True)
    assert "/ok/<name>" in page
    assert not any(name in page for name in ("alice", "bob", "wp-admin"))
    assert 'status="404"' in page
