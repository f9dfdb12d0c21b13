"""The dashboard's figures from roll-ups, against plain counts."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from database.customers import customers, listing
from database.customers.filters import Filters
from database.customers.listing import Position
from database.scoring import runs, score_figures
from database.tables import tables
from shared.clock import days_later
from tests.database.facts import Facts, full_run

Make = Callable[..., Facts]


def scored(here: Facts, scores: list[float]) -> int:
    ids = here.people(len(scores))
    return full_run(here.database, here.model(), dict(zip(ids, scores, strict=True)))


def test_the_distribution_is_a_count_of_probabilities_rounded_to_one_decimal(facts_of: Make) -> None:
    here = facts_of()
    rng = random.Random(3)
    scores = [0.0, 1.0, 0.049, 0.0501, 0.94, 0.951, *(rng.random() for _ in range(500))]
    run_id = scored(here, scores)
    with here.database.read() as connection:
        found = score_figures.distribution(connection, run_id)
    assert found == [sum(int(p * 10 + 0.5) == bucket for p in scores) for bucket in range(11)]
    assert sum(found) == len(scores)


def test_a_probability_half_way_between_two_buckets_is_counted_in_exactly_one(facts_of: Make) -> None:
    here = facts_of()
    run_id = scored(here, [k / 100 for k in range(5, 100, 10)])
    with here.database.read() as connection:
        found = score_figures.distribution(connection, run_id)
    assert sum(found) == 10
    assert found in ([1] * 10 + [0], [0] + [1] * 10)


def test_segments_are_above_eight_tenths_above_six_tenths_and_the_rest(facts_of: Make) -> None:
    here = facts_of()
    rng = random.Random(5)
    scores = [0.0, 0.6, 0.6001, 0.8, 0.8001, 1.0, *(rng.random() for _ in range(200))]
    run_id = scored(here, scores)
    with here.database.read() as connection:
        found = score_figures.segments(connection, run_id)
    high, medium = sum(p > 0.8 for p in scores), sum(0.6 < p <= 0.8 for p in scores)
    assert found == (high, medium, len(scores) - high - medium)


def test_before_the_first_run_there_is_nothing_to_count(facts_of: Make) -> None:
    here = facts_of()
    with here.database.read() as connection:
        assert runs.published(connection) is None
        assert score_figures.distribution(connection, None) == [0] * 11
        assert score_figures.segments(connection, None) == (0, 0, 0)
        assert score_figures.run_before(connection, "2026-06-30") is None
        assert score_figures.recent_predictions(connection, limit=10, since="") == ([], 0)


def test_the_run_before_is_the_last_whole_one_thirty_days_or_more_back(facts_of: Make) -> None:
    here = facts_of()
    key, model, today = here.customer("a"), here.model(), "2026-06-30"

    def run(back: int, **more: object) -> int:
        return full_run(here.database, model, {key: 0.5}, as_of=days_later(today, -back), **more)  # type: ignore[arg-type]

    run(29)
    wanted = run(30, kind="past")
    run(31, kind="past")
    run(30, kind="sample")
    run(30, publish=False)
    with here.database.read() as connection:
        assert score_figures.run_before(connection, today) == wanted


def test_recent_predictions_are_the_newest_finished_runs_highest_first(facts_of: Make) -> None:
    here = facts_of()
    ids, model = [here.customer(f"u{k}") for k in range(5)], here.model()
    full_run(here.database, model, dict.fromkeys(ids, 0.9), as_of="2026-05-01", kind="past")
    full_run(here.database, model, dict(zip(ids, (0.1, 0.5, 0.3, 0.5, 0.2), strict=True)))
    full_run(here.database, model, dict.fromkeys(ids, 1.0), publish=False)
    with here.database.read() as connection:
        rows, total = score_figures.recent_predictions(connection, limit=3, since="2026-06-23")
        _, since_then = score_figures.recent_predictions(connection, limit=3, since="2026-07-01")
    assert [(row.user_id, row.churn_probability) for row in rows] == [("u1", 0.5), ("u3", 0.5), ("u2", 0.3)]
    assert (total, since_then) == (5, 0)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_paging_by_key_shows_everybody_once_in_the_order_of_risk_ties_too(facts_of: Make, size: int) -> None:
    here = facts_of()
    scores = [0.5, 0.1, 0.5, 0.9, 0.5, 0.0, 0.9, 1.0, 0.1, 0.3]
    scored(here, scores)
    found: list[dict[str, Any]] = []
    after = None
    with here.database.read() as connection:
        while page := listing.page(connection, here.schema, Filters(is_scored=True), limit=size, after=after):
            found += page
            after = Position(page[-1]["churn_probability"], page[-1]["id"])
        by_offset = [
            row["id"]
            for at in range(0, len(scores), size)
            for row in customers.ranked(connection, here.schema, limit=size, offset=at)
        ]
    assert by_offset == [row["id"] for row in found]
    assert [(row["churn_probability"], row["id"]) for row in found] == sorted(
        ((row["churn_probability"], row["id"]) for row in found), key=lambda pair: (-pair[0], pair[1])
    )
    assert sorted(row["churn_probability"] for row in found) == sorted(scores)


def test_the_list_above_a_cut_leaves_out_the_cut_itself(facts_of: Make) -> None:
    here = facts_of()
    scored(here, [0.7, 0.7001, 0.9, 0.2])
    with here.database.read() as connection:
        rows = customers.ranked(connection, here.schema, limit=10, above=0.7)
    assert [row["churn_probability"] for row in rows] == [0.9, 0.7001]


@pytest.mark.parametrize(
    ("search", "found"), [("u0", 2), ("u00_0", 0), ("%", 0), ("100%", 1), ("mail", 1), ("back\\", 1), ("", 5), ("'", 0)]
)
def test_a_search_is_a_beginning_taken_literally(facts_of: Make, search: str, found: int) -> None:
    here = facts_of()
    names = ["u0000", "u0100", "100% sure", "back\\slash", "x"]
    ids = [here.customer(name) for name in names]
    with here.database.write() as connection:
        c = tables.customers
        connection.execute(update(c).where(c.c.id == ids[-1]).values(email="mail@example.com"))
    full_run(here.database, here.model(), dict.fromkeys(ids, 0.5))
    with here.database.read() as connection:
        assert len(listing.page(connection, here.schema, Filters(prefix=search), limit=10)) == found


def test_one_customer_has_every_column_its_features_and_its_score(facts_of: Make) -> None:
    here = facts_of()
    scored(here, [0.25])
    with here.database.read() as connection:
        row = customers.one(connection, here.schema, "u0000")
        assert customers.one(connection, here.schema, "nobody") is None
    assert row is not None
    assert {c.name for c in tables.customers.columns} <= set(row)
    assert (row["churn_probability"], row["confidence"], row["reason_1"], row["x"]) == (0.25, 0.75, 0, None)
