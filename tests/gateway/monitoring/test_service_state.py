"""How the gateway answers: counts of the newest minutes, and alerts above 1 % of errors and one slow answer in twenty."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.services.monitoring import service_state
from shared.web.flask_app import RECENT
from shared.web.metrics import MINUTES, Recent, RecentRequests
from tests.world import TODAY, World


def alerts(requests: int, failed: int = 0, slow: int = 0) -> dict[str, float | None]:
    state = service_state.state_of(Recent(requests, failed, slow, 600.0), TODAY)
    return {each.kind: each.value for each in service_state.alerts_of(state, TODAY)}


def test_an_alert_is_raised_above_a_limit_and_not_at_it() -> None:
    assert alerts(1000, failed=10, slow=50) == {}
    assert alerts(1000, failed=11, slow=50) == {"error_rate": pytest.approx(0.011)}
    assert alerts(1000, failed=10, slow=51) == {"latency": pytest.approx(0.051)}


def test_of_few_requests_no_share_is_told_and_why() -> None:
    state = service_state.state_of(Recent(99, 50, 50, 60.0), TODAY)
    assert (state.error_rate, state.slow_share, state.failed) == (None, None, 50)
    assert state.reason is not None
    assert "99 requests" in state.reason
    assert alerts(99, failed=50, slow=50) == {}


def test_requests_are_forgotten_after_ten_minutes() -> None:
    now = 1000.0
    recent = RecentRequests(lambda: now)
    for status, took_s in ((200, 0.1), (503, 0.6), (404, 0.5)):
        recent.count(status, took_s)
    assert recent.read() == Recent(3, 1, 1, 0.0)
    now += 60.0 * (MINUTES - 1)
    recent.count(200, 0.0)
    assert recent.read() == Recent(4, 1, 1, 540.0)
    now += 60.0
    assert recent.read()[:3] == (1, 0, 0)
    assert 540 <= recent.read().window_s <= 600
    now += 6000.0
    assert recent.read()[:3] == (0, 0, 0)


def test_the_live_route_tells_how_the_gateway_answers_though_nothing_changes_in_the_database(world: World) -> None:
    def live() -> dict[str, Any]:
        found: dict[str, Any] = world.ask("GET", "/api/model/live").get_json()["data"]
        return found

    before = live()["service"]
    world.ask("GET", "/api/health")
    assert live()["service"]["requests"] == before["requests"] + 1, "the request before, and no poll of the state"
    recent = world.app.extensions[RECENT]
    for _ in range(200):
        recent.count(500, 0.7)
    found = live()
    assert {each["kind"] for each in found["alerts"]} == {"error_rate", "latency"}
    assert found["service"]["failed"] == 200
    assert found["status"] is None, "the status is the model's"
