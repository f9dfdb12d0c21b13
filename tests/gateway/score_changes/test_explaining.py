"""Why scores changed, by the real ML service over the demo's runs and models."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from typing import Any

import pytest
from sqlalchemy import select

from database.customers.customer_base import snapshots_table
from database.scoring.score_changes import Score
from database.tables import tables
from gateway.services.score_changes.explaining import Ends, Levels, Values, log_odds, split_change
from shared.schema.features import built_in_schema
from tests.world import World

pytestmark = pytest.mark.xdist_group("real ml service")
PARTS = ("data", "corrected", "model", "calibration", "time_of_year", "unexplained")
ledger, runs = tables.ledger, tables.scoring_runs
SNAPSHOTS = snapshots_table(built_in_schema())


@pytest.fixture
def dates(demo_world: World) -> list[tuple[str, int]]:
    """(date, model) of the demo's runs, oldest first."""
    with demo_world.database.read() as connection:
        rows = connection.execute(select(runs.c.as_of, runs.c.model_id).order_by(runs.c.id)).all()
    return [(row.as_of, row.model_id) for row in rows]


def customers_of_both(world: World, since: str, until: str, count: int = 6) -> list[str]:
    """Customers whom runs of both dates scored, those of the highest later scores."""
    then, first, c = ledger.alias(), runs.alias(), tables.customers
    query = (
        select(c.c.user_id)
        .join_from(ledger, runs, runs.c.id == ledger.c.run_id)
        .join(then, then.c.customer_id == ledger.c.customer_id)
        .join(first, first.c.id == then.c.run_id)
        .join(c, c.c.id == ledger.c.customer_id)
        .where(runs.c.as_of == until, first.c.as_of == since)
        .order_by(ledger.c.churn_probability.desc())
        .limit(count)
    )
    with world.database.read() as connection:
        return list(connection.execute(query).scalars())


def changes(world: World, user_id: str, since: str, until: str) -> Any:
    answer = world.ask("GET", f"/api/customers/{user_id}/changes?since={since}&until={until}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def adds_up(found: Any) -> None:
    assert sum(found["parts"][name] for name in PARTS) == pytest.approx(found["change_log_odds"], abs=1e-9)
    assert sum(found["points"][name] for name in PARTS) == pytest.approx(found["change"], abs=1e-9)
    for part in ("data", "corrected"):
        assert sum(each[part] for each in found["features"]) == pytest.approx(found["parts"][part], abs=1e-9)


def test_the_parts_add_up_and_nothing_is_unexplained(demo_world: World, dates: list[tuple[str, int]]) -> None:
    (since, old), (until, new) = dates[0], dates[-1]
    assert old != new
    people = customers_of_both(demo_world, since, until)
    assert people
    found = [changes(demo_world, each, since, until) for each in people]
    for each in found:
        adds_up(each)
        assert each["parts"]["unexplained"] == pytest.approx(0.0, abs=1e-9)
        assert (each["parts"]["corrected"], each["parts"]["time_of_year"]) == (0.0, 0.0)
        assert all(part["before"] != part["after"] for part in each["features"])
    assert any(abs(each["parts"]["model"]) > 0.01 for each in found)
    assert any(abs(each["parts"]["calibration"]) > 0.001 for each in found)
    assert any(abs(each["parts"]["data"]) > 0.1 for each in found)


def test_an_unchanged_model_has_no_part(demo_world: World, dates: list[tuple[str, int]]) -> None:
    since, until = next((a, b) for (a, m), (b, n) in pairwise(dates) if m == n)
    for each in customers_of_both(demo_world, since, until, 3):
        found = changes(demo_world, each, since, until)
        adds_up(found)
        assert (found["parts"]["model"], found["parts"]["calibration"]) == (0.0, 0.0)
        assert found["before"]["model_version"] == found["after"]["model_version"]


def rewrite(world: World, user_id: str, day: str, source: str, **more: Any) -> None:
    """Give a customer the facts of another day, or a correction of a day's facts."""
    c = tables.customers
    with world.database.write() as connection:
        key = connection.execute(select(c.c.id).where(c.c.user_id == user_id)).scalar_one()
        query = select(SNAPSHOTS).where(SNAPSHOTS.c.customer_id == key, SNAPSHOTS.c.as_of == source)
        row = dict(connection.execute(query).mappings().one())
        row.pop("id")
        if "known_at" in more:
            connection.execute(SNAPSHOTS.insert().values({**row, **more}))
        else:
            own = {name: row[name] for name in SNAPSHOTS.columns.keys()[6:]}
            these = (SNAPSHOTS.c.customer_id == key, SNAPSHOTS.c.as_of == day)
            connection.execute(SNAPSHOTS.update().where(*these).values(own))


def test_unchanged_facts_have_no_part(demo_world: World, dates: list[tuple[str, int]]) -> None:
    (since, _), (until, _) = dates[0], dates[-1]
    (person,) = customers_of_both(demo_world, since, until, 1)
    rewrite(demo_world, person, until, since)
    found = changes(demo_world, person, since, until)
    adds_up(found)
    assert (found["parts"]["data"], found["parts"]["corrected"], found["features"]) == (0.0, 0.0, [])
    assert abs(found["parts"]["unexplained"]) > 1e-3, "the stored score was made from other facts"


def test_facts_that_were_corrected_later_stand_apart(demo_world: World, dates: list[tuple[str, int]]) -> None:
    (since, _), (until, _) = dates[0], dates[-1]
    (person,) = customers_of_both(demo_world, since, until, 1)
    before = changes(demo_world, person, since, until)
    rewrite(demo_world, person, since, since, known_at=until, last_login_days=89)
    found = changes(demo_world, person, since, until)
    adds_up(found)
    assert found["parts"]["corrected"] != 0
    assert found["parts"]["unexplained"] == pytest.approx(0.0, abs=1e-9)
    assert found["change_log_odds"] == before["change_log_odds"]
    assert found["parts"]["model"] == before["parts"]["model"]
    (login,) = [each for each in found["features"] if each["feature"] == "last_login_days"]
    assert login["before_corrected"] == 89
    assert login["before"] != 89
    assert login["corrected"] == pytest.approx(found["parts"]["corrected"], abs=1e-9)


def test_who_has_no_two_scores_or_no_facts_is_told(demo_world: World, dates: list[tuple[str, int]]) -> None:
    (since, _), (until, _) = dates[0], dates[-1]
    (person,) = customers_of_both(demo_world, since, until, 1)
    assert demo_world.ask("GET", f"/api/customers/{person}/changes?until=2020-01-01").status_code == 404
    assert demo_world.ask("GET", f"/api/customers/{person}/changes?since={until}").status_code == 404
    assert demo_world.ask("GET", "/api/customers/nobody/changes").status_code == 404
    with demo_world.database.write() as connection:
        connection.execute(SNAPSHOTS.delete().where(SNAPSHOTS.c.as_of == since))
    answer = demo_world.ask("GET", f"/api/customers/{person}/changes?since={since}")
    assert answer.status_code == 409
    assert "are not kept" in answer.get_json()["message"]


def movers(world: World, query: str) -> Any:
    answer = world.ask("GET", f"/api/customers/movers?{query}")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()["data"]


def probabilities(world: World, day: str) -> dict[int, float]:
    query = select(ledger.c.customer_id, ledger.c.churn_probability).join(runs, runs.c.id == ledger.c.run_id)
    with world.database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query.where(runs.c.as_of == day))}


def test_who_entered_and_left_the_list_between_two_dates_and_why(
    demo_world: World, dates: list[tuple[str, int]]
) -> None:
    (since, _), (until, _) = dates[1], dates[-2]
    then, now = probabilities(demo_world, since), probabilities(demo_world, until)
    query = f"since={since}&until={until}&cut=0.2&limit=100"
    entered, left = movers(demo_world, f"{query}&direction=entered"), movers(demo_world, f"{query}&direction=left")
    assert (entered["as_of"], entered["compared_with"], entered["cut"]) == (until, since, 0.2)
    assert len(entered["customers"]) == min(100, sum(p > 0.2 and then.get(k, 0) <= 0.2 for k, p in now.items()))
    assert len(left["customers"]) == min(100, sum(p > 0.2 and now.get(k, 0) <= 0.2 for k, p in then.items()))
    assert {"score", "not scored before"} == {each["cause"] for each in entered["customers"]}
    assert "has left" in {each["cause"] for each in left["customers"]}
    for each in entered["customers"]:
        assert (each["before"] is None) == (each["cause"] == "not scored before")


def test_each_mover_is_split_as_its_own_changes_are(demo_world: World, dates: list[tuple[str, int]]) -> None:
    (since, _), (until, _) = dates[0], dates[-1]
    found = movers(demo_world, f"since={since}&until={until}&why=true&limit=4")["customers"]
    assert found
    for each in found:
        alone = changes(demo_world, each["user_id"], since, until)
        assert each["parts"] == {name: pytest.approx(alone["parts"][name], abs=1e-9) for name in PARTS}
    assert movers(demo_world, f"since={since}&limit=1")["customers"][0]["parts"] is None


def test_two_dates_of_one_run_have_no_movers(demo_world: World, dates: list[tuple[str, int]]) -> None:
    found = movers(demo_world, f"since={dates[-1][0]}")
    assert (found["customers"], found["compared_with"]) == ([], None)


def test_levels_of_the_dates_are_a_part_and_those_of_the_models_belong_to_the_calibration() -> None:
    def score(probability: float) -> Score:
        return Score(1, 1, "2026-05-31", "2026-05-31", "2026-05-31", "1.0.0", "0", probability)

    sides = (Values([-2.0, -2.0, -1.0], [-3.0, -3.0, -2.5]), Values([-1.5, -1.5, -0.75], [-2.0, -2.0, -1.0]))
    levels = Levels(then=(0.5, 0.1), now=(0.3, -0.2))
    stored = [1 / (1 + exp(-odds)) for odds in (sides[0].odds[0] + 0.5, sides[1].odds[2] - 0.2)]
    parts = split_change(score(stored[0]), score(stored[1]), sides, Ends(0, 1, 2), levels)
    assert parts.time_of_year == pytest.approx(((0.1 - 0.5) + (-0.2 - 0.3)) / 2)
    assert parts.calibration == pytest.approx((-0.5 - 1.25) / 2 + ((0.3 - 0.5) + (-0.2 - 0.1)) / 2)
    assert (parts.data, parts.corrected, parts.model) == pytest.approx((0.875, 0.0, 1.25))
    assert parts.unexplained == pytest.approx(0.0, abs=1e-12)
    assert sum(vars(parts).values()) == pytest.approx(log_odds(stored[1]) - log_odds(stored[0]), abs=1e-12)
