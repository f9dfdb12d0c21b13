"""The page, used by an analyst in a browser: what it shows is what the API says."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.conftest import Visitor
from tests.stack import DEMO_EMAIL, Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
KNOWN = "usr_942183"
PAGE = 50


def tenths(text: str) -> int:
    """`+8.1 points` or `81.3 %` in tenths of a point."""
    return round(float(text.replace("−", "-").replace("±", "").split()[0]) * 10)


def tenth(value: float) -> str:
    """Rounded as people do it: a half goes up."""
    return str(Decimal(repr(value)).quantize(Decimal("0.1"), ROUND_HALF_UP))


def written(day: str) -> str:
    """A day as the page writes it for a reader of American English: Nov 22, 2026."""
    of = date.fromisoformat(day)
    return f"{of:%b} {of.day}, {of.year}"


# --- the figures ------------------------------------------------------------------------------------------------------


def test_the_cards_show_the_figures_of_the_api(visitor: Visitor) -> None:
    visitor.sign_in()
    said = visitor.stack.analyst().data("/api/dashboard/metrics")
    rate, churners, auc = said["churnRate"], said["predictedChurners"], said["modelAuc"]
    assert visitor.text("[data-figure=churn-rate]") == f"{tenth(rate['current'])} %"
    assert visitor.text("[data-figure=predicted-churners]") == f"{churners['count']:,}"
    assert visitor.text("[data-figure=model-auc]") == f"{auc['score']:.3f}"
    shown = visitor.facts("#churn-rate") | visitor.facts("#predicted-churners") | visitor.facts("#model-auc")
    assert shown["Before → now"] == f"{rate['previous']:.2f} → {rate['current']:.2f} %"
    assert shown["Active at its start"] == f"{rate['active_at_start']:,}"
    assert shown["Their mean probability"] == churners["confidence"].replace("%", " %")
    at_risk = visitor.text("[data-figure=at-risk]")
    assert abs(float(at_risk.strip("$").replace(",", "")) - churners["revenue_at_risk"]) <= 0.5
    assert " ".join(shown["Data of"].split()) == f"{written(churners['as_of'])} model {churners['model_version']}"
    assert shown["Held-out records"] == f"{auc['n']:,}"
    assert auc["status"] in visitor.text("#model-auc")


def test_every_bucket_stands_in_the_table_beside_the_chart(visitor: Visitor) -> None:
    visitor.sign_in()
    counts = [bucket["count"] for bucket in visitor.stack.analyst().data("/api/dashboard/distribution")]
    visitor.page.click("#distribution summary")
    assert visitor.texts("#distribution tbody td:nth-child(2)") == [f"{count:,}" for count in counts]
    drawn = visitor.page.locator("#distribution figure").first.locator("rect.bar")
    heights = [float(drawn.nth(k).get_attribute("height") or 0) for k in range(len(counts))]
    assert all((height > 0) == (count > 0) for height, count in zip(heights, counts, strict=True))


def test_the_factors_and_segments_are_those_of_the_api(visitor: Visitor) -> None:
    visitor.sign_in()
    api = visitor.stack.analyst()
    factors = api.data("/api/dashboard/features")
    features = api.data("/api/schema")["table_schema"]["features"].values()
    in_full = {each.get("short") or each["label"]: each["label"] for each in features}
    assert in_full["Sub Age"] == "Subscription Age"
    assert visitor.texts("#factors .name") == [in_full[each["name"]] for each in factors]
    assert visitor.texts("#factors .shares .amount") == [f"{each['value'] * 100:.1f} %" for each in factors]
    segments = api.post("/api/customers/segment", {}).json()["data"]["segments"]
    assert visitor.texts("#distribution .legend .amount") == [f"{each['count']:,}" for each in segments]


def test_the_model_section_puts_natural_prevalence_first(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/model")
    said = visitor.stack.analyst().data("/api/predictions/performance")
    titles = visitor.texts("#model .model-block h3")
    assert titles == ["At natural prevalence", "Balanced", "Improvement"]
    first = visitor.page.locator("#model .model-block").first.inner_text()
    assert f"{said['precision']:.3f}" in first
    assert f"{said['prevalence'] * 100:.1f} % of {said['n']:,} records" in first


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_draws_the_cut_where_it_falls_and_loads_more(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers")
    ranked = visitor.stack.analyst().data(f"/api/customers?limit={PAGE}")
    rows = "table.list tbody tr:not(.cut-row)"
    assert visitor.page.locator(rows).count() == PAGE
    assert f"Showing {PAGE} of {ranked['total']:,} customers" in visitor.text(".tally")
    above = ranked["above_cut"]
    assert 0 < above < PAGE
    shown = visitor.texts("table.list tbody tr")
    assert shown[above] == f"{above} customers are above the cut of 70 %"
    assert shown[above - 1].startswith(ranked["customers"][above - 1]["user_id"])
    visitor.page.click("text=Load more")
    visitor.until(f"document.querySelectorAll('{rows}').length === {2 * PAGE}")
    ids = visitor.texts(f"{rows} th")
    assert len(set(ids)) == 2 * PAGE
    assert visitor.page.locator(".cut-row").count() == 1


def test_search_finds_a_documented_customer(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers")
    visitor.page.fill("#search", KNOWN[:8])
    visitor.until(f"document.querySelector('.chips').textContent.includes('{KNOWN[:8]}')")
    visitor.ready()
    assert KNOWN in visitor.texts("table.list tbody th")
    visitor.page.click(f"table.list tbody >> text={KNOWN}")
    visitor.page.wait_for_selector("#facts")
    assert visitor.page.url.endswith(f"#/customers/{KNOWN}")


def test_what_is_typed_never_becomes_markup(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers")
    visitor.page.fill("#search", "<b id=evil>x</b>")
    visitor.until("document.querySelector('.chips').textContent.includes('<b id=evil>')")
    visitor.until("document.querySelector('.tally').textContent.startsWith('No customer fits')")
    assert visitor.page.locator("#evil").count() == 0


# --- one customer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["known", "first", "middle"])
def test_the_points_on_screen_add_up_to_the_probability(visitor: Visitor, place: str) -> None:
    ranked = visitor.stack.analyst().data("/api/customers?limit=100")["customers"]
    user_id = {"known": KNOWN, "first": ranked[0]["user_id"], "middle": ranked[60]["user_id"]}[place]
    visitor.sign_in(at=f"/#/customers/{user_id}")
    visitor.page.wait_for_selector(".waterfall")
    visitor.ready()
    amounts = [tenths(text) for text in visitor.texts(".waterfall .amount")]
    assert sum(amounts[:-1]) == amounts[-1]
    stored = visitor.stack.analyst().data(f"/api/customers/{user_id}")
    assert amounts[-1] == round(stored["churn_probability"] * 1000)
    assert len(amounts) == len(stored["reasons"]) + 3
    assert visitor.facts("#facts")["Plan"] == stored["plan"]


def test_actions_are_labelled_as_the_models_estimate(visitor: Visitor) -> None:
    first = visitor.stack.analyst().data("/api/customers?limit=1")["customers"][0]["user_id"]
    actions = visitor.stack.analyst().data(f"/api/customers/{first}/actions")["actions"]
    visitor.sign_in(at=f"/#/customers/{first}")
    visitor.page.wait_for_selector("#actions .actions")
    assert visitor.texts("#actions .action:not(#ranked .action)") == [each["action"] for each in actions]
    assert all("model's estimate" in text for text in visitor.texts("#actions .expected"))
    assert visitor.texts("#actions .dose") == [each["dose"]["text"] for each in actions]
    assert "not a measured effect" in visitor.text("#actions")


def test_an_unknown_customer_is_said_so(visitor: Visitor) -> None:
    visitor.allow("404")
    visitor.sign_in(at="/#/customers/usr_nobody")
    visitor.page.wait_for_selector("text=No such customer")
    assert "usr_nobody" in visitor.text("#main")


def test_customers_of_odd_ids_are_reached_from_the_list_and_by_their_address(
    visit: Callable[..., Visitor], tmp_path: Path, template: Path
) -> None:
    stack, odd = Stack(tmp_path / "odd").copy_of(template), ("2024/0012", "50% off?#1", "%2F", "客戶 07")
    try:
        listed = stack.start("gateway", "ml").person("viewer").data("/api/customers?limit=4")["customers"]
        with closing(sqlite3.connect(stack.database_path)) as raw, raw:
            names = zip(odd, (each["user_id"] for each in listed), strict=True)
            raw.executemany("UPDATE customers SET user_id = ? WHERE user_id = ?", list(names))
        visitor = visit(stack).sign_in()
        for user_id in odd:
            visitor.go(f"customers?q={quote(user_id, safe='')}")
            visitor.page.click(f"table.list tbody >> text={user_id}")
            visitor.page.wait_for_selector("#facts")
            assert visitor.text("h1") == user_id
            visitor.page.reload()
            visitor.page.wait_for_selector("#facts")
            assert visitor.text("h1") == user_id
    finally:
        stack.stop()


# --- work -------------------------------------------------------------------------------------------------------------


def test_a_scoring_run_shows_progress_and_ends(visitor: Visitor) -> None:
    visitor.sign_in()
    customers = visitor.stack.analyst().data("/api/dashboard/metrics")["predictedChurners"]["customers"]
    visitor.page.click("text=Score customers now")
    visitor.page.wait_for_selector("#work progress")
    assert visitor.page.is_disabled("text=Score customers now")
    visitor.page.wait_for_selector("#work.good")
    assert f"{customers:,} customers scored" in visitor.text("#work")
    visitor.until("!document.querySelector('.buttons .main').disabled")


def test_a_refused_run_tells_why_and_names_the_request(visitor: Visitor) -> None:
    visitor.allow("503")
    visitor.sign_in()
    body = (
        '{"success": false, "message": "No worker is running.",'
        ' "error": {"code": "service_unavailable", "request_id": "abc123"}}'
    )
    visitor.page.route(
        "**/api/dashboard/predict", lambda route: route.fulfill(status=503, content_type="application/json", body=body)
    )
    visitor.page.click("text=Score customers now")
    visitor.page.wait_for_selector("#work.bad")
    assert "No worker is running." in visitor.text("#work")
    assert "abc123" in visitor.text("#work")


def test_a_run_can_be_cancelled(visitor: Visitor) -> None:
    visitor.sign_in()
    with visitor.stack.frozen("worker"):
        visitor.page.click("text=Score customers now")
        visitor.page.wait_for_selector("#work progress")
        visitor.page.click("#work >> text=Cancel")
        visitor.page.wait_for_selector("text=Scoring was cancelled")


def test_a_viewer_sees_everything_and_runs_nothing(visitor: Visitor) -> None:
    visitor.sign_in_as("viewer")
    assert visitor.text("#role") == "viewer"
    assert visitor.page.locator(".buttons").count() == 0
    segments = visitor.stack.analyst().post("/api/customers/segment", {}).json()["data"]["segments"]
    assert visitor.texts("#distribution .legend .amount") == [f"{each['count']:,}" for each in segments]
    assert visitor.page.locator("[role=alert]:not(:empty)").count() == 0


# --- an empty database ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def empty(new_stack: Callable[..., Stack]) -> Stack:
    """A gateway that nobody has given customers."""
    return new_stack(empty=True).start("gateway")


def test_an_empty_database_says_how_to_begin(visit: Callable[..., Visitor], empty: Stack) -> None:
    visitor = visit(empty).sign_in_as("analyst")
    assert "retainstream import" in visitor.text("#first-steps")
    assert visitor.texts(".figure-value") == ["–", "–", "–", "–"]
    assert "No customers yet." in visitor.text("#churn-rate")
    assert "No model is trained yet." in visitor.text("#model-auc")


def test_numbers_are_written_for_people(visitor: Visitor) -> None:
    visitor.page.goto(visitor.stack.url)
    texts: dict[str, Any] = visitor.page.evaluate(
        """async () => {
          const f = await import("/page/format.js");
          return {count: f.count(13334), none: f.count(null), percent: f.percent(0.84231), tiny: f.percent(0.0001),
            zero: f.percent(0), sure: f.percent(0.9999), up: f.points(8.13), down: f.points(-0.42), still: f.points(0.01),
            day: f.day("2026-03-01T10:00:00.000Z"), money: f.money(1030.4, "USD"), bare: f.money(7.5), whole: f.wholeMoney(170.88, "USD"), month: f.month("2026-05-31"), ticks: f.monthTicks(["2025-12-30", "2026-01-29", "2026-03-01"]), column: f.column("Call  Failure")};
        }"""
    )
    assert texts == {
        "count": "13,334", "none": "–", "percent": "84.2 %", "tiny": "<0.1 %", "zero": "0.0 %", "sure": ">99.9 %",
        "up": "+8.1 points", "down": "−0.4 points", "still": "±0.0 points", "day": "Mar 1, 2026", "money": "$1,030", "bare": "7.50", "whole": "$171", "month": "May 2026", "ticks": ["Dec 2025", "Jan 2026", "Mar"], "column": "call_failure",
    }  # fmt: skip


def test_a_unit_that_the_label_says_is_not_said_again(visitor: Visitor) -> None:
    visitor.page.goto(visitor.stack.url)
    texts = visitor.page.evaluate(
        """async () => {
          const { factText } = await import("/page/views/words.js");
          return [factText(7, "failures", "Payment Failures"), factText(1, "devices", "Device Count"), factText(3, "months", "Tenure"), factText(9, "days")];
        }"""
    )
    assert texts == ["7", "1", "3 months", "9 days"]


def test_amounts_in_the_list_carry_the_currency(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers")
    said = visitor.stack.analyst().data("/api/customers?limit=1")["customers"][0]
    assert visitor.texts("table.list tbody td.revenue")[0] == f"${said['revenue_at_risk']:.2f}"


def test_the_policy_needs_no_exception(visitor: Visitor) -> None:
    answer = visitor.page.goto(visitor.stack.url)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert not re.search("unsafe|script-src|style-src", policy)
    assert DEMO_EMAIL not in visitor.page.content()


def test_an_address_of_a_file_fills_no_other_field_of_a_mail(visitor: Visitor) -> None:
    visitor.sign_in()
    for address, wanted in (
        ("ann@example.com", "mailto:ann@example.com"),
        ("a@b.example?bcc=c@d.example&body=x", "mailto:a@b.example%3Fbcc%3Dc@d.example%26body%3Dx"),
    ):
        made = visitor.page.evaluate("(given) => import('/page/format.js').then((page) => page.mailto(given))", address)
        assert made == wanted
