"""The wire contract, row by row, against the running product."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import jwt
import pyarrow as pa
import pytest
import requests

from shared.contracts.api import ARROW_TYPE
from shared.contracts.arrow import decode, encode, metadata
from tests.shapes import (
    BALANCED,
    BOOL,
    CUSTOMER,
    FIGURES,
    FLOAT,
    HIGH_RISK,
    INT,
    METRICS,
    PERCENT,
    PERFORMANCE,
    PERSON,
    RESULTS,
    RUN,
    SHARE,
    STAMP,
    STATUS,
    TEXT,
    TRAINED,
    VERSION,
    Maybe,
    OneOf,
    fits,
    is_failure,
)
from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, PASSWORD, Stack

pytestmark = pytest.mark.xdist_group("stack")
ORIGIN = "http://localhost:3000"
BUCKETS = [k / 10 for k in range(11)]
SHORT = ("Watch Time", "Sub Age", "Devices", "Last Login", "Pay Fail", "Tenure", "Plan")
LONG = ("Watch Time", "Subscription Age", "Device Count", "Last Login", "Payment Failures", "Tenure", "Plan")
SEGMENTS = {"segments": [{"segment": OneOf("High Risk", "Medium Risk", "Low Risk"), "count": INT}]}
#: method, path, body, message of the envelope, shape of `data`
ROWS = [
    ("GET", "/api/dashboard/metrics", None, None, METRICS),
    ("GET", "/api/dashboard/distribution", None, None, [{"bucket": FLOAT, "count": INT}]),
    ("GET", "/api/dashboard/features", None, None, [{"name": OneOf(*SHORT), "value": SHARE}]),
    ("POST", "/api/dashboard/predict", {"sample_size": 100}, "Prediction run completed", RUN),
    ("GET", "/api/customers/high-risk?page=1&limit=10", None, None, HIGH_RISK),
    ("GET", "/api/customers/usr_942183", None, None, CUSTOMER),
    ("POST", "/api/customers/segment", {}, None, SEGMENTS),
    ("GET", "/api/predictions/results", None, None, RESULTS),
    ("POST", "/api/predictions/generate", {"sample_size": 100}, None, RUN),
    ("GET", "/api/predictions/performance", None, None, PERFORMANCE),
    ("GET", "/api/model/status", None, None, STATUS),
    ("GET", "/api/model/features", None, None, {"features": [{"name": OneOf(*LONG), "importance": SHARE}]}),
]


# --- the gateway's table --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body", "message", "shape"), ROWS, ids=[f"{r[0]} {r[1]}" for r in ROWS])
def test_each_documented_route_answers_as_documented(
    stack: Stack, method: str, path: str, body: Any, message: str | None, shape: Any
) -> None:
    answer = stack.analyst().ask(method, path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    said = answer.json()
    assert said["success"] is True
    assert set(said) <= {"success", "data", "message"}
    assert said.get("message") == message
    fits(said["data"], shape)


def test_health_has_no_envelope_and_needs_no_token(stack: Stack) -> None:
    answer = stack.anonymous().get("/api/health")
    assert answer.status_code == 200
    shape = {"status": "OK", "timestamp": STAMP, "service": "RetainStream API", "version": TEXT}
    fits(answer.json(), {**shape, "dependencies": {"database": "OK", "ml_service": "OK", "worker": "OK"}}, "body")
    assert "success" not in answer.json()
    ready = stack.anonymous().get("/api/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


def test_login_gives_a_token_and_the_person(stack: Stack) -> None:
    body = {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}
    answer = stack.anonymous().post("/api/auth/login", body)
    assert answer.status_code == 200
    fits(answer.json(), {"success": True, "data": {"token": TEXT, "user": PERSON}}, "body")
    user = answer.json()["data"]["user"]
    assert (user["email"], user["name"], user["role"]) == (DEMO_EMAIL, "Alex Chen", "analyst")


def test_an_access_token_lives_a_day(stack: Stack) -> None:
    stack.analyst()
    said = jwt.decode(stack.tokens["analyst"], options={"verify_signature": False})
    assert said["exp"] - said["iat"] == 24 * 3600


@pytest.mark.parametrize("email", [DEMO_EMAIL, "nobody@example.com"])
def test_wrong_credentials_are_401_whoever_they_are_for(stack: Stack, email: str) -> None:
    answer = stack.anonymous().post("/api/auth/login", {"email": email, "password": "wrong-password"})
    body = is_failure(answer, 401, "unauthenticated")
    assert body["message"] == "Invalid email or password"


def test_registering_opens_an_account_for_an_analyst(stack: Stack) -> None:
    body = {"email": "new.row@example.com", "password": PASSWORD, "name": "New Row"}
    answer = stack.anonymous().post("/api/auth/register", body)
    assert answer.status_code == 201
    assert answer.json()["message"] == "User registered successfully"
    fits(answer.json()["data"], {"token": TEXT, "user": {**PERSON, "role": "analyst", "name": "New Row"}})
    is_failure(stack.anonymous().post("/api/auth/register", {**body, "email": "NEW.row@example.com"}), 409, "conflict")


@pytest.mark.parametrize("password", ["short", "x" * 201, "iloveyou"], ids=["weak", "over-long", "most common"])
def test_a_password_that_wont_do_is_422_and_never_repeated(stack: Stack, password: str) -> None:
    body = {"email": "weak@example.com", "password": password, "name": "Weak"}
    answer = stack.anonymous().post("/api/auth/register", body)
    said = is_failure(answer, 422, "validation_failed")
    assert [each["field"] for each in said["error"]["details"]] == ["password"]
    assert f'"{password}"' not in answer.text
    assert "x" * 50 not in answer.text


def test_the_distribution_has_eleven_buckets_in_order(stack: Stack) -> None:
    found = stack.analyst().data("/api/dashboard/distribution")
    assert [each["bucket"] for each in found] == BUCKETS


def test_the_dashboard_shows_five_features_descending(stack: Stack) -> None:
    found = stack.analyst().data("/api/dashboard/features")
    values = [each["value"] for each in found]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)


def test_all_three_segments_are_always_there(stack: Stack) -> None:
    found = stack.analyst().post("/api/customers/segment", {}).json()["data"]["segments"]
    assert [each["segment"] for each in found] == ["High Risk", "Medium Risk", "Low Risk"]


def test_an_unknown_customer_is_404_in_the_documented_words(stack: Stack) -> None:
    body = is_failure(stack.analyst().get("/api/customers/usr_000000"), 404, "not_found")
    assert body["message"] == "Customer not found"


def test_a_customer_who_left_is_there_without_a_score(stack: Stack) -> None:
    gone = stack.value("SELECT user_id FROM customers WHERE churn = 1 LIMIT 1")
    found = stack.analyst().data(f"/api/customers/{gone}")
    fits(found, {**CUSTOMER, "churn": 1})
    assert (found["churn_probability"], found["prediction_date"], found["confidence"]) == (None, None, None)
    assert found["reasons"] == []


def test_training_answers_with_its_figures(trained: requests.Response) -> None:
    assert trained.status_code == 200, trained.text
    assert trained.json()["message"] == "Model training completed"
    fits(trained.json()["data"], TRAINED)
    more = {"threshold": SHARE, "prevalence": SHARE, "n": INT, "balanced": BALANCED}
    fits(trained.json()["data"]["metrics"], {**FIGURES, **more})


def test_results_are_at_most_a_hundred_highest_first(stack: Stack) -> None:
    found = stack.analyst().data("/api/predictions/results")
    assert 0 < len(found["predictions"]) <= 100
    risks = [each["churn_probability"] for each in found["predictions"]]
    assert risks == sorted(risks, reverse=True)


def test_paging_gives_every_customer_above_the_cut_once(stack: Stack) -> None:
    api = stack.analyst()
    first = api.data("/api/customers/high-risk?page=1&limit=7")
    about = first["pagination"]
    assert about == {"page": 1, "limit": 7, "total": about["total"], "pages": -(-about["total"] // 7)}
    pages = [api.data(f"/api/customers/high-risk?page={k}&limit=7")["customers"] for k in range(1, about["pages"] + 1)]
    everyone = [each["user_id"] for page in pages for each in page]
    assert len(everyone) == len(set(everyone)) == about["total"]
    assert api.data("/api/customers/high-risk")["pagination"]["limit"] == 10
    assert api.data(f"/api/customers/high-risk?page={about['pages'] + 1}&limit=7")["customers"] == []


# --- the rules that hold everywhere ---------------------------------------------------------------------------------


def test_no_token_is_401_and_a_bad_one_403(stack: Stack) -> None:
    for path in ("/api/dashboard/metrics", "/api/customers/usr_942183", "/api/jobs"):
        body = is_failure(stack.anonymous().get(path), 401, "unauthenticated")
        assert body["message"] == "Access token required"
        body = is_failure(stack.anonymous().get(path, headers={"Authorization": "Bearer x.y.z"}), 403, "token_rejected")
        assert body["message"] == "Invalid or expired token"


def test_a_role_that_is_too_low_is_403_forbidden(stack: Stack) -> None:
    is_failure(stack.analyst().get("/api/users"), 403, "forbidden")
    is_failure(stack.person("viewer").post("/api/model/train", {}), 403, "forbidden")


def test_an_unknown_path_is_404_for_anybody(stack: Stack) -> None:
    for api in (stack.anonymous(), stack.analyst()):
        body = is_failure(api.get("/api/no/such/route"), 404, "not_found")
        assert body["message"] == "Route not found"


def test_every_answer_bears_the_security_headers_and_the_limits(stack: Stack) -> None:
    for api, path in ((stack.analyst(), "/api/dashboard/metrics"), (stack.anonymous(), "/api/no/such/route")):
        headers = api.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert re.fullmatch(r"\d+", headers["X-RateLimit-Limit"])
        assert int(headers["X-RateLimit-Remaining"]) <= int(headers["X-RateLimit-Limit"])
        assert re.fullmatch(r"\d+", headers["X-RateLimit-Reset"])
        assert headers["X-Request-ID"]


def test_a_request_id_that_is_sent_comes_back(stack: Stack) -> None:
    answer = stack.anonymous().get("/api/health", headers={"X-Request-ID": "from-the-page.42"})
    assert answer.headers["X-Request-ID"] == "from-the-page.42"
    answer = stack.anonymous().get("/api/health", headers={"X-Request-ID": "no good; <id>"})
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_an_allowed_origin_may_send_and_read_what_it_needs(stack: Stack) -> None:
    asked = "content-type,authorization,prefer,idempotency-key,x-request-id"
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": asked}
    answer = stack.anonymous().ask("OPTIONS", "/api/model/train", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked.split(",")) <= allowed
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    answer = stack.analyst().get("/api/dashboard/metrics", headers={"Origin": ORIGIN})
    exposed = {name.strip() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
    limits = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert {"Location", "Retry-After", "X-Request-ID", "ETag"} | limits <= exposed


def test_a_failure_can_be_read_by_an_allowed_origin_too(stack: Stack) -> None:
    for api, path in ((stack.anonymous(), "/api/dashboard/metrics"), (stack.analyst(), "/api/customers/nobody")):
        answer = api.get(path, headers={"Origin": ORIGIN})
        assert answer.status_code in (401, 404)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_another_origin_is_not_let_in(stack: Stack) -> None:
    answer = stack.analyst().get("/api/dashboard/metrics", headers={"Origin": "http://evil.example"})
    assert answer.headers.get("Access-Control-Allow-Origin") != "http://evil.example"


# --- the ML service's table -----------------------------------------------------------------------------------------


def _columns(stack: Stack, *user_ids: str) -> dict[str, list[Any]]:
    names = list(stack.analyst().data("/api/schema")["table_schema"]["features"])
    found = [stack.rows("SELECT * FROM customers WHERE user_id = ?", user_id)[0] for user_id in user_ids]
    return {name: [row[name] for row in found] for name in names}


PREDICTED = {
    "model_version": VERSION,
    "threshold": SHARE,
    "base_probability": SHARE,
    "predictions": [
        {
            "churn_probability": SHARE,
            "confidence": SHARE,
            "label": OneOf(0, 1),
            "out_of_fold": BOOL,
            "margin": FLOAT,
            "reasons": [{"feature": TEXT, "contribution": FLOAT, "points": FLOAT}],
            "other_points": FLOAT,
        }
    ],
}
ML_MODEL = {"model_version": VERSION, "verified": True, "problem": None}


def test_the_ml_services_health_needs_no_token(stack: Stack) -> None:
    answer = requests.get(f"{stack.ml_url}/api/health", timeout=10)
    assert answer.status_code == 200
    shape = {"status": "OK", "service": "RetainStream ML Service", "model_loaded": True, "version": VERSION}
    fits(answer.json(), {**shape, "timestamp": STAMP}, "body")
    assert requests.get(f"{stack.ml_url}/api/health/ready", timeout=10).status_code == 200


def test_the_ml_services_document_needs_no_token(stack: Stack) -> None:
    answer = requests.get(f"{stack.ml_url}/api/openapi.json", timeout=10)
    assert answer.status_code == 200
    assert answer.json()["openapi"].startswith("3.1")


@pytest.mark.parametrize("path", ["/api/predict", "/api/train", "/api/features", "/api/models", "/api/models/2.4.1"])
def test_the_ml_service_refuses_whoever_has_no_token(stack: Stack, path: str) -> None:
    method = "POST" if path in ("/api/predict", "/api/train") else "GET"
    is_failure(requests.request(method, stack.ml_url + path, timeout=10), 401, "unauthenticated")
    wrong = {"Authorization": "Bearer another-token-of-another-gateway-32ch"}
    is_failure(requests.request(method, stack.ml_url + path, headers=wrong, timeout=10), 403, "token_rejected")


def test_the_ml_service_scores_a_few_rows_in_json(stack: Stack) -> None:
    body = {"model_version": "2.4.1", "columns": _columns(stack, "usr_942183", "usr_331092")}
    answer = stack.ml("POST", "/api/predict", json=body)
    assert answer.status_code == 200, answer.text
    fits(answer.json(), {**PREDICTED, "model_version": "2.4.1"}, "body")
    assert len(answer.json()["predictions"]) == 2


def test_the_ml_service_scores_the_same_in_columns(stack: Stack) -> None:
    columns = _columns(stack, "usr_942183", "usr_331092")
    arrays = {
        name: pa.array(values, pa.string() if name == "plan" else pa.float64()) for name, values in columns.items()
    }
    batch = pa.record_batch({"row_key": pa.array([None, None], pa.int64()), **arrays})
    headers = {"Content-Type": ARROW_TYPE}
    params = {"model_version": "2.4.2"}
    body = encode(batch.schema, [batch])
    answer = stack.ml("POST", "/api/predict", data=io.BytesIO(body), headers=headers, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == ARROW_TYPE
    table = decode(answer.content)
    assert metadata(table)["model_version"] == "2.4.2"
    few = stack.ml("POST", "/api/predict", json={"model_version": "2.4.2", "columns": columns}).json()["predictions"]
    for name in ("churn_probability", "confidence", "out_of_fold"):
        assert table.column(name).to_pylist() == [row[name] for row in few]


def test_the_ml_service_names_the_features_of_a_version(stack: Stack) -> None:
    newest = stack.ml("GET", "/api/features").json()
    older = stack.ml("GET", "/api/features", params={"model_version": "2.4.1"}).json()
    for found in (newest, older):
        fits(found, {"features": [{"name": TEXT, "importance": SHARE}]}, "body")
        assert sum(each["importance"] for each in found["features"]) == pytest.approx(1, abs=1e-9)
    assert newest["features"] != older["features"]


def test_the_ml_service_lists_what_is_on_disk(stack: Stack) -> None:
    listed = stack.ml("GET", "/api/models").json()
    fits(listed, {"newest": VERSION, "models": [ML_MODEL]}, "body")
    assert {each["model_version"] for each in listed["models"]} == {p.name for p in stack.models.glob("*.*.*")}
    one = stack.ml("GET", "/api/models/2.4.1").json()
    fits(one, {**ML_MODEL, "manifest": {}, "report": {**FIGURES, "model_version": "2.4.1", "timestamp": STAMP}}, "body")
    is_failure(stack.ml("GET", "/api/models/9.9.9"), 404, "not_found")


def test_a_prediction_by_a_version_that_is_not_there_is_404(stack: Stack) -> None:
    body = {"model_version": "9.9.9", "columns": _columns(stack, "usr_942183")}
    is_failure(stack.ml("POST", "/api/predict", json=body), 404, "not_found")


@pytest.mark.slow
def test_the_ml_service_trains_on_the_simulated_120000_when_nothing_is_sent(new_stack: Any) -> None:
    alone = new_stack(empty=True).start("ml")
    answer = alone.ml("POST", "/api/train")
    assert answer.status_code == 200, answer.text
    fits(answer.json(), {**FIGURES, "model_version": "2.4.1", "timestamp": STAMP}, "body")
    assert 100_000 <= answer.json()["training_samples"] <= 120_000


# --- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shape"),
    [(1, FLOAT), (1.0, INT), (True, INT), (None, TEXT), ({}, {"a": INT}), ([1.5], [INT]), ("5", PERCENT)],
)
def test_the_shapes_are_strict(value: Any, shape: Any) -> None:
    with pytest.raises(AssertionError):
        fits(value, shape)
    fits(None, Maybe(shape))


def test_nothing_of_the_tests_lies_in_the_working_tree(stack: Stack) -> None:
    assert not stack.folder.is_relative_to(Path(__file__).parents[2])
