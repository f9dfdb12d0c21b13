"""A dashboard written against the backend before this one: what it sends, what it reads, from sign-in to training."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.shapes import CUSTOMER, HIGH_RISK, METRICS, PERFORMANCE, RESULTS, RUN, STATUS, TRAINED, fits
from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, PASSWORD, Stack

pytestmark = pytest.mark.xdist_group("stack")
ORIGIN = "http://localhost:3000"


class SignedOutError(Exception):
    """The old dashboard shows its sign-in page on 401 and on 403."""


class BlockedError(Exception):
    """A browser would not have let the page see this answer."""


@dataclass
class OldDashboard:
    """fetch() as the old pages used it, with what a browser does about other origins."""

    base: str
    token: str | None = None
    preflighted: set[tuple[str, str]] = field(default_factory=set)

    def fetch(self, method: str, path: str, body: str | None = None, content_type: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if content_type is not None:
            headers["Content-Type"] = content_type
        self._preflight(method, path, headers)
        answer = requests.request(
            method, f"{self.base}{path}", headers={**headers, "Origin": ORIGIN}, data=body, timeout=120
        )
        self._readable(answer)
        if answer.status_code in (401, 403):
            self.token = None
            raise SignedOutError(answer.json()["message"])
        return answer.json()

    def _preflight(self, method: str, path: str, headers: dict[str, str]) -> None:
        if (method, path) in self.preflighted or not headers:
            return
        answer = requests.options(
            f"{self.base}{path}",
            headers={
                "Origin": ORIGIN,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": ",".join(sorted(name.lower() for name in headers)),
            },
            timeout=30,
        )
        self._readable(answer)
        allowed = {name.strip().lower() for name in answer.headers.get("Access-Control-Allow-Headers", "").split(",")}
        methods = {name.strip() for name in answer.headers.get("Access-Control-Allow-Methods", "").split(",")}
        if not answer.ok or method not in methods or not {name.lower() for name in headers} <= allowed:
            raise BlockedError(f"{method} {path}: {answer.status_code} {dict(answer.headers)}")
        self.preflighted.add((method, path))

    def _readable(self, answer: requests.Response) -> None:
        if answer.headers.get("Access-Control-Allow-Origin") != ORIGIN:
            raise BlockedError(answer.url)
        if answer.headers.get("Access-Control-Allow-Credentials") != "true":
            raise BlockedError(f"{answer.url}: credentials")

    # --- its api.js -------------------------------------------------------------------------------------------------

    def read(self, path: str) -> Any:
        said = self.fetch("GET", path)
        assert said["success"] is True, said
        return said["data"]

    def send(self, path: str, body: Any = None, *, as_json: bool = True) -> Any:
        text = None if body is None else json.dumps(body)
        said = self.fetch("POST", path, text, "application/json" if as_json else None)
        assert said["success"] is True, said
        return said

    def login(self, email: str, password: str) -> dict[str, Any]:
        data = self.send("/api/auth/login", {"email": email, "password": password})["data"]
        self.token = data["token"]
        return dict(data["user"])

    def everything(self) -> dict[str, Any]:
        """All it reads to draw its pages."""
        distribution = self.read("/api/dashboard/distribution")
        features = self.read("/api/dashboard/features")
        assert len(distribution) == 11
        assert len(features) == 5
        return {
            "metrics": self.read("/api/dashboard/metrics"),
            "high_risk": self.read("/api/customers/high-risk?page=1&limit=10"),
            "customer": self.read("/api/customers/usr_942183"),
            "results": self.read("/api/predictions/results"),
            "performance": self.read("/api/predictions/performance"),
            "status": self.read("/api/model/status"),
            "features": self.read("/api/model/features"),
        }


PAGES = {
    "metrics": METRICS,
    "high_risk": HIGH_RISK,
    "customer": CUSTOMER,
    "results": RESULTS,
    "performance": PERFORMANCE,
    "status": STATUS,
    "features": {"features": [{}]},
}


@pytest.fixture
def dashboard(stack: Stack) -> OldDashboard:
    return OldDashboard(stack.url)


def test_the_whole_flow_of_the_demo_account(
    dashboard: OldDashboard, stack: Stack, request: pytest.FixtureRequest
) -> None:
    assert requests.get(f"{stack.url}/api/health", timeout=10).json()["status"] == "OK"
    user = dashboard.login(DEMO_EMAIL, DEMO_PASSWORD)
    assert user == {"id": user["id"], "email": DEMO_EMAIL, "name": "Alex Chen", "role": "analyst"}
    fits(dashboard.everything(), PAGES, "pages")

    segments = dashboard.send("/api/customers/segment", {})["data"]["segments"]
    assert [each["segment"] for each in segments] == ["High Risk", "Medium Risk", "Low Risk"]

    made = dashboard.send("/api/predictions/generate", {"sample_size": 100})["data"]
    fits(made, RUN)
    assert made["predictions_generated"] == 100
    shown = dashboard.read("/api/predictions/results")
    assert len(shown["predictions"]) == 100
    assert {each["prediction_date"] for each in shown["predictions"]} == {made["timestamp"]}

    said = dashboard.send("/api/dashboard/predict", {"sample_size": 100})
    assert said["message"] == "Prediction run completed"
    fits(said["data"], RUN)

    trained = request.getfixturevalue("trained").json()
    assert trained["success"] is True
    fits(trained["data"], TRAINED)
    after = dashboard.everything()
    fits(after, PAGES, "pages")
    versions = {each["version"] for each in stack.analyst().data("/api/model/versions")["versions"]}
    assert trained["data"]["metrics"]["model_version"] in versions
    fits(dashboard.read("/api/predictions/results"), RESULTS)


def test_somebody_who_registers_reads_the_same(dashboard: OldDashboard) -> None:
    body = {"email": "old.friend@example.com", "password": PASSWORD, "name": "Old Friend"}
    said = dashboard.send("/api/auth/register", body)
    assert said["message"] == "User registered successfully"
    assert said["data"]["user"]["role"] == "analyst"
    dashboard.token = said["data"]["token"]
    fits(dashboard.everything(), PAGES, "pages")
    dashboard.login(body["email"], PASSWORD)
    fits(dashboard.everything(), PAGES, "pages")
    dashboard.send("/api/customers/segment", {})


@pytest.mark.parametrize("path", ["/api/predictions/generate", "/api/dashboard/predict"])
@pytest.mark.parametrize(
    ("body", "count"),
    [({"sample_size": 7}, 7), ({"sampleSize": 8}, 8), ({"sample_size": 9, "threshold": 0.7, "model": "x"}, 9)],
    ids=["sample_size", "sampleSize", "unknown fields"],
)
def test_a_sample_is_as_large_as_the_client_said(
    dashboard: OldDashboard, path: str, body: dict[str, Any], count: int
) -> None:
    dashboard.login(DEMO_EMAIL, DEMO_PASSWORD)
    assert dashboard.send(path, body)["data"]["predictions_generated"] == count


@pytest.mark.parametrize("body", [None, {}, {"sample_size": None}], ids=["empty body", "{}", "null"])
@pytest.mark.parametrize("as_json", [True, False], ids=["content type", "no content type"])
def test_without_a_sample_size_every_active_customer_is_scored(
    dashboard: OldDashboard, stack: Stack, body: Any, as_json: bool
) -> None:
    dashboard.login(DEMO_EMAIL, DEMO_PASSWORD)
    active = stack.value("SELECT count(*) FROM customers WHERE churn = 0")
    said = dashboard.send("/api/dashboard/predict", body, as_json=as_json)
    assert said["data"]["predictions_generated"] == active


@pytest.mark.parametrize("as_json", [True, False], ids=["content type", "no content type"])
def test_segment_takes_an_empty_body(dashboard: OldDashboard, as_json: bool) -> None:
    dashboard.login(DEMO_EMAIL, DEMO_PASSWORD)
    counts = [each["count"] for each in dashboard.send("/api/customers/segment", as_json=as_json)["data"]["segments"]]
    assert sum(counts) > 0


def test_without_a_token_the_old_client_signs_out(dashboard: OldDashboard) -> None:
    with pytest.raises(SignedOutError, match="Access token required"):
        dashboard.read("/api/dashboard/metrics")


def test_with_a_bad_token_the_old_client_signs_out(dashboard: OldDashboard) -> None:
    dashboard.token = "not.a.token"
    with pytest.raises(SignedOutError, match="Invalid or expired token"):
        dashboard.read("/api/dashboard/metrics")
    assert dashboard.token is None


def test_a_wrong_password_is_told_in_a_sentence(dashboard: OldDashboard) -> None:
    with pytest.raises(SignedOutError, match="Invalid email or password"):
        dashboard.login(DEMO_EMAIL, "wrong")


def test_a_page_of_another_origin_is_blocked(stack: Stack) -> None:
    answer = requests.get(f"{stack.url}/api/health", headers={"Origin": "http://localhost:3001"}, timeout=10)
    with pytest.raises(BlockedError):
        OldDashboard(stack.url)._readable(answer)
