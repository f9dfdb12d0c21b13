"""Segments and cohorts on the page: what is at risk by group, retention, revenue, and why the rate moved."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_revenue_at_risk_stands_by_plan_and_by_what_is_chosen(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/segments")
    assert sorted(visitor.texts("#groups tbody th")) == ["Basic Ads", "Premium 4K", "Standard"]
    assert "Revenue at risk" in visitor.text("#groups thead")
    visitor.page.select_option("#by", "risk")
    visitor.until("document.querySelector('#groups tbody').innerText.includes('Low')")
    assert visitor.page.url.endswith("#/segments?by=risk")
    visitor.page.go_back()
    visitor.until("document.querySelector('#groups tbody').innerText.includes('Standard')")


def test_cohorts_revenue_and_the_change_of_the_rate_are_told(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/segments/cohorts")
    assert len(visitor.texts("#cohorts tbody tr")) >= 10
    assert visitor.texts("#cohorts tbody tr:last-child td")[-1] == "", "a month that is not over is blank"
    assert len(visitor.texts("#revenue tbody tr")) >= 10
    assert "mix" in visitor.text("#change strong")
    assert "Basic Ads" in visitor.text("#change table")


def test_a_saved_segment_leads_to_its_list_and_goes(visitor: Visitor) -> None:
    api = visitor.stack.analyst()
    api.post("/api/segments", {"name": "Dear ones", "query": "plan=Standard&sort=-revenue_at_risk", "shared": True})
    visitor.sign_in(at="/#/segments")
    assert visitor.page.get_attribute("#saved a", "href") == "#/customers?plan=Standard&sort=-revenue_at_risk"
    visitor.page.click("#saved button")
    visitor.until("document.querySelector('#saved').innerText.includes('Nobody')")
