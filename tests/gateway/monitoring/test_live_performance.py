"""Live performance over the demo: the ledger's predictions beside what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import log
from typing import Any

import pytest
from sqlalchemy import and_, func, select

from database.customers import customer_base
from database.monitoring import bands
from database.tables import tables
from gateway.cli import live as live_cli
from tests.world import World

pytestmark = pytest.mark.xdist_group("real ml service")
Run = Callable[..., tuple[int | None, str, str]]


def live(world: World, by: str) -> dict[str, Any]:
    answer = world.ask("GET", f"/api/predictions/performance?view=live&by={by}")
    assert answer.status_code == 200, answer.get_json()
    found: dict[str, Any] = answer.get_json()["data"]
    return found


def matured(world: World, by: str) -> list[dict[str, Any]]:
    return [group for group in live(world, by)["groups"] if group["stage"] == "matured"]


def rows_of(world: World, run_id: int) -> list[tuple[float, int]]:
    """(p, left) of each prediction of a run that has an outcome."""
    p, o = tables.ledger, tables.outcomes
    with world.database.read() as connection:
        both = (o.c.run_id == p.c.run_id) & (o.c.customer_id == p.c.customer_id)
        query = select(p.c.churn_probability, o.c.churned).join(o, both).where(p.c.run_id == run_id)
        return [tuple(row) for row in connection.execute(query)]


def auc(rows: list[tuple[float, int]]) -> float:
    left, stayed = [p for p, y in rows if y], [p for p, y in rows if not y]
    pairs = sum((a > b) + (a == b) / 2 for a in left for b in stayed)
    return pairs / (len(left) * len(stayed))


def test_each_runs_figures_are_those_of_its_predictions_and_outcomes(demo_world: World) -> None:
    for group in matured(demo_world, "run"):
        rows = rows_of(demo_world, group["runs"][0])
        n, left = len(rows), sum(y for _, y in rows)
        assert (group["n"], group["leavers"], group["without_outcome"]) == (n, left, 0)
        expected = sum(p for p, _ in rows)
        assert group["expected"] == pytest.approx(expected)
        assert group["observed_expected"]["value"] == pytest.approx(left / expected)
        assert group["auc"]["value"] == pytest.approx(auc(rows), abs=2e-4)
        loss = -sum(log(p if y else 1 - p) for p, y in rows) / n
        assert group["log_loss"]["value"] == pytest.approx(loss, abs=1e-4)
        assert group["brier"]["value"] == pytest.approx(sum((p - y) ** 2 for p, y in rows) / n, abs=1e-4)
        listed = [y for p, y in rows if p >= group["threshold"]]
        assert group["listed"] == len(listed)
        assert group["precision"]["value"] == pytest.approx(sum(listed) / len(listed))
        assert group["recall"]["value"] == pytest.approx(sum(listed) / left)
        low, high = group["auc"]["interval"]
        assert low < group["auc"]["value"] < high


def test_a_prediction_without_an_outcome_is_pending_and_in_no_matured_figure(demo_world: World) -> None:
    found = live(demo_world, "run")
    with demo_world.database.read() as connection:
        scores = connection.execute(select(func.count()).select_from(tables.ledger)).scalar_one()
    known = sum(group["n"] for group in found["groups"] if group["stage"] == "matured")
    assert found["pending"]["predictions"] == scores - known > 0


def test_the_month_without_its_grace_gap_is_provisional_and_todays_is_only_pending(demo_world: World) -> None:
    found = live(demo_world, "run")
    newest = found["groups"][0]
    assert [group["stage"] for group in found["groups"][:2]] == ["provisional", "matured"]
    assert newest["as_of"][0] == found["pending"]["oldest"]
    assert found["pending"]["runs"] == 2


def test_months_and_versions_and_segments_add_up_to_their_runs(demo_world: World) -> None:
    by_run = matured(demo_world, "run")
    for by in ("month", "version"):
        groups = matured(demo_world, by)
        assert Counter(run for group in groups for run in group["runs"]) == Counter(g["runs"][0] for g in by_run)
        for group in groups:
            parts = [each for each in by_run if each["runs"][0] in group["runs"]]
            for name in ("n", "leavers", "listed"):
                assert group[name] == sum(each[name] for each in parts)
            assert group["expected"] == pytest.approx(sum(each["expected"] for each in parts))
    newest, segments = matured(demo_world, "version")[0], matured(demo_world, "segment")
    assert {(each["feature"], each["value"]) for each in segments} == {
        ("plan", name) for name in ("Basic Ads", "Standard", "Premium 4K")
    }
    assert sum(each["n"] for each in segments) == newest["n"]
    assert sum(each["leavers"] for each in segments) == newest["leavers"]


def test_a_numbers_bands_add_up_to_the_version_and_hold_the_values_they_say(demo_world: World) -> None:
    path = "/api/predictions/performance?view=live&by=segment&feature=tenure_months"
    found = demo_world.ask("GET", path).get_json()["data"]["groups"]
    newest = matured(demo_world, "version")[0]
    assert {each["feature"] for each in found} == {"tenure_months"}
    assert sum(each["n"] for each in found) == newest["n"]
    assert sum(each["leavers"] for each in found) == newest["leavers"]
    names = [each["value"] for each in found]
    assert names[0].startswith("below ") and names[-1].endswith(" and more") and 3 <= len(names) <= bands.BANDS
    ends = [name.split()[-1] for name in names[:-1]]
    assert [name.split()[0] for name in names[1:]] == ends, "each begins where the one before ends"
    p, r = tables.ledger, tables.scoring_runs
    with demo_world.database.read() as connection:
        known = customer_base.get(connection)
        assert known is not None
        snap = customer_base.snapshots_table(known.schema)
        tenure = snap.c[customer_base.column_names(known.schema)["tenure_months"]]
        of = and_(snap.c.customer_id == p.c.customer_id, snap.c.as_of == r.c.as_of, p.c.facts_age == 0)
        query = select(func.count()).select_from(p).join(r, r.c.id == p.c.run_id).join(snap, of)
        counted = query.where(r.c.id.in_(newest["runs"]), tenure < float(ends[0]))
        below = connection.execute(counted).scalar_one()
    assert found[0]["n"] == pytest.approx(below, rel=0.02)


@pytest.mark.parametrize("query", ["by=segment&feature=nothing", "by=month&feature=tenure_months"])
def test_a_feature_that_makes_no_segments_is_refused(demo_world: World, query: str) -> None:
    answer = demo_world.ask("GET", f"/api/predictions/performance?view=live&{query}")
    assert (answer.status_code, answer.get_json()["error"]["details"][0]["field"]) == (422, "feature")


def test_bands_part_values_where_they_say() -> None:
    begins = [3.0, 7.5]
    names = [bands.name_of(value, begins) for value in (-1.0, 2.9, 3.0, 7.4, 7.5, 100.0)]
    assert [bands.words(name) for name in names] == [
        "below 3", "below 3", "3 to below 7.5", "3 to below 7.5", "7.5 and more", "7.5 and more",
    ]  # fmt: skip
    assert [bands.lower_end(name) for name in names] == sorted(bands.lower_end(name) for name in names)
    assert bands.words(bands.name_of(4.0, [])) == "every value"


def test_what_training_promised_stands_beside_each_version(demo_world: World) -> None:
    for group in matured(demo_world, "version"):
        report = demo_world.ask("GET", f"/api/model/versions/{group['versions'][0]}").get_json()["data"]["report"]
        promised = group["promised"]
        assert promised["auc"] == report["auc"]
        assert promised["auc_interval"] == report["intervals"]["auc"]
        assert promised["observed_expected"] == report["calibration"]["ratio"]


def test_the_command_prints_the_groups_and_what_is_pending(
    demo_world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_cli, "prepare", lambda: demo_world.environment)
    status, printed, _ = run(demo_world, "performance", "--by", "version")
    assert status is None
    lines = printed.splitlines()
    assert lines[1].endswith("provisional")
    assert lines[-1].startswith("Pending: 1,200 predictions of 2 runs")


def test_before_the_first_outcome_the_answer_says_why_it_is_empty(world: World) -> None:
    found = live(world, "run")
    assert (found["groups"], found["pending"]["predictions"]) == ([], 0)
    assert found["note"].startswith("No prediction has matured yet")
