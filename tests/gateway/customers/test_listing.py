"""Lists of customers: every filter, sort and page against a plain reading of the same customers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import event, select, update

from database.customers.listing import Sort
from database.tables.tables import models
from shared.contracts.report import TimeOfYear
from shared.time_of_year import level_at, points_of
from tests.gateway.customers_conftest import Small, small

One = dict[str, Any]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = small(tmp_path_factory.mktemp("listing"))
    yield made
    made.database.close()


def pages(base: Small, asked: list[tuple[str, Any]], limit: int = 7) -> list[One]:
    """All customers of a list, page by page."""
    found: list[One] = []
    after: str | None = None
    while True:
        query = [*asked, ("limit", limit), *([("after", after)] if after else [])]
        data = base.data(f"/api/customers?{urlencode(query)}")
        found += data["customers"]
        after = data["next"]
        assert data["total_is_exact"]
        if after is None:
            assert data["total"] == len(found)
            assert data["total_text"] == f"{len(found):,}"
            return found


def is_scored(one: One) -> bool:
    return one["probability"] is not None


CASES: list[tuple[list[tuple[str, Any]], Callable[[One], bool]]] = [
    ([], lambda one: True),
    ([("plan", "Standard")], lambda one: one["plan"] == "Standard"),
    ([("plan", "Standard"), ("plan", "")], lambda one: one["plan"] in ("Standard", None)),
    ([("risk", "High")], lambda one: one["probability"] > 0.8),
    ([("risk", "Medium"), ("risk", "Low")], lambda one: one["probability"] <= 0.8),
    ([("min_probability", 0.3), ("max_probability", 0.7)], lambda one: 0.3 <= one["probability"] <= 0.7),
    ([("min_tenure_months", 1), ("max_tenure_months", 5)], lambda one: one["tenure_months"] in (1, 5)),
    ([("min_monthly_price", 10)], lambda one: (one["price"] or 0) >= 10),
    ([("low_confidence", "true")], lambda one: max(one["probability"], 1 - one["probability"]) < 0.7),
    ([("low_confidence", "false")], lambda one: max(one["probability"], 1 - one["probability"]) >= 0.7),
    ([("min_confidence", 0.9)], lambda one: max(one["probability"], 1 - one["probability"]) >= 0.9),
    ([("reason", "plan")], lambda one: 0 in one["reasons"]),
    ([("reason", "call_failure"), ("reason", "=risky")], lambda one: {3, 4} & set(one["reasons"])),
    ([("feature.Call  Failure", "2")], lambda one: one["failure"] == 2),
    ([("feature.call_failure.max", "0.1")], lambda one: one["failure"] is not None and one["failure"] <= 0.1),
    ([("feature.call_failure", "")], lambda one: one["failure"] is None),
    ([("feature.=risky", "-5"), ("feature.=risky", "x")], lambda one: one["risky"] in ("-5", "x")),
    ([("q", "USR_00")], lambda one: one["user_id"].startswith("usr_00")),
    ([("q", "mail3")], lambda one: (one["email"] or "").startswith("Mail3")),
    ([("q", "=1")], lambda one: one["user_id"] == "=1+1"),
    ([("q", "%")], lambda one: False),
    ([("plan", "Standard"), ("risk", "Low"), ("feature.last_login_days.min", 3)],
     lambda one: one["plan"] == "Standard" and one["probability"] <= 0.6 and (one["last_login_days"] or 0) >= 3),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "wanted"), CASES, ids=[urlencode(asked) for asked, _ in CASES])
def test_a_filter_keeps_exactly_whom_it_says(base: Small, asked: Any, wanted: Callable[[One], bool]) -> None:
    expected = [one for one in base.people if is_scored(one) and wanted(one)]
    found = pages(base, asked)
    assert sorted(row["user_id"] for row in found) == sorted(one["user_id"] for one in expected)
    probabilities = [row["churn_probability"] for row in found]
    assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ([("scored", "any")], lambda one: True),
        ([("scored", "no")], lambda one: not is_scored(one)),
        ([("scored", "yes")], is_scored),
        ([("churned", "true")], lambda one: one["left"] == 1),
        ([("churned", "false")], is_scored),
        ([("churned", "false"), ("scored", "any")], lambda one: one["left"] == 0),
    ],
)
def test_scored_and_churned_choose_who_is_listed(base: Small, asked: Any, wanted: Callable[[One], bool]) -> None:
    found = pages(base, asked)
    assert sorted(row["user_id"] for row in found) == sorted(one["user_id"] for one in base.people if wanted(one))
    assert all((row["risk_level"] is None) == (row["churn_probability"] is None) for row in found)


VALUES: dict[str, Callable[[One], Any]] = {
    "churn_probability": lambda one: one["probability"],
    "monthly_price": lambda one: one["price"],
    "revenue_at_risk": lambda one: (
        None if one["probability"] is None or one["price"] is None else one["probability"] * one["price"]
    ),
    "tenure_months": lambda one: one["tenure_months"],
    "user_id": lambda one: one["user_id"].encode(),
    "last_activity": lambda one: None if one["last_login_days"] is None else -one["last_login_days"],
    "feature.call_failure": lambda one: one["failure"],
    "feature.last_login_days": lambda one: one["last_login_days"],
}


@pytest.mark.parametrize("scored", ["yes", "any"])
@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("key", list(VALUES))
def test_each_sort_pages_through_everybody_once_with_unknown_values_last(
    base: Small, key: str, sign: str, scored: str
) -> None:
    found = pages(base, [("sort", sign + key), ("scored", scored)], limit=9)
    by_id = {one["user_id"]: one for one in base.people}
    assert len({row["user_id"] for row in found}) == len(found)
    assert len(found) == sum(scored == "any" or is_scored(one) for one in base.people)
    values = [VALUES[key](by_id[row["user_id"]]) for row in found]
    known = [value for value in values if value is not None]
    assert values[len(known) :] == [None] * (len(values) - len(known))
    assert known == sorted(known, reverse=sign == "-")


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("key", sorted(key for key in VALUES if Sort(key).is_indexed))
def test_a_long_list_is_walked_in_the_order_of_an_index_and_never_sorted_whole(
    base: Small, key: str, sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from database.customers import listing

    monkeypatch.setattr(listing, "GATHERED", 0)  # as if the list were long
    position = base.data(f"/api/customers?limit=2&sort={sign}{key}")["next"]
    plans: list[str] = []

    def executed(connection: Any, cursor: Any, sql: str, values: Any, *_: Any) -> None:
        if "ORDER BY" in sql and " AS value" in sql and "IS NULL ORDER" not in sql.replace("\n", ""):
            found = cursor.connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
            plans.append("; ".join(str(row[3]) for row in found))

    event.listen(base.database.engine, "before_cursor_execute", executed)
    try:
        base.data(f"/api/customers?limit=2&sort={sign}{key}&after={position}")
    finally:
        event.remove(base.database.engine, "before_cursor_execute", executed)
    assert plans
    assert not any("TEMP B-TREE" in plan for plan in plans), plans


def test_the_page_that_is_there_finds_its_fields(base: Small) -> None:
    data = base.data("/api/customers?limit=1")
    assert {"customers", "next", "total", "above_cut", "cut", "model_version", "as_of"} <= set(data)
    assert isinstance(data["total"], int)
    assert data["total"] == sum(map(is_scored, base.people))
    assert {"user_id", "plan", "churn_probability", "reasons", "risk_level"} <= set(data["customers"][0])


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("colour=red", {"colour"}),
        ("feature.nothing=1", {"feature.nothing"}),
        ("feature.plan.min=1", {"feature.plan.min"}),
        ("feature.tenure_months.min=x", {"feature.tenure_months.min"}),
        ("feature.tenure_months=nan", {"feature.tenure_months"}),
        ("feature.tenure_months.min=5&feature.tenure_months.max=1", {"feature.tenure_months.min"}),
        ("min_probability=0.5&max_probability=0.4", {"min_probability"}),
        ("min_tenure_months=5&max_tenure_months=4", {"min_tenure_months"}),
        ("min_probability=2", {"min_probability"}),
        ("reason=nothing", {"reason"}),
        ("sort=shoe_size", {"sort"}),
        ("sort=feature.shoe_size", {"sort"}),
        ("sort=-feature.plan", {"sort"}),
        ("show=shoe_size", {"show"}),
        ("after=rubbish", {"after"}),
        ("after=W10", {"after"}),
        ("limit=101", {"limit"}),
    ],
)
def test_what_can_not_be_read_is_refused_with_its_field(base: Small, query: str, fields: set[str]) -> None:
    assert base.problems(f"/api/customers?{query}") == fields


def test_features_that_are_asked_for_are_shown(base: Small) -> None:
    by_id = {one["user_id"]: one for one in base.people}
    for row in base.data("/api/customers?scored=any&limit=100&show=call_failure&show==risky")["customers"]:
        one = by_id[row["user_id"]]
        assert row["features"] == {"Call  Failure": one["failure"], "=risky": one["risky"]}
    assert base.data("/api/customers?limit=1")["customers"][0]["features"] == {}


def test_a_position_is_good_for_its_own_list_only(base: Small) -> None:
    position = base.data("/api/customers?limit=2&sort=-monthly_price")["next"]
    for query in ("sort=monthly_price", "sort=-revenue_at_risk", "sort=-monthly_price&plan=Standard"):
        answer = base.get(f"/api/customers?limit=2&{query}&after={position}")
        assert answer.status_code == 422
        assert "belongs to another list" in answer.get_json()["message"]
    assert base.data(f"/api/customers?limit=3&sort=-monthly_price&after={position}")["customers"]


def test_a_large_total_is_told_as_a_bound(base: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    from database.customers import listing

    monkeypatch.setattr(listing.count, "__kwdefaults__", {"up_to": 10})
    data = base.data("/api/customers?scored=any&limit=1")
    assert (data["total"], data["total_is_exact"], data["total_text"]) == (10, False, "10+")


def test_a_history_tells_facts_scores_and_what_wrote_them(base: Small) -> None:
    key = next(one["user_id"] for one in base.people if is_scored(one))
    data = base.data("/api/customers/" + urlencode({"": key})[1:] + "/history?limit=1")
    assert [fact["as_of"] for fact in data["facts"]] == ["2026-06-30"]
    assert set(data["facts"][0]["features"]) == set(base.schema.features)
    assert data["scores"][0]["model_version"] == "1.0.0"
    assert [each["file_name"] for each in data["touched_by"]["imports"]] == ["a.csv"]
    then = base.data(
        "/api/customers/" + urlencode({"": key})[1:]
        + f"/history?limit=5&facts_before={data['next_facts']}&scores_before={data['next_scores']}"
    )  # fmt: skip
    assert [fact["as_of"] for fact in then["facts"]] == ["2026-05-20"]
    assert [score["as_of"] for score in then["scores"]] == ["2026-05-20"]
    assert (then["next_facts"], then["next_scores"]) == (None, None)
    assert base.get("/api/customers/nobody/history").status_code == 404


def test_movers_are_those_whose_probability_changed_most(base: Small) -> None:
    data = base.data("/api/customers/movers?limit=3")
    assert (data["as_of"], data["compared_with"]) == ("2026-06-30", "2026-05-20")
    changes = [one["change"] for one in data["customers"]]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] == pytest.approx(max(one["probability"] or 0 for one in base.people) / 2)
    assert base.data("/api/customers/movers?direction=down")["customers"] == []
    assert all((one["time_of_year"], one["rest"]) == (0.0, one["change"]) for one in data["customers"])


def test_time_of_year_is_a_part_of_its_own_of_a_score_and_of_a_change(base: Small) -> None:
    """A model with a level: what its runs' dates add is told apart, and everything still adds up."""
    year = {"form": "harmonic", "constant": 0.1, "cosine": 0.4, "sine": -0.2, "months": []}
    with base.database.write() as connection:
        before = connection.execute(select(models.c.id, models.c.report_json)).all()
        for row in before:
            report = {**json.loads(row.report_json or "{}"), "base_probability": 0.1, "time_of_year": year}
            connection.execute(update(models).where(models.c.id == row.id).values(report_json=json.dumps(report)))
    try:
        data = base.data("/api/customers/movers?limit=3")
        (one, *_) = data["customers"]
        form, days = TimeOfYear.model_validate(year), (data["as_of"], data["compared_with"])
        now, then = (
            points_of(level_at(form, date.fromisoformat(day)), one[name])
            for day, name in zip(days, ("churn_probability", "before"), strict=True)
        )
        assert one["time_of_year"] == pytest.approx(now - then, abs=1e-12) and one["time_of_year"] != 0
        assert one["time_of_year"] + one["rest"] == pytest.approx(one["change"], abs=1e-12)
        told = base.data(f"/api/customers/{one['user_id']}")
        assert told["time_of_year_points"] == pytest.approx(now, abs=1e-12)
        parts = told["base_probability"] + sum(each["points"] for each in told["reasons"]) + told["other_points"]
        assert parts + told["time_of_year_points"] == pytest.approx(told["churn_probability"], abs=1e-12)
    finally:
        with base.database.write() as connection:
            for row in before:
                connection.execute(update(models).where(models.c.id == row.id).values(report_json=row.report_json))


@pytest.mark.parametrize("value", ["\ud800", "a\udfff", ["usr"], True, 1e400, float("nan")])
def test_a_cursor_that_names_no_place_is_refused(base: Small, value: Any) -> None:
    path = "/api/customers?limit=2&sort=user_id"
    cursor = base.data(path)["next"]
    parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    parts[2] = value
    odd = base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")
    assert base.problems(f"{path}&after={odd}") == {"after"}
