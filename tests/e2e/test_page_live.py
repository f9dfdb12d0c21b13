"""The view Model > Live: status, alarm and drift are what the API says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NONE = {"runs": 0, "predictions": 0, "expected": 0, "oldest": None}


def answer(data: dict[str, Any]) -> dict[str, Any]:
    return {"success": True, "message": "", "data": data}


def body_rows(visitor: Visitor) -> list[Any]:
    return list(visitor.page.locator("#live tbody tr").all())


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
    features = api.data("/api/schema")["table_schema"]["features"]
    assert visitor.texts("#live-drift tbody td:first-child") == [
        features[each["feature"]]["label"] for each in report["features"][:8]
    ]


def test_live_figures_stand_by_bands_of_a_number_that_is_chosen(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/model/live")
    visitor.page.wait_for_selector("#live-by optgroup", state="attached")
    visitor.page.select_option("#live-by", label="Bands of Tenure")
    visitor.page.wait_for_selector("#live thead >> text=Tenure, months")
    assert "by=segment&feature=tenure_months" in visitor.page.url
    asked = "/api/predictions/performance?view=live&by=segment&feature=tenure_months"
    groups = visitor.stack.analyst().data(asked)["groups"]
    assert len(groups) > 2
    assert visitor.texts("#live tbody th") == [each["value"] for each in groups]
    heads = visitor.texts("#live thead th")
    rows = [dict(zip(heads[1:], row.locator("td").all_inner_texts(), strict=True)) for row in body_rows(visitor)]
    for row, each in zip(rows, groups, strict=True):
        assert row["Predictions"] == f"{each['n']:,}"
        assert row["Left"].split()[0] == f"{each['leavers']:,}"
        low, high = each["expected_interval"]
        assert row["Expected to leave"] == f"{each['expected']:.1f} [{low:.1f} to {high:.1f}]"
        assert row["Left / expected"].startswith(f"{each['observed_expected']['value']:.3f} [")
    visitor.page.go_back()
    visitor.until("document.querySelector('#live-by').value === 'run'")
    visitor.until("document.querySelector('#live .panel-body > .scrolls th').textContent === 'Predictions of'")


def test_categories_stand_under_their_names_and_an_empty_number_says_why(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/model/live?by=segment")
    assert all(text.startswith("Plan: ") for text in visitor.texts("#live tbody th"))
    why = {
        "view": "live",
        "by": "segment",
        "groups": [],
        "note": "No run was counted by this feature.",
        "pending": NONE,
    }
    visitor.page.route("**/performance?*feature=device_count*", lambda route: route.fulfill(json=answer(why)))
    visitor.page.select_option("#live-by", label="Bands of Device Count")
    visitor.page.wait_for_selector("#live >> text=No run was counted by this feature.")
    assert visitor.page.locator("#live table").count() == 0
