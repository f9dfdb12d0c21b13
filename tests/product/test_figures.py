"""Every figure of the dashboard, computed anew from raw rows and compared; and what follows from a change of model."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from ml_service.data.feature_matrix import columns_from_lists
from ml_service.model.churn_model import ChurnModel
from shared.schema.features import built_in_schema
from tests.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")
CUT = 0.7
HORIZON, GRACE = 30, 30
DOCUMENTED = {
    "usr_942183": ("Premium 4K", 450.0, 14, 3, 2, 0),
    "usr_331092": ("Standard", 120.0, 3, 1, 5, 2),
    "usr_776104": ("Basic Ads", 80.0, 8, 2, 1, 1),
    "usr_210554": ("Premium 4K", 500.0, 24, 5, 12, 0),
}
#: The ledger, each row with its run: a score's moment is that of its run.
LEDGER = "predictions p JOIN scoring_runs r ON r.id = p.run_id"
FACTS = (
    "plan",
    "watch_time_hours",
    "subscription_age_months",
    "device_count",
    "last_login_days",
    "payment_failures",
)


def _later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def _last_day(stack: Stack) -> str:
    return str(stack.value("SELECT max(as_of) FROM customer_snapshots"))


def _lives(stack: Stack) -> list[Any]:
    return stack.rows("SELECT customer_id, started_at, cancelled_at, ended_at FROM subscriptions")


def _active(lives: list[Any], day: str) -> set[int]:
    return {
        r["customer_id"] for r in lives if r["started_at"] <= day and (r["ended_at"] is None or r["ended_at"] > day)
    }


def _shown(stack: Stack) -> list[Any]:
    """Present scores of active customers, as the published run has them."""
    return stack.rows(
        "SELECT s.churn_probability AS p, x.scored_run_id, c.* FROM present_ranks s"
        " JOIN published_run r ON r.run_id = s.run_id JOIN customers c ON c.id = s.customer_id"
        " LEFT JOIN present_changes x ON x.run_id = s.run_id AND x.customer_id = s.customer_id WHERE c.churn = 0"
    )


def _run_shown(stack: Stack) -> Any:
    return stack.rows("SELECT s.* FROM scoring_runs s JOIN published_run r ON r.run_id = s.id")[0]


def _labels(lives: list[Any], day: str) -> dict[int, int]:
    """Customer to whether it left: over those active at `day` and not known by then to end."""
    starts: dict[int, list[str]] = {}
    for row in lives:
        starts.setdefault(row["customer_id"], []).append(row["started_at"])
    found = {}
    for row in lives:
        end, cancelled = row["ended_at"], row["cancelled_at"]
        if row["started_at"] > day or (end is not None and end <= day) or (cancelled is not None and cancelled <= day):
            continue
        left = end is not None and end <= _later(day, HORIZON)
        back = left and any(end <= start <= _later(end, GRACE) for start in starts[row["customer_id"]])
        found[row["customer_id"]] = int(left and not back)
    return found


def _live(stack: Stack) -> Any:
    return stack.rows("SELECT m.*, t.live_from FROM models m JOIN model_timeline t ON t.model_id = m.id ORDER BY t.id")[
        -1
    ]


# --- the dashboard --------------------------------------------------------------------------------------------------


def test_the_churn_rate_is_logo_churn_of_the_last_thirty_days(stack: Stack) -> None:
    lives, last = _lives(stack), _last_day(stack)
    rates = []
    for end in (last, _later(last, -30)):
        before, after = _active(lives, _later(end, -30)), _active(lives, end)
        rates.append(len(before - after) / len(before) * 100)
    card = stack.analyst().data("/api/dashboard/metrics")["churnRate"]
    assert card["current"] == pytest.approx(rates[0], abs=0.005)
    assert card["previous"] == pytest.approx(rates[1], abs=0.005)
    assert card["change"] == f"{rates[0] - rates[1]:+.1f}%"
    assert card["period_end"] == last
    assert card["active_at_start"] == len(_active(lives, _later(last, -30)))


def test_the_history_is_the_same_rate_period_by_period(stack: Stack) -> None:
    lives = _lives(stack)
    periods = stack.analyst().data("/api/dashboard/history")
    assert len(periods) >= 12
    for period in periods:
        before, after = _active(lives, period["start"]), _active(lives, period["end"])
        assert (period["active_at_start"], period["left"]) == (len(before), len(before - after))
        assert period["rate"] == pytest.approx(len(before - after) / len(before), abs=1e-12)


def test_predicted_churners_are_counted_over_present_scores(stack: Stack) -> None:
    scores = [row["p"] for row in _shown(stack)]
    above = [p for p in scores if p > CUT]
    card = stack.analyst().data("/api/dashboard/metrics")["predictedChurners"]
    assert card["count"] == len(above)
    assert card["confidence"] == f"{sum(above) / len(above) * 100:.0f}%"
    assert card["expected"] == pytest.approx(sum(scores), abs=0.05)
    assert card["customers"] == len(scores) == stack.value("SELECT count(*) FROM customers WHERE churn = 0")
    assert card["cut"] == CUT


def test_expected_leavers_stand_beside_their_interval(stack: Stack) -> None:
    card = stack.analyst().data("/api/dashboard/metrics")["predictedChurners"]
    level = json.loads(_live(stack)["report_json"])["level"]
    scores = [row["p"] for row in _shown(stack)]
    variance = sum(p * (1 - p) for p in scores)
    assert level["sigma"] is not None and level["periods"] >= 4 and card["expected_note"] is None
    of_level = (level["sigma"] * variance) ** 2 * (1 + 1 / level["periods"])
    half = level["quantile"] * (variance + of_level) ** 0.5
    low, high = card["expected_interval"]
    assert (high - card["expected"]) == pytest.approx(half, abs=0.15)
    assert low == pytest.approx(max(0.0, card["expected"] - half), abs=0.15)
    above = stack.analyst().data("/api/dashboard/threshold?cut=0.5")
    assert above["expected_interval"][0] < above["expected_leavers"] < above["expected_interval"][1]


def test_revenue_at_risk_is_probability_times_price_over_everyone(stack: Stack) -> None:
    expected = sum(row["p"] * row["monthly_price"] for row in _shown(stack))
    assert stack.analyst().data("/api/dashboard/metrics")["predictedChurners"]["revenue_at_risk"] == pytest.approx(
        expected, abs=0.005
    )


def test_the_change_is_against_the_ledger_of_the_last_run_thirty_days_before(stack: Stack) -> None:
    until = _later(_run_shown(stack)["as_of"], -30)
    earlier = stack.rows(
        "SELECT id FROM scoring_runs WHERE kind IN ('full', 'past') AND state IN ('done', 'published') AND as_of <= ?"
        " ORDER BY as_of DESC, id DESC LIMIT 1",
        until,
    )[0]["id"]
    before = stack.value("SELECT count(*) FROM predictions WHERE run_id = ? AND churn_probability > ?", earlier, CUT)
    now = sum(row["p"] > CUT for row in _shown(stack))
    assert stack.analyst().data("/api/dashboard/metrics")["predictedChurners"]["change"] == f"{now - before:+d}"


def test_the_distribution_rounds_to_one_decimal_and_forgets_nobody(stack: Stack) -> None:
    # A probability that lies exactly between two buckets counts to the lower one.
    expected = Counter(max(0, math.ceil(row["p"] * 10 - 0.5)) for row in _shown(stack))
    found = stack.analyst().data("/api/dashboard/distribution")
    assert {round(each["bucket"] * 10): each["count"] for each in found} == {k: expected[k] for k in range(11)}


def test_the_segments_part_the_active_customers(stack: Stack) -> None:
    scores = [row["p"] for row in _shown(stack)]
    high, medium = sum(p > 0.8 for p in scores), sum(0.6 < p <= 0.8 for p in scores)
    found = stack.analyst().post("/api/customers/segment", {}).json()["data"]["segments"]
    assert [each["count"] for each in found] == [high, medium, len(scores) - high - medium]


def test_the_command_lists_the_likeliest_with_filters_and_as_json(stack: Stack) -> None:
    done = stack.command("high-risk", "--limit", "550", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 550 and done.returncode == 0
    probabilities = [row["churn_probability"] for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    listed = stack.analyst().data("/api/customers?limit=20")["customers"]
    assert [row["user_id"] for row in rows[:20]] == [row["user_id"] for row in listed]
    assert rows[0]["reasons"] == listed[0]["reasons"]
    some = stack.command(
        "high-risk", "--json", "--where", "min_probability=0.3", "--where", "plan=Premium", "--limit", "9"
    )
    assert all(json.loads(line)["churn_probability"] >= 0.3 for line in some.stdout.splitlines())
    none = stack.command("high-risk", "--where", "min_probability=1")
    assert "No scored customer passes these filters." in none.stdout
    wrong = stack.command("high-risk", "--where", "shoe_size=9")
    assert wrong.returncode == 2 and "shoe_size" in wrong.stderr


def test_the_high_risk_list_is_those_above_the_cut_in_order(stack: Stack) -> None:
    expected = sorted((row for row in _shown(stack) if row["p"] > CUT), key=lambda row: (-row["p"], row["id"]))
    found = stack.analyst().data("/api/customers/high-risk?limit=100")
    assert found["pagination"]["total"] == len(expected)
    assert [each["user_id"] for each in found["customers"]] == [row["user_id"] for row in expected[:100]]
    for each, row in zip(found["customers"], expected, strict=False):
        assert each["churn_probability"] == row["p"]
        assert each["risk_level"] == ("High" if row["p"] > 0.8 else "Medium" if row["p"] > 0.6 else "Low")
        assert (each["plan"], each["tenure_months"]) == (row["plan"], row["tenure_months"])
        days = row["last_login_days"]
        assert each["last_activity"] == {0: "Today", 1: "Yesterday"}.get(days, f"{days} days ago")


def test_our_own_list_pages_through_everyone_in_the_same_order(stack: Stack) -> None:
    expected = [row["user_id"] for row in sorted(_shown(stack), key=lambda row: (-row["p"], row["id"]))]
    api, found, after = stack.analyst(), [], ""
    while True:
        page = api.data(f"/api/customers?limit=100{after}")
        found += [each["user_id"] for each in page["customers"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == expected
    assert page["total"] == len(expected)


def test_results_are_the_newest_rows_and_the_total_of_seven_days(stack: Stack) -> None:
    found = stack.analyst().data("/api/predictions/results")
    week_ago = _later(found["timestamp"][:10], -7) + found["timestamp"][10:]
    assert found["total"] == stack.value(f"SELECT count(*) FROM {LEDGER} WHERE r.started_at >= ?", week_ago)
    newest = stack.value(f"SELECT max(r.started_at) FROM {LEDGER}")
    rows = stack.rows(
        f"SELECT p.id, c.user_id, p.churn_probability, p.confidence, r.started_at FROM {LEDGER}"
        " JOIN customers c ON c.id = p.customer_id WHERE r.started_at = ?"
        " ORDER BY p.churn_probability DESC, p.id LIMIT 100",
        newest,
    )
    names = ("id", "customer_id", "churn_probability", "confidence", "prediction_date")
    assert [tuple(each[name] for name in names) for each in found["predictions"]] == [tuple(row) for row in rows]
    assert all(each["low_confidence"] == (each["confidence"] < 0.7) for each in found["predictions"])


def test_importance_sums_to_one_over_all_features(stack: Stack) -> None:
    api = stack.analyst()
    every = api.data("/api/model/features")["features"]
    assert len(every) == api.data("/api/model/status")["features"] == len(built_in_schema().features)
    assert sum(each["importance"] for each in every) == pytest.approx(1, abs=1e-9)
    five = api.data("/api/dashboard/features")
    assert [each["value"] for each in five] == [each["importance"] for each in every[:5]]


@pytest.mark.parametrize("cut", [0, 0.05, 0.3, 0.7, 0.801, 1])
def test_what_a_cut_catches(stack: Stack, cut: float) -> None:
    scores = [row["p"] for row in _shown(stack)]
    found = stack.analyst().data(f"/api/dashboard/threshold?cut={cut}")
    assert found["customers"] == sum(p > cut for p in scores)
    assert found["all_customers"] == len(scores)
    assert found["expected_leavers"] == pytest.approx(sum(p for p in scores if p > cut), abs=1e-6)
    assert found["share_of_expected"] == pytest.approx(sum(p for p in scores if p > cut) / sum(scores), abs=1e-9)


def test_the_steps_are_what_each_cut_catches(stack: Stack) -> None:
    api = stack.analyst()
    found = api.data("/api/dashboard/threshold?steps=true")
    steps = found["steps"]
    assert api.data("/api/dashboard/threshold")["steps"] is None
    assert [step["cut"] for step in steps] == sorted((step["cut"] for step in steps), reverse=True)
    assert steps[-1]["customers"] == found["all_customers"]
    for step in steps[:: max(1, len(steps) // 5)]:
        alone = api.data(f"/api/dashboard/threshold?cut={step['cut']}")
        assert step["customers"] == alone["customers"]
        assert step["expected_leavers"] == pytest.approx(alone["expected_leavers"], abs=1e-6)
    metrics = api.data("/api/dashboard/metrics")["predictedChurners"]
    assert steps[-1]["revenue_at_risk"] == pytest.approx(metrics["revenue_at_risk"], abs=0.005)


def test_a_sample_refreshes_and_never_shrinks_what_is_shown(stack: Stack) -> None:
    api = stack.analyst()
    assert api.post("/api/predictions/generate", {}).status_code == 200
    before = api.data("/api/dashboard/metrics")["predictedChurners"]
    ledger = stack.value("SELECT count(*) FROM predictions")
    made = api.post("/api/predictions/generate", {"sample_size": 25}).json()["data"]
    assert stack.value("SELECT count(*) FROM predictions") == ledger + 25
    assert api.data("/api/dashboard/metrics")["predictedChurners"] == before
    rows = stack.rows("SELECT customer_id, churn_probability p FROM predictions WHERE run_id = ?", made["run_id"])
    assert len({row["customer_id"] for row in rows}) == 25
    shown = {row["id"]: (row["scored_run_id"], row["p"]) for row in _shown(stack)}
    assert all(shown[row["customer_id"]] == (made["run_id"], row["p"]) for row in rows)


# --- the model's figures --------------------------------------------------------------------------------------------


def _test_rows(stack: Stack, period: list[str]) -> tuple[list[Any], list[int]]:
    lives = _lives(stack)
    rows, labels = [], []
    for day in sorted({r["as_of"] for r in stack.rows("SELECT DISTINCT as_of FROM customer_snapshots")}):
        if period[0] <= day <= period[1]:
            known = _labels(lives, day)
            for row in stack.rows("SELECT * FROM customer_snapshots WHERE as_of = ? ORDER BY customer_id", day):
                if row["customer_id"] in known:
                    rows.append(row)
                    labels.append(known[row["customer_id"]])
    return rows, labels


def _auc(scores: list[float], labels: list[int]) -> float:
    """The chance that one who left scores higher than one who stayed; a tie counts half."""
    ranks: dict[float, float] = {}
    ordered = sorted(scores)
    for at, score in enumerate(ordered, start=1):
        ranks.setdefault(score, 0)
        ranks[score] += at
    counts = Counter(ordered)
    positives = sum(labels)
    total = sum(ranks[s] / counts[s] for s, y in zip(scores, labels, strict=True) if y)
    return (total - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


@pytest.mark.parametrize("view", ["test", "", "LIVE"])
def test_an_unknown_view_of_the_performance_is_refused_and_named(stack: Stack, view: str) -> None:
    answer = stack.analyst().get(f"/api/predictions/performance?view={view}")
    assert answer.status_code == 422
    assert answer.json()["error"]["details"][0]["field"] == "view"


def test_the_models_figures_are_those_of_its_held_out_rows(stack: Stack) -> None:
    api = stack.analyst()
    shown = api.data("/api/predictions/performance")
    report = json.loads(_live(stack)["report_json"])
    period, features = report["test"]["period"], list(built_in_schema().features)
    rows, labels = _test_rows(stack, period)
    assert period[1] <= _later(_last_day(stack), -(HORIZON + GRACE)), "every test row has matured"
    assert report["training_period"][1] < period[0], "nothing of the test was trained on"
    columns = {name: [row[name] for row in rows] for name in features}
    # The figures judge the sibling, which is kept with the version: the live model has seen the test rows.
    sibling = ChurnModel.load(stack.models / shown["model_version"], with_sibling=True).sibling
    assert sibling is not None
    scores = sibling.predict(columns_from_lists(sibling.schema, columns)).probability.tolist()
    tau = sibling.threshold
    hits = sum(y for s, y in zip(scores, labels, strict=True) if s >= tau)
    precision, recall = hits / sum(s >= tau for s in scores), hits / sum(labels)
    assert shown["n"] == len(rows)
    assert shown["prevalence"] == pytest.approx(sum(labels) / len(labels), abs=1e-12)
    assert shown["threshold"] == tau
    assert shown["auc"] == pytest.approx(_auc(scores, labels), abs=1e-9)
    assert shown["precision"] == pytest.approx(precision, abs=1e-9)
    assert shown["recall"] == pytest.approx(recall, abs=1e-9)
    assert shown["f1_score"] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-9)
    card, status = api.data("/api/dashboard/metrics")["modelAuc"], api.data("/api/model/status")
    assert card["score"] == shown["auc"] == status["auc_score"]
    assert card["version"] == shown["model_version"] == status["version"]
    assert card["status"] == api.data("/api/model/live")["status"]


def test_the_model_was_fitted_on_rows_that_had_matured_before_its_test(stack: Stack) -> None:
    report = json.loads(_live(stack)["report_json"])
    rows, labels = _test_rows(stack, report["training_period"])
    assert stack.analyst().data("/api/model/status")["training_samples"] == len(rows)
    assert report["training_prevalence"] == pytest.approx(sum(labels) / len(labels), abs=1e-12)


def test_the_improvement_is_over_the_champion_before_on_the_same_rows(stack: Stack) -> None:
    report = json.loads(_live(stack)["report_json"])
    before = (report["champion"] or report["baselines"]["v1_0"])["auc"]
    said = stack.analyst().data("/api/model/status")["performance"]
    assert (said["previous_auc"], said["current_auc"]) == (before, report["auc"])
    assert said["improved"] == (report["auc"] > before)
    gain = report["auc"] - before
    assert said["improvement"] == f"{gain:+.2f} ({(report['auc'] / before - 1) * 100:+.1f}%)"


def test_a_first_model_is_held_against_the_v1_baseline(stack: Stack) -> None:
    report = stack.analyst().data("/api/model/versions/2.4.1")["report"]
    assert report["champion"] is None
    assert 0.5 < report["baselines"]["v1_0"]["auc"] < report["auc"]


# --- single customers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user_id", DOCUMENTED)
def test_the_documented_customers_are_active_and_scored(stack: Stack, user_id: str) -> None:
    found = stack.analyst().data(f"/api/customers/{user_id}")
    assert tuple(found[name] for name in FACTS) == DOCUMENTED[user_id]
    assert found["churn"] == 0
    assert 0 < found["churn_probability"] < 1
    assert found["prediction_date"] is not None


def test_points_base_and_the_rest_add_up_to_the_probability(stack: Stack) -> None:
    api = stack.analyst()
    some = [each["user_id"] for each in api.data("/api/customers?limit=40")["customers"]]
    for user_id in [*DOCUMENTED, *some]:
        found = api.data(f"/api/customers/{user_id}")
        parts = found["base_probability"] + sum(each["points"] for each in found["reasons"]) + found["other_points"]
        assert parts == pytest.approx(found["churn_probability"], abs=1e-9)


@pytest.mark.parametrize("user_id", DOCUMENTED)
def test_what_is_shown_is_what_the_ml_service_says(stack: Stack, user_id: str) -> None:
    api = stack.analyst()
    found = api.data(f"/api/customers/{user_id}")
    columns = {name: [found[name]] for name in built_in_schema().features}
    body = {"model_version": found["model_version"], "columns": columns}
    answer = stack.ml("POST", "/api/predict", json=body).json()
    said = answer["predictions"][0]
    assert found["churn_probability"] == pytest.approx(said["churn_probability"], abs=1e-9)
    assert found["confidence"] == pytest.approx(said["confidence"], abs=1e-9)
    assert found["base_probability"] == pytest.approx(answer["base_probability"], abs=1e-12)
    assert [each["feature"] for each in found["reasons"]] == [each["feature"] for each in said["reasons"]]
    parts = answer["base_probability"] + sum(each["points"] for each in said["reasons"]) + said["other_points"]
    assert parts == pytest.approx(said["churn_probability"], abs=1e-9)


@pytest.mark.parametrize("user_id", DOCUMENTED)
def test_the_explained_score_adds_up_with_every_reason(stack: Stack, user_id: str) -> None:
    score = stack.analyst().data(f"/api/customers/{user_id}/actions")["score"]
    parts = score["base_probability"] + sum(each["points"] for each in score["reasons"]) + score["other_points"]
    assert len(score["reasons"]) == len(built_in_schema().features)
    assert parts == pytest.approx(score["churn_probability"], abs=1e-9)


def test_a_what_if_moves_as_two_single_scores_do(stack: Stack) -> None:
    api = stack.analyst()
    body = {"customer_id": "usr_331092", "changes": {"last_login_days": 0, "payment_failures": 0}}
    found = api.post("/api/predictions/what-if", body).json()["data"]
    facts = api.data("/api/customers/usr_331092")
    facts = {name: facts[name] for name in built_in_schema().features} | body["changes"]
    then = api.post("/api/predictions/score", {"features": facts}).json()["data"]
    assert found["after"]["churn_probability"] == pytest.approx(then["churn_probability"], abs=1e-9)
    difference = found["after"]["churn_probability"] - found["before"]["churn_probability"]
    assert found["difference"] == pytest.approx(difference, abs=1e-12)
    assert found["score_if_changed"] == found["after"]["churn_probability"]


# --- the past -------------------------------------------------------------------------------------------------------


def test_past_runs_were_scored_by_the_model_of_their_time(stack: Stack) -> None:
    timeline = stack.rows("SELECT model_id, live_from FROM model_timeline ORDER BY id")
    past = stack.rows("SELECT * FROM scoring_runs WHERE kind = 'past' ORDER BY as_of")
    assert len(past) >= 6
    assert len({run["model_id"] for run in past}) >= 2
    for run in past:
        live = [entry["model_id"] for entry in timeline if entry["live_from"] <= run["started_at"]]
        assert run["model_id"] == live[-1]


def test_no_model_of_the_past_knew_what_had_not_matured(stack: Stack) -> None:
    for row in stack.rows("SELECT m.*, t.live_from FROM models m JOIN model_timeline t ON t.model_id = m.id"):
        newest = json.loads(row["report_json"])["test"]["period"][1]
        assert _later(newest, HORIZON + GRACE) <= row["live_from"][:10]


def test_outcomes_are_there_for_matured_dates_only_and_are_right(stack: Stack) -> None:
    lives, last = _lives(stack), _last_day(stack)
    for run in stack.rows("SELECT id, as_of FROM scoring_runs WHERE state IN ('done', 'published')"):
        rows = stack.rows(
            "SELECT p.customer_id, o.churned FROM outcomes o JOIN ledger p USING (run_id, customer_id)"
            " WHERE p.run_id = ?",
            run["id"],
        )
        if run["as_of"] > _later(last, -(HORIZON + GRACE)):
            assert rows == [], f"{run['as_of']} has not matured"
            continue
        expected = _labels(lives, run["as_of"])
        scored = {
            row["customer_id"] for row in stack.rows("SELECT customer_id FROM predictions WHERE run_id = ?", run["id"])
        }
        assert {row["customer_id"]: row["churned"] for row in rows} == {k: expected[k] for k in scored}
    assert stack.value("SELECT count(*) FROM outcomes") > 0


def test_the_calibration_holds_on_the_ledger(stack: Stack) -> None:
    rows = stack.rows(
        "SELECT p.churn_probability AS p, o.churned FROM outcomes o JOIN ledger p USING (run_id, customer_id)"
    )
    expected, left = sum(row["p"] for row in rows), sum(row["churned"] for row in rows)
    noise = math.sqrt(sum(row["p"] * (1 - row["p"]) for row in rows))
    assert abs(expected - left) < 0.15 * left + 4 * noise


# --- a change of model ----------------------------------------------------------------------------------------------


@pytest.fixture
def restored(stack: Stack) -> Iterator[Stack]:
    """A stack whose live model is put back afterwards, and everyone scored by it."""
    before = _live(stack)["version"]
    yield stack
    if _live(stack)["version"] != before:
        body = {"version": before, "reason": "the test is over", "force": True}
        assert stack.person("admin").post("/api/model/promote", body).status_code == 200
        assert stack.analyst().post("/api/dashboard/predict", {}).status_code == 200


def _scored_by(stack: Stack, version: str) -> None:
    """Fail unless everything shown is that version's own answer."""
    api = stack.analyst()
    rows = _shown(stack)
    columns = {name: [row[name] for row in rows] for name in built_in_schema().features}
    answer = stack.ml("POST", "/api/predict", json={"model_version": version, "columns": columns}).json()
    said = [each["churn_probability"] for each in answer["predictions"]]
    assert [row["p"] for row in rows] == pytest.approx(said, abs=1e-12)
    assert api.data("/api/customers/high-risk")["model_version"] == version
    assert api.data("/api/customers/usr_331092")["model_version"] == version


def test_another_model_gives_other_scores_once_it_has_scored(restored: Stack) -> None:
    api, admin = restored.analyst(), restored.person("admin")
    assert api.post("/api/dashboard/predict", {}).status_code == 200
    now = _live(restored)["version"]
    _scored_by(restored, now)
    before = {row["id"]: row["p"] for row in _shown(restored)}
    said = admin.post("/api/model/promote", {"version": "2.4.1", "reason": "to see another one"})
    assert said.status_code == 200, said.text
    assert api.data("/api/model/status")["version"] == "2.4.1"
    assert {row["id"]: row["p"] for row in _shown(restored)} == before, "nothing changes before a run"
    assert api.data("/api/customers/high-risk")["model_version"] == now
    assert api.post("/api/dashboard/predict", {}).json()["data"]["model_version"] == "2.4.1"
    after = {row["id"]: row["p"] for row in _shown(restored)}
    assert after.keys() == before.keys()
    assert sum(abs(after[k] - before[k]) > 1e-6 for k in before) > len(before) / 2
    _scored_by(restored, "2.4.1")
    assert api.data("/api/predictions/performance")["model_version"] == "2.4.1"


def test_a_sample_of_another_model_does_not_mix_into_what_is_shown(restored: Stack) -> None:
    api, admin = restored.analyst(), restored.person("admin")
    assert api.post("/api/dashboard/predict", {}).status_code == 200
    now = _live(restored)["version"]
    assert admin.post("/api/model/promote", {"version": "2.4.2", "reason": "a sample first"}).status_code == 200
    before = {row["id"]: (row["p"], row["scored_run_id"]) for row in _shown(restored)}
    made = api.post("/api/predictions/generate", {"sample_size": 30}).json()["data"]
    assert made["model_version"] == "2.4.2"
    assert {row["id"]: (row["p"], row["scored_run_id"]) for row in _shown(restored)} == before
    assert api.data("/api/customers/high-risk")["model_version"] == now


def test_rolling_back_names_the_reason_in_the_timeline(restored: Stack) -> None:
    admin = restored.person("admin")
    now = _live(restored)["version"]
    promoted = admin.post("/api/model/promote", {"version": "2.4.1", "reason": "a try"})
    assert promoted.status_code == 200, promoted.text
    answer = admin.post("/api/model/promote", {"version": "2.4.1", "reason": "again"})
    assert answer.status_code == 409
    newest = restored.analyst().data("/api/model/timeline")["timeline"][0]
    assert (newest["version"], newest["reason"]) == ("2.4.1", "By hand: a try")
    answer = admin.post("/api/model/rollback", {"reason": "worse"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["version"] == now, "back to what was live before the promotion"


def test_a_model_is_live_from_when_it_was_there(stack: Stack, trained: Any) -> None:
    """A timeline that names a model before its training has ended tells of scores that it did not make."""
    version = trained.json()["data"]["metrics"]["model_version"]
    rows = stack.rows(
        "SELECT t.live_from, x.created_at FROM model_timeline t JOIN models m ON m.id = t.model_id"
        " JOIN model_metrics x ON x.model_id = m.id WHERE m.version = ? ORDER BY t.id",
        version,
    )
    for row in rows[:1]:
        assert row["live_from"] >= row["created_at"]


def test_training_the_same_data_again_gives_a_new_version_with_the_same_figures(stack: Stack, trained: Any) -> None:
    first = stack.analyst().data("/api/model/versions/2.4.3")["report"]
    again = trained.json()["data"]["metrics"]
    assert again["model_version"] != "2.4.3"
    assert again["auc"] == pytest.approx(first["auc"], abs=1e-12)
    assert again["training_samples"] == first["training_samples"]
    # An old client that asks for a training of unchanged data gets the figures of the version that stands.
    versions = len(stack.analyst().data("/api/model/versions")["versions"])
    answer = stack.analyst().post("/api/model/train", {})
    assert answer.status_code == 200 and answer.json()["data"]["unchanged"]
    assert answer.json()["data"]["metrics"]["auc"] == pytest.approx(first["auc"], abs=1e-12)
    assert len(stack.analyst().data("/api/model/versions")["versions"]) == versions
