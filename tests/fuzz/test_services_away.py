"""The ML service is away, or there are no customers or no model yet: reads answer, and work says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.shapes import is_failure
from tests.stack import Stack
from tests.world import World, open_world

pytestmark = pytest.mark.xdist_group("bad-input")

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
    assert answer.get_json()["dependencies"] == {"database": "OK", "ml_service": "unavailable", "worker": "OK"}
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
