"""`retainstream schema edit` and `PATCH /api/schema`: what changes no facts is changed, the rest refused by name."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from database.accounts import audit
from database.customers import customer_base
from gateway.services.jobs import locks
from gateway.services.jobs.work import worker_is_running
from shared.clock import utc_now
from shared.schema.features import Schema, built_in_schema, load_schema, schema_from_dict
from tests.gateway.conftest import Run
from tests.shapes import is_failure
from tests.stack import wait_until
from tests.world import World

HEADER = ("user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,"
          "tenure_months,monthly_price,churn")  # fmt: skip
ROW = "ann,a@example.com,Standard,1,2,3,4,0,5,7.99,0"
Change = Callable[[dict[str, Any]], Any]


def toml_of(change: Change, schema: Schema | None = None) -> str:
    """The built-in schema, changed, as TOML."""
    raw = (schema or built_in_schema()).as_dict()
    change(raw)
    return tomli_w.dumps(raw)


def relabel(raw: dict[str, Any]) -> None:
    raw["horizon_days"] = 60
    raw["features"]["device_count"] |= {"label": "Screens", "unit": "screens", "direction": "down"}
    raw["features"]["plan"]["known_at_scoring"] = True


@pytest.fixture
def base(world: World) -> World:
    """A base of the built-in schema, without customers."""
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=world.clock)
    return world


@pytest.fixture
def edit(base: World, tmp_path: Path, run: Run) -> Callable[[str], tuple[int | None, str, str]]:
    """Runs `schema edit` with the text of a file."""

    def call(text: str) -> tuple[int | None, str, str]:
        (tmp_path / "edited.toml").write_text(text, encoding="utf-8")
        return run(base, "schema", "edit", str(tmp_path / "edited.toml"))

    return call


def schemas(world: World) -> list[Schema]:
    """The base's present schema, then all that it had."""
    with world.database.read() as connection:
        present = customer_base.get(connection)
        assert present is not None
        return [present.schema, *customer_base.versions(connection).values()]


def edits(world: World) -> list[tuple[str, str]]:
    with world.database.read() as connection:
        return [(row.actor, row.subject) for row in audit.page(connection, limit=9, action="schema.edited")]


def test_an_edit_tells_every_change_and_what_needs_a_training_and_the_audit_log_says_who(
    base: World, edit: Callable[[str], tuple[int | None, str, str]], run: Run, tmp_path: Path
) -> None:
    told = [
        "horizon_days: none -> 60",
        "features.device_count.unit: 'devices' -> 'screens'",
        "features.device_count.label: 'Device Count' -> 'Screens'",
        "features.device_count.direction: 'none' -> 'down'",
        "features.plan.known_at_scoring: false -> true",
    ]
    status, out, _ = edit(toml_of(relabel))
    lines = out.splitlines()
    assert (status, lines[:-1]) == (None, [f"Changed {each}" for each in told])
    needed = "horizon_days, features.device_count.direction, features.plan.known_at_scoring"
    assert lines[-1].endswith(f"`retainstream train` applies {needed}.")
    assert edits(base) == [("command line", "; ".join(told))]
    assert schemas(base) == [schema_from_dict(load_of(toml_of(relabel), tmp_path).as_dict())] * 2
    assert "nothing changed" in edit(toml_of(relabel))[1]
    assert len(edits(base)) == 1
    shown = tmp_path / "shown.toml"
    shown.write_text(run(base, "schema", "show")[1], encoding="utf-8")
    assert (load_schema(shown).horizon_days, load_schema(shown).feature_label("device_count")) == (60, "Screens")
    assert "nothing changed" in run(base, "schema", "edit", str(shown))[1]


def load_of(text: str, folder: Path) -> Schema:
    (folder / "wanted.toml").write_text(text, encoding="utf-8")
    return load_schema(folder / "wanted.toml")


REFUSED: dict[str, tuple[Change, str]] = {
    "a role": (lambda s: s.update(label="gone"), "`label`"),
    "a column of the subscription": (lambda s: s.update(subscription={"plan": "plan"}), "`subscription.price`"),
    "a type": (lambda s: s["features"]["plan"].update(kind="number"), "`features.plan.kind`"),
    "a new feature": (lambda s: s["features"].update(calls={"kind": "number"}), "`retainstream schema extend FILE`"),
    "a feature less": (lambda s: s["features"].pop("plan"), "--without plan"),
}


@pytest.mark.parametrize(("change", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_facts_depend_on_is_refused_by_both_doors_and_nothing_changes(
    base: World, edit: Callable[[str], tuple[int | None, str, str]], change: Change, says: str
) -> None:
    def both(raw: dict[str, Any]) -> None:
        change(raw)
        raw["features"]["device_count"]["label"] = "Screens"

    status, _, told = edit(toml_of(both))
    assert (status, says in told) == (2, True), told
    body = is_failure(base.ask("PATCH", "/api/schema", "admin", json={"schema": toml_of(both)}), 422, "invalid_schema")
    assert says in body["message"]
    assert schemas(base) == [built_in_schema()] * 2
    assert edits(base) == []


def test_a_patch_answers_with_old_and_new_values_and_what_needs_a_training(base: World) -> None:
    answer = base.ask("PATCH", "/api/schema", "admin", json={"schema": toml_of(relabel)})
    assert answer.status_code == 200, answer.text
    data = answer.get_json()["data"]
    label = {"feature": "device_count", "key": "label", "old": "Device Count", "new": "Screens"}
    assert {"field": "features.device_count.label", **label} in data["changed"]
    assert data["needs_training"] == [
        "horizon_days", "features.device_count.direction", "features.plan.known_at_scoring",
    ]  # fmt: skip
    assert data["table_schema"] == base.ask("GET", "/api/schema").get_json()["data"]["table_schema"]
    assert data["table_schema"]["features"]["device_count"]["label"] == "Screens"
    again = base.ask("PATCH", "/api/schema", "admin", json={"schema": toml_of(relabel)}).get_json()["data"]
    assert (again["changed"], again["needs_training"]) == ([], [])
    assert [actor for actor, _ in edits(base)] == ["user"]


def test_only_administrators_edit_and_an_empty_base_has_nothing_to_edit(world: World) -> None:
    body = {"schema": toml_of(relabel)}
    is_failure(world.ask("PATCH", "/api/schema", "analyst", json=body), 403)
    assert "import a table first" in is_failure(world.ask("PATCH", "/api/schema", "admin", json=body))["message"]


def test_nothing_is_edited_while_an_import_is_written(
    base: World, edit: Callable[[str], tuple[int | None, str, str]]
) -> None:
    with locks.alone(base.work("import"), locks.IMPORTS, "Waiting"):
        status, _, told = edit(toml_of(relabel))
        is_failure(base.ask("PATCH", "/api/schema", "admin", json={"schema": toml_of(relabel)}), 409)
    assert (status, "An import is being written" in told) == (2, True)
    assert schemas(base) == [built_in_schema()] * 2
    assert edit(toml_of(relabel))[0] is None


def test_an_edit_reaches_the_schema_that_an_earlier_model_is_read_by(
    base: World, edit: Callable[[str], tuple[int | None, str, str]], run: Run, tmp_path: Path
) -> None:
    def further(raw: dict[str, Any]) -> None:
        raw["features"]["calls"] = {"kind": "number"}

    wide = tmp_path / "wide.toml"
    wide.write_text(toml_of(further), encoding="utf-8")
    assert run(base, "schema", "extend", str(wide))[0] is None
    checksums = [schema.checksum() for schema in schemas(base)]
    assert edit(toml_of(relabel, load_schema(wide)))[0] is None
    assert [schema.checksum() for schema in schemas(base)] == checksums
    assert [schema.feature_label("device_count") for schema in schemas(base)] == ["Screens"] * 3
    assert [len(schema.features) for schema in schemas(base)] == [8, 7, 8]


def test_an_extension_changes_no_words_and_names_what_differs_by_both_doors(
    base: World, run: Run, tmp_path: Path
) -> None:
    def further(name: str) -> Change:
        def change(raw: dict[str, Any]) -> None:
            raw["features"][name] = {"kind": "number"}
            raw["features"]["plan"]["label"] = "Tariff"
            raw["horizon_days"] = 60

        return change

    file = tmp_path / "wide.toml"
    file.write_text(toml_of(further("calls")), encoding="utf-8")
    status, out, told = run(base, "schema", "extend", str(file))
    assert (status, out.startswith("Added calls.")) == (None, True)
    assert "features.plan.label: 'Plan' -> 'Tariff': not changed; `retainstream schema edit FILE`" in told
    text = toml_of(further("visits"), load_schema(file))
    data = base.ask("POST", "/api/schema/extend", "admin", json={"schema": text}).get_json()["data"]
    assert (data["added"], len(data["notes"])) == (["visits"], 2)
    assert "PATCH /api/schema" in data["notes"][0]
    assert (schemas(base)[0].feature_label("plan"), schemas(base)[0].horizon_days) == ("Plan", None)


def test_an_import_with_another_label_says_so_by_both_doors_and_changes_nothing(
    make_world: Callable[..., World], run: Run, tmp_path: Path
) -> None:
    world = make_world(at=utc_now)
    table, other = tmp_path / "a.csv", tmp_path / "other.toml"
    table.write_text(f"{HEADER}\n{ROW}\n", encoding="utf-8")
    other.write_text(toml_of(lambda raw: raw["features"]["plan"].update(label="Tariff")), encoding="utf-8")
    assert "Tariff" not in run(world, "import", str(table), "--schema", "retainstream", "--as-of", "2024-05-01")[2]
    _, _, told = run(world, "import", str(table), "--schema", str(other), "--as-of", "2024-05-02")
    note = "plan: `label` is 'Tariff' in this file's schema and 'Plan' in the base, which keeps its own"
    assert note in told and "`retainstream schema edit FILE`" in told
    with world.working():
        wait_until(lambda: worker_is_running(world.database, world.clock), "the worker runs", 10, 0.01)
        form = {"file": (io.BytesIO(table.read_bytes()), "a.csv"), "schema": other.read_text(), "as_of": "2024-05-03"}
        answer = world.ask("POST", "/api/customers/import", data=form)
    assert any(each.startswith(note) for each in answer.get_json()["data"]["notes"]), answer.text
    assert schemas(world)[0] == built_in_schema()


def test_lists_and_scores_show_a_new_label_at_once(demo_world: World) -> None:
    def answers() -> list[Any]:
        listed = demo_world.ask("GET", "/api/customers?limit=100&reason=last_login_days")
        user_id = listed.get_json()["data"]["customers"][0]["user_id"]
        factors = demo_world.ask("GET", "/api/model/features")
        body = {"customer_id": user_id, "reasons": "all"}
        return [listed, factors, demo_world.ask("POST", "/api/predictions/score", json=body)]

    def absence(raw: dict[str, Any]) -> None:
        raw["features"]["last_login_days"] |= {"label": "Absence", "unit": "nights"}

    before = answers()
    assert all("Last Login" in answer.text and "Absence" not in answer.text for answer in before)
    edited = demo_world.ask("PATCH", "/api/schema", "admin", json={"schema": toml_of(absence)})
    assert edited.status_code == 200, edited.text
    after = answers()
    assert all("Absence" in answer.text and "Last Login" not in answer.text for answer in after)
    assert " nights: " in after[0].text and " nights: " in after[2].text
    assert before[0].headers["ETag"] != after[0].headers["ETag"]
