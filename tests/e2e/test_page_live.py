"""The view Model > Live: status, alarm and drift are what the API says."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_status_and_drift_are_shown_as_the_api_tells_them(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/model/live")
    api = visitor.stack.analyst()
    state = api.data("/api/model/live")
    shown = visitor.text("#live-state")
    assert state["status"] in shown
    assert state["status_reason"] in shown
    (report,) = api.data("/api/model/drift")["reports"]
    assert f"an AUC of {report['auc']:.3f}" in visitor.text("#live-drift")
    visitor.page.click("#live-drift summary")
    assert visitor.texts("#live-drift tbody td:first-child") == [each["feature"] for each in report["features"]][:8]
