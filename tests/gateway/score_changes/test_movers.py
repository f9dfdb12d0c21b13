"""Customers who moved between two dates: by page, as a file, and refused where dates or cursor make no sense."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest

from database.tables import tables
from shared.tables.formula_guard import guard_cell
from tests.gateway.customers_conftest import BEFORE, DAY, Small, small

PATH = "/api/customers/movers"
BETWEEN = f"since={BEFORE}&until={DAY}&cut=0.5"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Many of one probability; it rose for those of odd keys, fell for the others, and one was not scored before."""
    made = small(tmp_path_factory.mktemp("movers"), 120)
    ledger = tables.ledger
    first = ledger.c.run_id == 1
    with made.database.write() as connection:
        fell = ledger.update().where(first, ledger.c.customer_id % 2 == 0).values(churn_probability=0.97)
        assert connection.execute(fell).rowcount > 30
        scored = ledger.select().where(ledger.c.run_id == 2, ledger.c.churn_probability > 0.9)
        key = connection.execute(scored.order_by(ledger.c.customer_id)).first()
        assert key is not None
        connection.execute(ledger.delete().where(first, ledger.c.customer_id == key.customer_id))
    yield made
    made.database.close()


def pages(base: Small, query: str) -> Iterator[list[dict[str, Any]]]:
    after: str | None = ""
    while after is not None:
        found = base.data(f"{PATH}?{query}" + (f"&after={after}" if after else ""))
        yield found["customers"]
        after = found["next"]


def problem(base: Small, path: str) -> str:
    answer = base.get(path)
    assert answer.status_code == 422, answer.get_data(as_text=True)
    return " ".join(f"{each['field']}: {each['message']}" for each in answer.get_json()["error"]["details"])


@pytest.mark.parametrize("direction", ["up", "down", "entered", "left"])
def test_pages_and_the_file_hold_everybody_once_in_one_order(base: Small, direction: str) -> None:
    query = f"{BETWEEN}&direction={direction}"
    some = [each for page in pages(base, f"{query}&limit=7") for each in page]
    more = [each for page in pages(base, f"{query}&limit=100") for each in page]
    assert len(some) > 7
    assert some == more
    answer = base.get(f"{PATH}/export?{query}&contact=any")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="movers-{direction}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True), newline="")))
    assert [row["customer"] for row in rows] == [guard_cell(each["user_id"]) for each in some]
    known = ("" if some[0]["before"] is None else str(some[0]["before"]), some[0]["cause"])
    assert (rows[0]["probability_before"], rows[0]["cause"]) == known
    assert len({each["user_id"] for each in some}) == len(some)


def test_the_file_leaves_out_who_may_not_be_contacted_or_marks_them(base: Small) -> None:
    query = f"{BETWEEN}&direction=entered&format=ndjson"
    lines = base.get(f"{PATH}/export?{query}&contact=any").get_data(as_text=True).splitlines()
    objected = next(line for line in lines if '"contact":"allowed"' in line).split('"')[3]
    body = {"customers": [objected], "reason": "objected"}
    assert base.world.ask("POST", "/api/do-not-contact", json=body).status_code == 200
    left = base.get(f"{PATH}/export?{query}").get_data(as_text=True)
    marked = base.get(f"{PATH}/export?{query}&contact=any").get_data(as_text=True)
    base.world.ask("DELETE", f"/api/do-not-contact/{objected}")
    assert objected not in left
    (line,) = [line for line in marked.splitlines() if f'"{objected}"' in line]
    assert '"contact":"do not contact"' in line


def test_dates_in_the_wrong_order_and_a_cursor_of_another_list_are_refused(base: Small) -> None:
    wrong = "since: 2026-05-02 is after `until`, 2026-05-01"
    assert problem(base, f"{PATH}?since=2026-05-02&until=2026-05-01") == wrong
    assert problem(base, f"{PATH}/export?since=2026-05-02&until=2026-05-01") == wrong
    assert problem(base, "/api/customers/usr_0021/changes?since=2026-05-02&until=2026-05-01") == wrong
    after = base.data(f"{PATH}?{BETWEEN}&direction=up&limit=1")["next"]
    assert "another list" in problem(base, f"{PATH}?{BETWEEN}&direction=down&after={after}")
    for malformed in ("x", "W10", "bnVsbA", "WzFd"):
        assert "expected the `next`" in problem(base, f"{PATH}?{BETWEEN}&after={malformed}")


def test_a_file_of_dates_without_scores_or_for_a_viewer_is_refused(base: Small) -> None:
    assert base.get(f"{PATH}/export?until=1999-01-01").status_code == 404
    assert base.world.ask("GET", f"{PATH}/export?{BETWEEN}", "viewer").status_code == 403
