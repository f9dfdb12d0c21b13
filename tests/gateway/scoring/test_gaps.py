"""A feature that training had complete and that many customers lack: the run stops, single scores warn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text

from database.models import models
from database.tables import tables
from gateway.query_cache import QueryCache
from gateway.services.scoring import reasons, scoring_run
from gateway.services.scoring.lookups import given_facts, live_schema
from shared.errors import ServiceError
from tests.gateway.conftest import Run
from tests.world import World, settings_of

pytestmark = pytest.mark.xdist_group("real ml service")


def lose(world: World, feature: str, customers: int) -> None:
    """The feed of a feature is late: so many of those who can be scored lack it."""
    with world.database.write() as connection:
        connection.execute(
            text(
                f"UPDATE customers SET {feature} = NULL WHERE id IN"
                " (SELECT id FROM customers WHERE churn = 0 AND ends_on IS NULL ORDER BY id LIMIT :n)"
            ),
            {"n": customers},
        )


def count(world: World, table: Any) -> int:
    with world.database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_live_model_says_what_its_training_had_complete(demo_world: World) -> None:
    with demo_world.database.read() as connection:
        live = models.live(connection)
    assert live is not None
    schema, version = live_schema(demo_world.database, QueryCache(demo_world.database))
    assert (live.version, set(live.complete_features)) == (version, set(schema.feature_names))


@pytest.mark.parametrize("sample", [None, 300])
def test_a_run_stops_before_anything_is_stored_and_names_the_feature_the_counts_and_what_to_do(
    demo_world: World, sample: int | None
) -> None:
    lose(demo_world, "payment_failures", 300)
    before = count(demo_world, tables.scoring_runs), count(demo_world, tables.ledger)
    with pytest.raises(ServiceError) as caught:
        demo_world.do("score", scoring_run.run, {"sample_size": sample})
    assert caught.value.code == "feature_missing"
    assert [detail["field"] for detail in caught.value.details] == ["payment_failures"]
    told = caught.value.message
    assert "payment_failures" in told and "--allow-missing payment_failures" in told
    assert "ALLOW_MISSING=payment_failures" in told
    assert sample is not None or "300 of 600 customers (50.0 %)" in told
    assert (count(demo_world, tables.scoring_runs), count(demo_world, tables.ledger)) == before


def test_a_run_that_is_allowed_goes_on_and_says_so_with_the_counts(demo_world: World) -> None:
    lose(demo_world, "payment_failures", 300)
    result = demo_world.do("score", scoring_run.run, {"allow_missing": ["payment_failures"]})
    assert result["predictions_generated"] == 600
    assert result["allowed_missing"] == [{"feature": "payment_failures", "missing": 300, "customers": 600}]


def test_a_setting_allows_it_for_every_run(demo_world: World) -> None:
    lose(demo_world, "payment_failures", 300)
    settings = settings_of(demo_world.database.path, ALLOW_MISSING="plan, payment_failures")
    assert settings.allow_missing == ("plan", "payment_failures")
    result = replace(demo_world, settings=settings).do("score", scoring_run.run)
    assert [each["feature"] for each in result["allowed_missing"]] == ["payment_failures"]


def test_one_allowed_feature_allows_no_other(demo_world: World) -> None:
    lose(demo_world, "payment_failures", 300)
    lose(demo_world, "last_login_days", 300)
    with pytest.raises(ServiceError) as caught:
        demo_world.do("score", scoring_run.run, {"allow_missing": ["payment_failures"]})
    assert [detail["field"] for detail in caught.value.details] == ["last_login_days"]


@pytest.mark.parametrize("missing", [20, 30])
def test_a_few_who_lack_a_feature_stop_no_run(demo_world: World, missing: int) -> None:
    lose(demo_world, "payment_failures", missing)
    result = demo_world.do("score", scoring_run.run)
    assert (result["predictions_generated"], result["allowed_missing"]) == (600, [])
    assert [each.partition(",")[0] for each in result["warnings"]] == [
        f"payment_failures is missing in {missing} of 600 rows"
    ]


def test_what_is_no_feature_can_not_be_allowed(demo_world: World) -> None:
    with pytest.raises(ServiceError) as caught:
        demo_world.do("score", scoring_run.run, {"allow_missing": ["nothing"]})
    assert (caught.value.code, caught.value.details[0]["field"]) == ("validation_failed", "allow_missing")


def test_the_command_stops_too_and_goes_on_where_it_is_allowed(demo_world: World, run: Run) -> None:
    lose(demo_world, "payment_failures", 300)
    status, _, told = run(demo_world, "score")
    assert status != 0 and "payment_failures is missing for 300 of 600" in told
    status, said, told = run(demo_world, "score", "--allow-missing", "payment_failures")
    assert status in (0, None) and "Scored 600 customers" in said
    assert "payment_failures is missing for 300 of 600 customers" in told


def test_a_single_score_warns_of_each_feature_that_is_missing(demo_world: World) -> None:
    schema, version = live_schema(demo_world.database, QueryCache(demo_world.database))
    facts = given_facts(schema, {"plan": "Standard"})
    told = reasons.explain(schema, facts, reasons.score(demo_world.ml, schema, version, [facts], as_of=None))
    assert len(told.warnings) == len(schema.features) - 1
    assert any(each.startswith(schema.feature_label("payment_failures")) for each in told.warnings)
    assert told.churn_probability < 0.3, "nothing known is no reason to call somebody a leaver"
    full = {**given_facts(schema, {"plan": "Standard"}), **dict.fromkeys(set(schema.features) - {"plan"}, 3)}
    assert (
        reasons.explain(schema, full, reasons.score(demo_world.ml, schema, version, [full], as_of=None)).warnings == []
    )


def test_a_single_score_names_a_value_that_the_model_does_not_know(demo_world: World) -> None:
    schema, version = live_schema(demo_world.database, QueryCache(demo_world.database))
    given = dict.fromkeys(set(schema.features) - {"plan"}, 3)
    for plan, hint in (("standard", " It knows 'Standard', which differs only in"), ("Gold", "")):
        facts = given_facts(schema, {**given, "plan": plan})
        answer = reasons.score(demo_world.ml, schema, version, [facts], as_of=None, reasons="all")
        told = reasons.explain(schema, facts, answer)
        (warning,) = told.warnings
        label = schema.feature_label("plan")
        assert warning.startswith(f"{label} '{plan}' is a value that the model does not know: scored as missing.{hint}")
        assert bool(hint) is ("It knows" in warning)
        assert f"{label} {plan} (scored as missing): " in next(
            r["text"] for r in told.reasons if r["feature"] == "plan"
        )


def test_a_run_names_the_values_that_the_model_does_not_know(demo_world: World, run: Run) -> None:
    with demo_world.database.write() as connection:
        for value, customers in (("standard", 30), ("Gold", 10)):
            connection.execute(
                text(
                    "UPDATE customers SET plan = :value WHERE id IN (SELECT id FROM customers"
                    " WHERE churn = 0 AND ends_on IS NULL AND plan NOT IN ('standard') ORDER BY id LIMIT :n)"
                ),
                {"value": value, "n": customers},
            )
    said = (
        "plan: 40 of 600 rows have values that the model does not know: 'standard' (30; it knows 'Standard'), "
        "'Gold' (10). Scored as missing."
    )
    assert demo_world.do("score", scoring_run.run)["warnings"] == [said]
    _, _, told = run(demo_world, "score")
    assert said in told


def test_each_route_of_single_scores_warns_and_refuses_what_is_no_number(demo_world: World) -> None:
    lose(demo_world, "payment_failures", 600)
    with demo_world.database.write() as connection:
        connection.execute(text("UPDATE customers SET plan = 'Gold' WHERE churn = 0 AND ends_on IS NULL"))
        someone = connection.execute(text("SELECT user_id FROM customers WHERE churn = 0 AND ends_on IS NULL")).scalar()

    def asked(method: str, path: str, **body: Any) -> tuple[int, dict[str, Any]]:
        answer = demo_world.ask(method, path, json=body or None)
        return answer.status_code, answer.get_json()

    _, scored = asked("POST", "/api/predictions/score", customer_id=someone)
    _, what_if = asked("POST", "/api/predictions/what-if", customer_id=someone, changes={"payment_failures": 1})
    _, actions = asked("GET", f"/api/customers/{someone}/actions")
    for told in (scored["data"], what_if["data"]["before"], actions["data"]["score"]):
        assert len(told["warnings"]) == 2
        assert any("'Gold' is a value that the model does not know" in warning for warning in told["warnings"])
    assert len(what_if["data"]["after"]["warnings"]) == 1, "the changed fact is there"
    for path, body, field in (
        ("score", {"features": {"payment_failures": False}}, "features.payment_failures"),
        ("what-if", {"customer_id": someone, "changes": {"payment_failures": True}}, "changes.payment_failures"),
    ):
        status, refused = asked("POST", f"/api/predictions/{path}", **body)
        assert (status, refused["error"]["details"][0]["field"]) == (422, field)
