"""Segments and cohorts on the page: what is at risk by group, retention, revenue, and why the rate moved."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Visitor
from tests.stack import Stack

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


@pytest.mark.parametrize(
    ("by", "group", "query"),
    [
        ("plan", "Standard", "plan=Standard"),
        ("risk", "Medium", "risk=Medium"),
        ("tenure_months", "3 to 5 months", "min_tenure_months=3&max_tenure_months=5"),
        ("tenure_months", "36 months and more", "min_tenure_months=36"),
    ],
)
def test_a_group_leads_to_its_customers(visitor: Visitor, by: str, group: str, query: str) -> None:
    visitor.sign_in(at=f"/#/segments?by={by}")
    visitor.page.click(f"#groups tbody >> text={group}")
    visitor.page.wait_for_selector("table.list tbody th")
    visitor.ready()
    assert query in visitor.page.url
    summary = visitor.stack.analyst().data(f"/api/segments/summary?by={by}")["groups"]
    scored = next(each["scored"] for each in summary if each["value"] == group)
    assert f"of {scored:,} customer" in visitor.text(".tally")


def test_groups_by_tenure_stand_from_the_shortest(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/segments?by=tenure_months")
    names = visitor.texts("#groups tbody th")
    assert names[0] == "0 to 2 months" and names[-1] == "36 months and more"


def test_cohorts_revenue_and_the_change_of_the_rate_are_told(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/segments/cohorts")
    assert len(visitor.texts("#cohorts tbody tr")) >= 10
    assert visitor.texts("#cohorts tbody tr:last-child td")[-1] == "", "a month that is not over is blank"
    assert len(visitor.texts("#revenue tbody tr")) >= 10
    assert "mix" in visitor.text("#change strong")
    assert "Basic Ads" in visitor.text("#change table")


def test_a_view_of_the_list_is_saved_opened_in_one_click_renamed_and_removed(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack).sign_in(at="/#/customers?plan=Standard&sort=-revenue_at_risk")
    page = visitor.page
    page.click("#save-view summary")
    page.fill("#save-view input[maxlength]", "Dear ones")
    page.get_by_label("Everybody sees it").check()
    page.keyboard.press("Enter")
    page.wait_for_selector("#saved-views a[aria-current]")
    assert visitor.texts("#saved-views a") == ["Dear ones"]
    (made,) = stack.analyst().data("/api/segments")["segments"]
    assert (made["query"], made["shared"]) == ("plan=Standard&sort=-revenue_at_risk", True)
    other = visit(stack).sign_in_as("viewer").go("customers")
    other.page.click("#saved-views >> text=Dear ones")
    other.until("document.querySelectorAll('.chip').length === 1")
    assert other.page.url.endswith("#/customers?plan=Standard&sort=-revenue_at_risk")
    assert other.texts("#saved-views summary") == [], "a viewer opens it, no more"
    page.keyboard.press("Enter")  # the focus is on what can be done with it
    page.fill("#saved-views form input[maxlength]", "Dearest")
    page.keyboard.press("Enter")
    page.wait_for_selector("#saved-views >> text=Dearest")
    visitor.go("segments")
    assert page.get_attribute("#saved a", "href") == "#/customers?plan=Standard&sort=-revenue_at_risk"
    page.click("#saved summary")
    page.get_by_label("Remove Dearest").click()
    page.wait_for_selector("#saved >> text=Nobody has saved")


def test_a_view_that_the_api_saved_with_other_filters_shows_them(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack).sign_in(at="/#/customers?min_confidence=0.99&work_owner=&contact=allowed")
    assert [text.removesuffix("×").strip() for text in visitor.texts(".chip")] == [
        "confidence from 99 %", "nobody's", "may be contacted",
    ]  # fmt: skip


def test_a_campaign_is_of_the_customers_of_a_saved_segment(
    visit: Callable[..., Visitor], new_stack: Callable[..., Stack]
) -> None:
    apart = new_stack().start()
    api = apart.analyst()
    made = api.post("/api/segments", {"name": "Standard ones", "query": "plan=Standard&sort=-monthly_price"}).json()[
        "data"
    ]
    visitor = visit(apart).sign_in(at=f"/#/campaigns?segment={made['id']}")
    form = visitor.page.locator("#plan-campaign form")
    form.get_by_label("Name").fill("Standard: picks")
    segment = form.get_by_label("Saved segment")
    assert visitor.texts("#plan-campaign option:checked").count("Standard ones") == 1, "the address chose it"
    segment.select_option("None")
    form.get_by_text("Check the size").click()
    visitor.page.wait_for_selector("#plan-outcome .stats")
    everybody = visitor.text("#plan-outcome .stats")
    segment.select_option("Standard ones")
    form.get_by_text("Check the size").click()
    visitor.until(f"document.querySelector('#plan-outcome .stats')?.innerText.trim() !== {json.dumps(everybody)}")
    form.get_by_text("Create the campaign").click()
    visitor.page.click("#plan-outcome >> text=Standard: picks")
    visitor.page.wait_for_selector("#effect")
    campaign = api.data("/api/campaigns")["campaigns"][0]["id"]
    listed = api.get(f"/api/campaigns/{campaign}/export?format=ndjson&contact=any").text.splitlines()
    plans = {json.loads(line)["plan"] for line in listed}
    assert plans == {"Standard"}
