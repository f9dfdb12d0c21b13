"""The questions of a retention analyst, each asked on the page as a person would: few clicks, and an address to send."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.services.demo_campaigns import CAMPAIGNS
from tests.e2e.conftest import Visitor
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


def number(text: str) -> float:
    return float("".join(c for c in text.replace("−", "-") if c in "0123456789.-"))


def first_customer(visitor: Visitor) -> str:
    return str(visitor.stack.analyst().data("/api/customers?limit=1")["customers"][0]["user_id"])


def test_who_is_about_to_leave_and_why(visitor: Visitor) -> None:
    visitor.sign_in()
    said = visitor.stack.analyst().data("/api/customers?limit=1")["customers"][0]
    row = visitor.texts("#top tbody tr")[0]
    assert row.startswith(said["user_id"])
    reason = said["reasons"][0]
    assert reason["label"] in row and f"{reason['points'] * 100:.1f} points".lstrip("-") in row
    visitor.page.click(f"#top >> text={said['user_id']}")
    visitor.page.wait_for_selector(".waterfall")
    assert len(visitor.texts(".waterfall tbody tr")) == len(said["reasons"]) + 3


def test_revenue_and_value_at_risk_by_plan(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.page.click("#at-risk >> text=By plan")
    visitor.ready()
    said = visitor.stack.analyst().data("/api/dashboard/value")
    rows = visitor.texts("#value-plans tbody tr")
    assert [row.split("\t")[0].strip() for row in rows] == [each["plan"] for each in said["by_plan"]]
    assert abs(number(visitor.text("[data-figure=value-at-risk]")) - said["total"]["value_at_risk"]) <= 0.51
    visitor.page.fill("#value-terms input[name=margin]", "50")
    visitor.page.click("#value-terms button[type=submit]")
    visitor.until("document.querySelector('#value-total').textContent.includes('margin 50 %')")
    assert "margin=0.5" in visitor.page.url
    half = visitor.stack.analyst().data("/api/dashboard/value?margin=0.5")["total"]["value_at_risk"]
    assert abs(number(visitor.text("[data-figure=value-at-risk]")) - half) <= 0.51


def test_whose_risk_is_new(visitor: Visitor) -> None:
    visitor.sign_in()
    said = visitor.stack.analyst().data("/api/customers/movers?direction=up&limit=10")
    assert visitor.texts("#movers tbody th") == [each["user_id"] for each in said["customers"]]


def test_who_is_new_on_the_list_since_a_date_and_why(visitor: Visitor) -> None:
    """One click from the start; other dates, the second list and the facts behind a change stand in an address."""
    api = visitor.stack.analyst()
    visitor.sign_in()
    visitor.page.click("#movers >> text=All, with reasons")
    visitor.page.wait_for_selector("#risk-summary")
    up = api.data("/api/customers/movers?limit=1")
    assert f"since={up['compared_with']}&until={up['as_of']}" in visitor.page.url
    since = (date.fromisoformat(up["as_of"]) - timedelta(days=95)).isoformat()
    visitor.page.fill("#risk-dates input[name=since]", since)
    visitor.page.click("#risk-dates button[type=submit]")
    said = api.data(f"/api/customers/movers?direction=entered&why=true&limit=100&since={since}&until={up['as_of']}")
    assert said["compared_with"] != up["compared_with"]
    visitor.until(f"document.querySelectorAll('#new-at-risk tbody tr').length === {len(said['customers'])}")
    visitor.ready()
    assert visitor.texts("#new-at-risk tbody th") == [each["user_id"] for each in said["customers"]]
    new = next(each["user_id"] for each in said["customers"] if each["cause"] == "not scored before")
    visitor.page.get_by_label(f"Reasons for {new}").click()
    reason = api.data(f"/api/customers/{new}")["reasons"][0]
    visitor.page.wait_for_selector(f"#new-at-risk li >> text={reason['label']}")
    split = [each for each in said["customers"] if each["cause"] == "score"]
    assert split, "the demo has somebody who entered"
    for each in split:
        row = visitor.page.locator(f"#new-at-risk tbody tr:has-text('{each['user_id']}')")
        now, before = number(row.locator("td").nth(2).inner_text()), number(row.locator("td").nth(1).inner_text())
        points = [number(text) for text in row.locator(".part-bars .amount").all_inner_texts()]
        assert sum(points) == pytest.approx(now - before, abs=0.05 * (len(points) + 2) + 0.05 * 6)
    user_id = split[0]["user_id"]
    visitor.page.get_by_label(f"Facts of {user_id} one by one").click()
    facts = api.data(f"/api/customers/{user_id}/changes?since={said['compared_with']}&until={said['as_of']}")[
        "features"
    ]
    visitor.page.wait_for_selector(f"#new-at-risk >> text={facts[0]['label']}: ")
    visitor.page.click("text=Left the list")
    left = api.data(f"/api/customers/movers?direction=left&limit=100&since={since}&until={up['as_of']}")["customers"]
    visitor.page.wait_for_selector("#risk-summary >> text=left the list")
    assert visitor.texts("#new-at-risk tbody th") == [each["user_id"] for each in left]
    visitor.page.reload()
    visitor.page.wait_for_selector("#risk-summary >> text=left the list")
    assert visitor.page.input_value("#risk-dates input[name=since]") == since
    visitor.page.click(f"#new-at-risk >> text={left[0]['user_id']}")
    visitor.until(f"document.querySelector('h1')?.textContent === '{left[0]['user_id']}'")


def test_all_who_entered_are_a_file(visitor: Visitor) -> None:
    api = visitor.stack.analyst()
    up = api.data("/api/customers/movers?limit=1")
    since = (date.fromisoformat(up["as_of"]) - timedelta(days=95)).isoformat()
    dates = f"since={since}&until={up['as_of']}"
    visitor.sign_in(at=f"/#/customers/new-at-risk?{dates}")
    said = api.data(f"/api/customers/movers?direction=entered&limit=100&{dates}")["customers"]
    with visitor.page.expect_download() as download:
        visitor.page.click("#export-movers")
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == [each["user_id"] for each in said]


def test_dates_in_the_wrong_order_and_dates_without_scores_say_so(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers/new-at-risk?since=2026-05-02&until=2026-05-01")
    assert "The first date must be before the second." in visitor.text("#new-at-risk")
    visitor.go("customers/new-at-risk?since=1999-01-01&until=1999-02-01")
    assert "There are no scores up to the second date." in visitor.text("#new-at-risk")
    visitor.go("customers/new-at-risk?since=1999-01-01")
    assert "Choose an earlier first date" not in visitor.text("#new-at-risk")
    assert "There are no scores of everybody up to Jan 1, 1999" in visitor.text("#new-at-risk")


def test_what_contacting_the_top_n_costs_catches_and_would_earn(visitor: Visitor) -> None:
    visitor.sign_in()
    api = visitor.stack.analyst()
    found = api.data("/api/dashboard/threshold?steps=true")
    step = found["steps"][len(found["steps"]) // 3]
    visitor.page.fill("#contact input[type=number] >> nth=0", str(step["customers"]))
    visitor.until(f"document.querySelector('[data-figure=people]').textContent === '{step['customers']}'")
    leavers, people = step["expected_leavers"], step["customers"]
    assert number(visitor.text("[data-figure=leavers]")) == pytest.approx(leavers, abs=0.051)
    assert number(visitor.text("[data-figure=false-alarms]")) == pytest.approx(people - leavers, abs=0.051)
    assert number(visitor.text("[data-figure=precision]")) == pytest.approx(100 * leavers / people, abs=0.051)
    cost = people + (people - leavers + 0.3 * leavers) * 10
    assert number(visitor.text("[data-figure=cost]")) == pytest.approx(cost, abs=0.51)
    assert number(visitor.text("[data-figure=profit]")) == pytest.approx(0.3 * leavers * 200 - cost, abs=0.51)
    assert "Assumed, not measured: 30 % of the leavers" in visitor.text("#assumption")
    assert f"top={people}" in visitor.page.url
    visitor.page.reload()
    visitor.ready()
    assert visitor.text("[data-figure=people]") == str(people)


def test_a_budget_a_cut_and_a_rank_choose_people_too(visitor: Visitor) -> None:
    visitor.sign_in()
    everybody = visitor.stack.analyst().data("/api/dashboard/threshold")["all_customers"]
    visitor.page.click("#contact >> text=Top 20 %")
    assert number(visitor.text("[data-figure=people]")) == pytest.approx(everybody * 0.2, abs=1)
    visitor.page.fill("#contact input[type=number] >> nth=1", "50")
    above = visitor.stack.analyst().data("/api/dashboard/threshold?cut=0.5")["customers"]
    assert number(visitor.text("[data-figure=people]")) == above
    visitor.page.fill("#contact input[type=number] >> nth=2", "300")
    assert number(visitor.text("[data-figure=cost]")) <= 300
    visitor.page.focus("#contact input[type=range]")
    before = visitor.text("[data-figure=people]")
    visitor.page.keyboard.press("ArrowRight")
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.text("[data-figure=people]") != before


def test_a_customers_history_and_the_list_around_it(visitor: Visitor) -> None:
    again = visitor.stack.analyst().post("/api/predictions/generate", {})
    assert again.status_code == 200, "a second run of the day: the change is since the day before"
    visitor.sign_in(at="/#/customers")
    ids = visitor.texts("table.list tbody th")
    visitor.page.click(f"table.list >> text={ids[1]}")
    visitor.page.wait_for_selector("#score-history svg.lines")
    said = visitor.stack.analyst().data(f"/api/customers/{ids[1]}/history?limit=100")
    assert visitor.page.locator("#score-history circle.mark").count() == len(said["scores"])
    assert visitor.page.locator("#fact-history tbody tr").count() == len(said["facts"])
    now = said["scores"][0]["as_of"]
    before = next(each["as_of"] for each in said["scores"] if each["as_of"] < now)
    visitor.page.click("#score-history >> text=What moved the score last")
    visitor.page.wait_for_selector("#score-history .part-bars")
    found = visitor.stack.analyst().data(f"/api/customers/{ids[1]}/changes?since={before}&until={now}")
    assert found["features"][0]["label"] in visitor.text("#score-history")
    visitor.page.click(".between >> text=Next")
    visitor.until(f"document.querySelector('h1')?.textContent === '{ids[2]}'")
    visitor.page.click(".between >> text=Previous")
    visitor.until(f"document.querySelector('h1')?.textContent === '{ids[1]}'")


def test_a_change_without_parts_is_said_in_a_sentence(visitor: Visitor) -> None:
    visitor.sign_in()
    drawn = "import('/page/views/change.js').then(({ bars }) => bars([{ name: 'Facts', share: 0.0001 }]).outerHTML)"
    assert visitor.page.evaluate(drawn) == "<p>Nothing moved it by 0.05 points or more.</p>"


def test_what_if_is_the_models_answer_and_said_to_be_an_estimate(visitor: Visitor) -> None:
    user_id = first_customer(visitor)
    visitor.sign_in(at=f"/#/customers/{user_id}")
    slider = visitor.page.locator("#what-if input[name=last_login_days]")
    slider.focus()
    visitor.page.keyboard.press("Home")
    visitor.page.wait_for_selector("[data-figure=what-if]")
    body = {"customer_id": user_id, "changes": {"last_login_days": 0}}
    said = visitor.stack.analyst().post("/api/predictions/what-if", body).json()["data"]
    assert number(visitor.text("[data-figure=what-if]")) == pytest.approx(said["score_if_changed"] * 100, abs=0.051)
    assert said["note"] in visitor.text("#what-if-answer")


def test_the_list_for_the_campaign_tool_is_what_is_filtered_and_whole(visitor: Visitor) -> None:
    """Customers of a plan with a reason, in the order of their revenue, as a file and as an address."""
    visitor.sign_in(at="/#/customers")
    visitor.page.select_option("#list select[name=plan]", "Standard")
    visitor.until("document.querySelectorAll('.chip').length === 1")
    visitor.page.select_option("#list select[name=reason]", "last_login_days")
    visitor.until("document.querySelectorAll('.chip').length === 2")
    visitor.page.click("table.list >> text=Revenue at risk")
    visitor.until("document.querySelector('[aria-sort=descending]')?.textContent.startsWith('Revenue')")
    visitor.ready()
    query = "plan=Standard&reason=last_login_days"
    assert query in visitor.page.url and "sort=-revenue_at_risk" in visitor.page.url
    said = visitor.stack.analyst().data(f"/api/customers?{query}&sort=-revenue_at_risk&limit=50")
    assert visitor.texts("table.list tbody th") == [each["user_id"] for each in said["customers"]]
    with visitor.page.expect_download() as download:
        visitor.page.click("#export")
    lines = Path(download.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(lines) - 1 == said["total"]
    visitor.page.click(".chip button >> nth=0")
    visitor.until("document.querySelectorAll('.chip').length === 1")
    assert visitor.page.input_value("#list select[name=plan]") == "", "a filter that is gone must not come back"
    visitor.page.go_back()
    visitor.until("document.querySelectorAll('.chip').length === 2")


@pytest.mark.parametrize("query", ["churned=true", "scored=any&plan=Standard", "scored=no"])
def test_the_file_of_customers_without_a_score_holds_them_and_nobody_else(visitor: Visitor, query: str) -> None:
    visitor.sign_in(at=f"/#/customers?{query}")
    visitor.ready()
    said = visitor.stack.analyst().data(f"/api/customers?{query}&limit=1")
    assert "leaves out those of them who may not be contacted" in visitor.text("main")
    with visitor.page.expect_download() as download:
        visitor.page.click("#export")
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == said["total"]


def test_the_worklist_of_many_is_changed_in_one_act_by_keyboard(visitor: Visitor) -> None:
    """All of a plan with a short tenure, also those who are not shown yet."""
    query = "plan=Standard&min_tenure_months=12"
    visitor.sign_in(at=f"/#/customers?{query}&cols=plan,work")
    page, api = visitor.page, visitor.stack.analyst()
    total = api.data(f"/api/customers?{query}")["total"]
    assert 50 < total <= 1000
    page.get_by_label("Choose all shown").focus()
    page.keyboard.press("Space")
    assert "50 customers chosen" in visitor.text("#bulk")
    page.click(f"text=Choose all {total} that fit")
    page.wait_for_selector(f"#bulk >> text={total} customers chosen")
    page.get_by_label(f"Choose {visitor.texts('table.list tbody th')[0]}").uncheck()
    form = page.locator("#bulk form")
    form.get_by_label("Status").select_option("contacted")
    form.get_by_label("Owner").select_option(label="Me")
    form.get_by_label("Due on").fill("2030-01-02")
    form.get_by_text("Change the worklist").press("Enter")
    page.wait_for_selector(f"#bulk >> text=The worklist of {total - 1} customers is changed")
    assert page.evaluate("document.activeElement.type") == "checkbox"
    assert "Contacted" in visitor.texts("table.list tbody td.work")[1]
    done = api.data(f"/api/customers?{query}&work_status=contacted&work_owner={api.data('/api/auth/me')['id']}")
    assert done["total"] == total - 1
    assert visitor.texts("table.list tbody td.work")[0] == "–", "whoever was taken out stayed as they were"


def test_the_due_date_and_the_note_of_many_are_taken_away_in_one_act(visitor: Visitor) -> None:
    api = visitor.stack.analyst()
    shown = [each["user_id"] for each in api.data("/api/customers?limit=2")["customers"]]
    given = {"status": "contacted", "due_on": "2029-01-01", "note": "called"}
    assert api.ask("PATCH", "/api/customers/work", json={"customers": shown, **given}).status_code == 200
    visitor.sign_in(at="/#/customers?work_status=contacted&due_by=2029-01-01")
    page = visitor.page
    for each in shown:
        page.get_by_label(f"Choose {each}").check()
    form = page.locator("#bulk form")
    form.get_by_label("Take the due date away").check()
    form.get_by_label("Take the note away").check()
    assert form.get_by_label("Due on").is_disabled() and form.get_by_label("Note", exact=True).is_disabled()
    form.get_by_text("Change the worklist").press("Enter")
    page.wait_for_selector("#bulk >> text=The worklist of 2 customers is changed")
    for each in shown:
        work = api.data(f"/api/customers/{each}/work")["work"]
        assert (work["status"], work["due_on"], work["note"]) == ("contacted", None, None)


def test_a_viewer_chooses_nobody(visitor: Visitor) -> None:
    visitor.sign_in_as("viewer").go("customers")
    assert visitor.page.locator("#bulk, td.pick").count() == 0


def test_a_viewer_reads_who_may_export_where_the_button_would_be(visitor: Visitor) -> None:
    as_of = visitor.stack.analyst().data("/api/customers/movers?limit=1")["as_of"]
    since = (date.fromisoformat(as_of) - timedelta(days=95)).isoformat()
    visitor.sign_in_as("viewer")
    for path, place in (
        ("customers", ".title-row"),
        (f"customers/new-at-risk?since={since}&until={as_of}", "#new-at-risk .list-foot"),
        ("campaigns/1", ".title-row"),
    ):
        visitor.go(path)
        assert "Exports are for analysts and administrators." in visitor.text(f"main {place}"), path
        assert visitor.page.locator("main a[download]").count() == 0, path


def test_no_view_asks_a_viewer_for_what_they_may_not_read(visitor: Visitor) -> None:
    """A refusal would stand there as an error, and the browser's complaint fails this test."""
    visitor.sign_in_as("viewer")
    for path in ("data", "data/jobs", "data/schedule", "people", "model/versions", "campaigns", "customers/usr_331092"):
        visitor.go(path)
        assert visitor.page.locator("main [role=alert]:not(:empty)").count() == 0, path
    assert "for analysts and administrators" in visitor.go("data").text("main")
    assert "for analysts and administrators" in visitor.go("customers/usr_331092").text("#what-if")


def test_a_filter_that_was_taken_away_does_not_come_back_with_the_next(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers?min_tenure_months=12")
    page = visitor.page
    page.click("#filters > summary")
    assert page.input_value("#filters input[name=min_tenure_months]") == "12"
    page.click(".chip button")
    visitor.until("document.querySelectorAll('.chip').length === 0")
    page.fill("#filters input[name=max_tenure_months]", "30")
    page.click("#filters button[type=submit]")
    visitor.until("document.querySelectorAll('.chip').length === 1")
    assert "max_tenure_months=30" in page.url and "min_tenure_months" not in page.url


def test_columns_are_chosen_and_stay_in_the_address(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers?cols=plan,price")
    assert visitor.texts("table.list thead th") == ["Customer", "Plan", "Price"]


def test_is_the_model_still_good_and_which_is_live(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/model?share=20")
    live = visitor.stack.analyst().data("/api/model/status")["version"]
    assert f"Model {live}" in visitor.text("#model")
    report = visitor.stack.analyst().data(f"/api/model/versions/{live}")["report"]
    cells = [number(text) for text in visitor.texts("#matrix dd")]
    assert sum(cells) == pytest.approx(report["test"]["n"], abs=2)
    assert cells[0] + cells[2] == pytest.approx(report["test"]["positives"], abs=1)
    for name in visitor.texts("#curves .choices button"):
        visitor.page.click(f"#curves .choices >> text={name}")
        assert visitor.page.locator("#curves svg.lines").count() == 1
    bands = visitor.page.locator("#dependence .bands")
    first = bands.get_attribute("aria-label")
    assert "points" in first and "customers, model" in visitor.text("#dependence")
    visitor.page.select_option("#dependence select", "plan")
    assert "Premium 4K" in visitor.page.locator("#dependence .bands").get_attribute("aria-label")
    assert visitor.page.locator("#dependence details.as-table").count() == 1
    visitor.go("").page.click("#model-auc >> text=Did past predictions come true?")
    visitor.page.wait_for_selector("#live .panel-body > .scrolls table")
    visitor.page.click(".tabs >> text=Versions")
    visitor.ready()
    assert "live" in visitor.texts("#versions tbody tr")[0]


def test_a_report_leads_back_to_where_one_came_from(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/model/versions").page.click("#versions >> text=Report")
    way_back = "nav[aria-label=Breadcrumbs] >> text="
    visitor.page.click(f"{way_back}Versions")
    assert visitor.ready().text("h1") == "Versions"
    visitor.go("model").page.click("text=The whole report")
    visitor.page.click(f"{way_back}Model")
    assert visitor.ready().text("h1") == "Model"


def test_what_the_model_is_compared_with_stands_in_the_reports_own_words(visitor: Visitor) -> None:
    api = visitor.stack.analyst()
    live = api.data("/api/model/status")["version"]
    simple = api.data(f"/api/model/versions/{live}")["report"]["baselines"]
    notes = [each["note"] for each in simple.values() if each["auc"] is not None]
    assert len(notes) == 4
    visitor.sign_in(at="/#/model")
    assert [text for text in visitor.texts("#baselines tbody th") if text in notes] == notes


def test_what_runs_what_failed_and_what_it_rejected(visitor: Visitor, tmp_path: Path) -> None:
    """A file with a bad row is dropped, read, tried and refused by row; the job stands in the list."""
    visitor.sign_in(at="/#/data")
    bad = tmp_path / "left.csv"
    bad.write_text("user_id,ended_at\nusr_331092,not a day\n", encoding="utf-8")
    visitor.page.select_option("#import select", "outcomes")
    visitor.page.set_input_files("#import input[type=file]", bad)
    visitor.page.wait_for_selector("#preview table")
    assert "usr_331092" in visitor.text("#preview")
    visitor.page.click("#dry-run")
    visitor.page.wait_for_selector("#import-outcome .notice")
    assert "not a day" in visitor.text("#import-outcome")
    visitor.page.click(".tabs >> text=Jobs")
    visitor.ready()
    assert any("Import of outcomes" in text for text in visitor.texts("#jobs tbody th"))


def test_a_first_import_proposes_what_the_columns_mean_and_leads_to_customers(
    visit: Callable[..., Visitor], new_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    fresh = new_stack(empty=True).start()
    table = tmp_path / "shop.csv"
    rows = "".join(
        f"c{k},{'Basic' if k % 2 else 'Full'},{k % 9}.5,{k % 5},{'yes' if k % 7 == 0 else 'no'}\n" for k in range(60)
    )
    table.write_text(f"customer_id,plan,price,visits,churned\n{rows}", encoding="utf-8")
    visitor = visit(fresh).sign_in_as("analyst")
    visitor.page.click("#first-steps >> text=drop it under Data")
    visitor.ready()
    visitor.page.set_input_files("#import input[type=file]", table)
    visitor.page.wait_for_selector("#schema-form fieldset")
    assert 'label = "churned"' in visitor.page.input_value("#schema-text")
    correct_the_schema(visitor)
    corrected = visitor.page.input_value("#schema-text")
    for kind in ("outcomes", "customers"):
        visitor.page.get_by_label("The file holds", exact=True).select_option(kind)
        visitor.page.wait_for_selector("#schema-form fieldset", state="visible" if kind == "customers" else "detached")
    assert visitor.page.input_value("#schema-text") == corrected
    visitor.page.click("#dry-run")
    visitor.page.wait_for_selector("#import-outcome >> text=Tried, nothing written")
    visitor.page.click("#do-import")
    visitor.page.wait_for_selector("#import-outcome >> text=60 new customers")
    assert fresh.value("SELECT count(*) FROM customers") == 60


def correct_the_schema(visitor: Visitor) -> None:
    """The form writes the text, the text fills the form, and what is wrong stands at its column."""

    def column(name: str) -> Any:
        return visitor.page.locator(f'fieldset[data-column="{name}"]')

    def says(text: str) -> bool:
        return text in str(visitor.page.input_value("#schema-text"))

    label = column("churned")
    assert "The label is 'churned'" in label.inner_text() and "no" in label.inner_text()
    assert label.get_by_label("yes").is_checked()
    column("visits").get_by_label("Label", exact=True).fill("Calls at the shop")
    eventually(visitor, lambda: says('label = "Calls at the shop"'))
    column("visits").get_by_label("The model uses it as").select_option("out")
    eventually(visitor, lambda: says('ignore = ["visits"]') and not says('[features."visits"]'))
    column("visits").get_by_label("The model uses it as").select_option("number")
    eventually(visitor, lambda: says('label = "Calls at the shop"') and not says("ignore"))
    label.get_by_label("yes").uncheck()
    visitor.page.wait_for_selector("#schema-faults >> text=Go to the column")
    assert "say which values of the label mean churned" in label.inner_text()
    visitor.page.click("#dry-run")
    visitor.page.wait_for_selector("#import-outcome >> text=Nothing was sent")
    label.get_by_label("yes").check()
    eventually(visitor, lambda: visitor.page.locator("#schema-faults .notice").count() == 0)
    visitor.page.click("text=The same as text (TOML)")
    text = visitor.page.input_value("#schema-text")
    visitor.page.fill("#schema-text", text.replace("Calls at the shop", "Calls"))
    eventually(visitor, lambda: column("visits").get_by_label("Label", exact=True).input_value() == "Calls")
    visitor.page.fill("#schema-text", text.replace('kind = "category"', 'kind = "colour"', 1))
    visitor.page.wait_for_selector("#schema-faults >> text=Go to the column")
    visitor.page.click("#schema-faults button")
    assert visitor.page.evaluate("document.activeElement.closest('fieldset').dataset.column") == "plan"
    visitor.page.fill("#schema-text", text)
    eventually(visitor, lambda: visitor.page.locator("#schema-faults .notice").count() == 0)
    visitor.allow("status of 422")


def eventually(visitor: Visitor, is_so: Callable[[], bool]) -> None:
    for _ in range(100):
        if is_so():
            return
        visitor.page.wait_for_timeout(50)
    raise AssertionError("it never was so")


def test_an_administrator_keeps_accounts_keys_and_what_is_live(visitor: Visitor) -> None:
    visitor.sign_in_as("admin").go("people")
    visitor.page.click("text=Create an account")
    form = visitor.page.locator("#accounts-list form")
    for label, text in (("Name", "Ivy"), ("E-mail", "ivy@example.com"), ("First password", "plum tractor evening")):
        form.get_by_label(label, exact=True).fill(text)
    form.get_by_text("Create the account").click()
    visitor.page.wait_for_selector("#accounts-list >> text=ivy@example.com")
    visitor.page.locator("#keys form").get_by_label("Name").fill("nightly")
    visitor.page.click("text=Create the key")
    visitor.page.wait_for_selector("#new-key code")
    assert visitor.text("#new-key code").startswith("rs_")
    visitor.go("people/audit")
    assert any("key." in text for text in visitor.texts("#audit tbody tr"))


def test_a_first_password_is_taken_as_it_is_typed(visitor: Visitor) -> None:
    visitor.sign_in_as("admin").go("people")
    visitor.page.click("text=Create an account")
    form, password = visitor.page.locator("#accounts-list form"), " evening plum tractor "
    for label, text in (("Name", " Oli "), ("E-mail", "oli@example.com"), ("First password", password)):
        form.get_by_label(label, exact=True).fill(text)
    form.get_by_text("Create the account").click()
    visitor.page.wait_for_selector("#accounts-list >> text=oli@example.com")
    came = visitor.stack.anonymous().post("/api/auth/login", {"email": "oli@example.com", "password": password})
    assert came.status_code == 200, came.text
    assert came.json()["data"]["user"]["name"] == "Oli"


def test_an_analyst_does_not_see_what_only_administrators_may(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/people/audit")
    assert visitor.text("h1") == "No such page"
    visitor.go("people")
    assert visitor.page.locator("#accounts-list").count() == 0
    visitor.go("model/versions")
    assert visitor.page.locator("#versions button").count() == 0


def test_when_the_service_is_away_and_back_the_page_goes_on(
    visit: Callable[..., Visitor], new_stack: Callable[..., Stack]
) -> None:
    apart = new_stack().start()
    visitor = visit(apart).sign_in(at="/#/customers/usr_331092")
    visitor.allow("503")
    apart.stop("ml")
    visitor.page.locator("#what-if input[type=range]").first.focus()
    visitor.page.keyboard.press("End")
    visitor.page.wait_for_selector("#what-if-answer [role=alert]")
    apart.start("ml")
    visitor.page.click("#what-if-answer button")
    visitor.page.wait_for_selector("[data-figure=what-if]")


@pytest.mark.parametrize(
    ("path", "asked", "place"),
    [
        ("", "/api/dashboard/metrics", ".cards"),
        ("value", "/api/dashboard/value", "#value-plans"),
        ("model/live", "/api/predictions/performance", "#live"),
        ("customers/usr_331092", "/usr_331092/history", "#fact-history"),
    ],
)
def test_what_failed_for_several_parts_at_once_is_asked_for_anew(
    visitor: Visitor, path: str, asked: str, place: str
) -> None:
    visitor.sign_in(at="/#/data/jobs")
    visitor.allow("ERR_FAILED")
    of_it = re.compile(re.escape(asked))
    visitor.page.route(of_it, lambda route: route.abort())
    visitor.go(path)
    visitor.page.wait_for_selector(f"{place} [role=alert]")
    visitor.page.unroute(of_it)
    visitor.page.click(f"{place} [role=alert] button")
    visitor.until(f"!document.querySelector('{place} :is([role=alert], .skeleton)')")
    assert visitor.page.locator(f"{place} :is(table, .card)").count() > 0


def test_a_campaign_is_planned_drawn_and_says_when_its_effect_is_known(
    visit: Callable[..., Visitor], new_stack: Callable[..., Stack]
) -> None:
    apart = new_stack().start()
    visitor = visit(apart).sign_in(at="/#/campaigns")
    form = visitor.page.locator("#plan-campaign form")
    form.get_by_label("Name").fill("Standard: picks")
    form.get_by_label("Plan", exact=True).select_option("Standard")
    form.get_by_text("Check the size").click()
    visitor.page.wait_for_selector("#plan-outcome .stats")
    assert len(apart.analyst().data("/api/campaigns")["campaigns"]) == len(CAMPAIGNS), "those of the demo"
    form.get_by_text("Create the campaign").click()
    visitor.page.click("#plan-outcome >> text=Standard: picks")
    visitor.page.wait_for_selector("#effect")
    made = apart.analyst().data("/api/campaigns")["campaigns"][0]["id"]
    said = apart.analyst().data(f"/api/campaigns/{made}/effect")
    assert said["text"] in visitor.text("#effect")
    assert visitor.texts("#effect tbody th") == ["Contacted", "Left alone"]


def test_an_action_whose_measured_effect_may_be_none_says_so_beside_its_expected_value(visitor: Visitor) -> None:
    user_id = first_customer(visitor)
    ranked = visitor.stack.analyst().data(f"/api/customers/{user_id}/actions")["ranked"]
    visitor.sign_in(at=f"/#/customers/{user_id}")
    visitor.page.click("#ranked summary")
    assert visitor.texts("#ranked .action") == [each["label"] for each in ranked]
    told = visitor.texts("#ranked .fine")
    for each, text in zip(ranked, told, strict=True):
        assert (each["effect_text"] if each["is_possible"] and each["effect_text"] else each["reason"] or "") in text
    doubtful = [text for each, text in zip(ranked, told, strict=True) if each["effect_is_shown"] is False]
    assert [text for text in doubtful if "its 95 % interval includes 0" in text or "Not possible" in text] == doubtful


def test_a_customers_further_horizons_are_those_of_the_api(visitor: Visitor) -> None:
    user_id = first_customer(visitor)
    said = visitor.stack.analyst().data(f"/api/customers/{user_id}?outlook=true")["outlook"]
    visitor.sign_in(at=f"/#/customers/{user_id}")
    visitor.page.wait_for_selector("#outlook .stats")
    for each in said["within"]:
        shown = visitor.text(f"[data-figure=within-{each['days']}]")
        assert (
            shown == "–"
            if each["probability"] is None
            else number(shown) == pytest.approx(each["probability"] * 100, abs=0.11)
        )
        assert each["reason"] is None or each["reason"] in visitor.text("#outlook")
