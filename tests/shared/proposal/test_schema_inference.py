"""A schema is proposed that reads its own file, says what it guessed, and survives being written down."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidTable
from shared.proposal.schema_inference import InferredSchema, infer_schema
from shared.schema.features import Feature, Schema, built_in_schema, parse_schema, schema_from_dict
from shared.schema.subscription import Subscription
from shared.tables.read import read_table
from tests.fuzz.examples import examples

DATA = Path(os.environ.get("RETAINSTREAM_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not in {DATA} (RETAINSTREAM_DATA)")

Infer = Callable[..., InferredSchema]


@pytest.fixture
def infer(tmp_path: Path) -> Infer:
    """Infer from columns; every proposal is written down, read back and tried on its own file."""

    def from_columns(delimiter: str = ",", **columns: list[Any]) -> InferredSchema:
        path = tmp_path / "people.csv"
        with path.open("w", newline="", encoding="utf-8") as out:
            csv.writer(out, delimiter=delimiter).writerows([columns, *zip(*columns.values(), strict=True)])
        proposal = infer_schema(path)
        assert parse_schema(proposal.to_toml()) == proposal.schema
        read_table(path, proposal.schema)
        return proposal

    return from_columns


def told(proposal: InferredSchema, *words: str) -> bool:
    return any(all(word in note for word in words) for note in proposal.notes)


N = [3, 5, 8]


def test_the_label_that_somebody_names_is_taken_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("churn,renewed,n\n0,no,3\n1,yes,5\n0,no,8\n")
    assert infer_schema(path).schema.label == "churn"
    named = infer_schema(path, label="renewed").schema
    assert (named.label, named.positive) == ("renewed", ("yes",))
    assert "churn" in named.ignore, "it tells the outcome too"
    assert infer_schema(path, label="n").schema.label is None


@pytest.mark.parametrize("name", ["id", "customerID", "CustomerId", "user_id", "account", "CLIENTNUM", "msisdn"])
def test_an_id_is_known_by_its_name_and_its_values(infer: Infer, name: str) -> None:
    assert infer(**{name: ["a", "b", "c"], "n": N}).schema.id == name
    assert infer(**{name: [7, 9, 11], "n": N}).schema.id == name
    assert infer(**{name: [7.5, 9.0, 11.0], "n": N}).schema.id is None
    assert infer(**{name: ["a", "a", "c"], "n": N}).schema.id is None


def test_a_float_column_of_parquet_is_no_id(tmp_path: Path) -> None:
    path = tmp_path / "t"
    pq.write_table(pa.table({"id": [1.0, 2.0, 3.0], "n": N}), path)
    assert infer_schema(path).schema.id is None


def test_an_id_may_repeat_on_other_dates(infer: Infer) -> None:
    schema = infer(id=["a", "a", "b"], as_of=["2025-01-01", "2025-02-01", "2025-01-01"], n=N).schema
    assert (schema.id, schema.as_of) == ("id", "as_of")


@pytest.mark.parametrize("name, values, positive", [
    ("Churn", ["Yes", "No", "No"], "Yes"), ("churned", [0, 1, 0], "1"), ("Exited", ["True", "False", "True"], "true"),
    ("Attrition_Flag", ["Existing Customer", "Attrited Customer", "Existing Customer"], "Attrited Customer"),
    ("left", ["stayed", "left", "stayed"], "left"), ("Churn Label", ["not churned", "churned", "churned"], "churned"),
    ("is_cancelled", ["Y", "N", "N"], "Y"), ("target", [1, 0, 0], "1"),
])  # fmt: skip
def test_a_label_is_known_by_its_name_and_two_values(infer: Infer, name: str, values: list[Any], positive: str) -> None:
    schema = infer(**{name: values, "n": N}).schema
    assert (schema.label, schema.positive) == (name, (positive,))


def test_an_unknown_positive_value_is_the_rarer_one_and_told(infer: Infer) -> None:
    proposal = infer(churn=["A", "B", "A"], n=N)
    assert proposal.schema.positive == ("B",) and told(proposal, "rarer", "check")


def test_a_table_without_a_label_has_none(infer: Infer) -> None:
    assert infer(n=N, churn=["a", "b", "c"]).schema.label is None


def test_contract_columns_are_known_by_name(infer: Infer) -> None:
    schema = infer(
        user_id=["a", "b", "c"], email=["a@b.de", "b@b.de", "c@b.de"], signup_date=["2024-01-01", "2024-01-02", ""],
        churn_date=["", "2025-01-01", ""], cancel_reason=["", "price", ""], MonthlyCharges=[9.5, 7, 8],
        Contract=["year", "month", "month"], last_seen=["2025-01-01", "2025-01-02", "2025-01-03"],
    ).schema  # fmt: skip
    assert schema.email == "email"
    assert schema.subscription == Subscription(
        start="signup_date", end="churn_date", end_reason="cancel_reason", price="MonthlyCharges", plan="Contract"
    )
    assert schema.feature_names == ("MonthlyCharges", "Contract") and schema.ignore == ("last_seen",)


@pytest.mark.parametrize("name, values, kind", [
    ("complaints", [0, 1, 0], "number"), ("is_active", [0, 1, 0], "category"), ("Status", [1, 2, 1], "category"),
    ("area_code", [408, 415, 408], "category"), ("Tariff Plan", [1, 2, 2], "category"), ("n", [1.5, 2, 3], "number"),
    ("words", ["True", "False", "True"], "category"), ("city", ["a", "b", "a"], "category"),
    ("n", ["NA", "1", "2"], "number"), ("status_days", [1, 2, 2], "number"),
])  # fmt: skip
def test_kinds_come_from_values_and_then_from_names(infer: Infer, name: str, values: list[Any], kind: str) -> None:
    assert infer(**{name: values, "other": N}).schema.features[name].kind == kind


@pytest.mark.parametrize("name, unit", [
    ("tenure", "months"), ("last_login_days", "days"), ("WatchHours", "hours"), ("Seconds of Use", "seconds"),
    ("total_minutes", "minutes"), ("price_usd", "USD"), ("TotalCharges", "currency"), ("num_orders", "count"),
    ("payment_failures", "failures"), ("discount_pct", "percent"), ("height", None),
])  # fmt: skip
def test_units_come_from_names(infer: Infer, name: str, unit: str | None) -> None:
    assert infer(**{name: N}).schema.features[name].unit == unit


def test_a_unit_that_the_values_contradict_is_not_given(infer: Infer) -> None:
    schema = infer(balance_usd=[-1, 2, 3], order_count=[1.5, 2, 3], left_days=[1, 2, 4]).schema
    assert schema.features["balance_usd"].unit is None and schema.features["order_count"].unit is None
    assert schema.features["left_days"].whole


def test_values_may_be_missing_in_later_files(infer: Infer) -> None:
    schema = infer(n=[1, "", 2], m=N, c=["a", " ", "b"]).schema
    assert all(feature.missing for feature in schema.features.values())


def test_columns_that_help_no_model_are_left_out_and_named(infer: Infer) -> None:
    rows = 80
    proposal = infer(
        n=[k % 7 for k in range(rows)], same=["x"] * rows, blank=[""] * rows, name=[f"Name {k}" for k in range(rows)],
        letter=["x" * 300] * rows, row=list(range(rows)), churn=[k % 2 for k in range(rows)],
        gone=["yn"[k % 2] for k in range(rows)], churn_score=[k % 9 for k in range(rows)],
    )  # fmt: skip
    assert set(proposal.schema.ignore) == {"same", "blank", "name", "letter", "row", "gone", "churn_score"}
    assert told(proposal, "always the same", "same") and told(proposal, "blank") and told(proposal, "different", "name")
    assert told(proposal, "tell the outcome", "gone", "churn_score")


def test_columns_that_repeat_another_are_named(infer: Infer) -> None:
    rows = range(40)
    proposal = infer(a=[k % 3 for k in rows], b=[k % 3 for k in rows], c=["xyz"[k % 3] for k in rows])
    assert told(proposal, "'b' equals 'a'") and told(proposal, "'c' says the same as 'a'")
    assert proposal.schema.feature_names == ("a", "b", "c")


def test_texts_among_numbers_are_told(infer: Infer) -> None:
    assert told(infer(n=["1.5", "2.5", "3.5", "many", "few"], m=[1, 2, 2, 3, 4]), "'n'", "texts among its numbers")


def test_a_decimal_comma_is_recognised(infer: Infer) -> None:
    proposal = infer(";", n=["1,5", "2,5", "3"], m=N)
    assert proposal.schema.features["n"].kind == "number" and told(proposal, "decimal comma")


def test_a_table_without_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,churn\na,1\nb,0\n")
    with pytest.raises(InvalidTable, match="can be a feature"):
        infer_schema(path)


def test_the_written_schema_explains_itself(infer: Infer) -> None:
    text = infer(id=["a", "b", "c"], tenure=N, price=[1.5, 2, 3]).to_toml()
    lines = text.splitlines()
    sections = [k for k, line in enumerate(lines) if line.startswith("[")]
    assert len(sections) == 3 and all(lines[k - 1].startswith("# ") for k in sections)
    assert "# 3 different: 3 to 8" in lines


@needs_data
@pytest.mark.parametrize("name, rows", [("telco", 7043), ("iranian", 3150)])
def test_the_real_tables_are_read_by_what_is_inferred_from_them(name: str, rows: int) -> None:
    path = DATA / name / f"{name}.csv"
    proposal = infer_schema(path)
    assert parse_schema(proposal.to_toml()) == proposal.schema
    table = read_table(path, proposal.schema, label="required")
    assert table.features.num_rows == rows and table.label is not None and 0 < pc.mean(table.label).as_py() < 0.5
    assert proposal.schema.label == "Churn" and proposal.schema.id == ("customerID" if name == "telco" else None)
    assert told(proposal, "'Age' says the same as 'Age Group'") == (name == "iranian")


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=30)
TEXTS = st.none() | NAMES
AMOUNTS = st.none() | st.floats(allow_nan=False, allow_infinity=False)
FEATURES = st.builds(
    Feature, kind=st.sampled_from(["number", "category"]), unit=TEXTS, label=TEXTS, short=TEXTS, whole=st.booleans(),
    missing=st.booleans(), actionable=st.booleans(), direction=st.sampled_from(["up", "down", "none"]), action=TEXTS,
    purpose=TEXTS, step=AMOUNTS, target=AMOUNTS | NAMES,
)  # fmt: skip


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    names = iter(draw(st.lists(NAMES, min_size=12, max_size=16, unique=True)))
    label = draw(st.none() | st.just(next(names)))
    roles = {role: draw(st.none() | st.just(next(names))) for role in ("start", "end", "end_reason", "price", "plan")}
    return Schema(
        name=draw(TEXTS), label=label, positive=tuple(draw(st.lists(NAMES, min_size=1))) if label else (),
        id=draw(st.none() | st.just(next(names))), as_of=draw(st.none() | st.just(next(names))),
        email=draw(st.none() | st.just(next(names))), ignore=draw(st.sampled_from([(), (next(names),)])),
        subscription=Subscription(**roles),
        features={name: draw(FEATURES) for name in names},
    )  # fmt: skip


@settings(deadline=None, max_examples=examples(100))
@given(schemas(), st.lists(NAMES, max_size=2))
def test_any_schema_survives_toml_and_json(schema: Schema, notes: list[str]) -> None:
    text = InferredSchema(schema, tuple(notes), {name: name for name in schema.features}).to_toml()
    again = parse_schema(text)
    assert again == schema and again.feature_names == schema.feature_names
    assert schema_from_dict(schema.as_dict()) == schema


def test_the_built_in_schema_survives_toml() -> None:
    assert parse_schema(InferredSchema(built_in_schema(), ()).to_toml()) == built_in_schema()


ODD = ["", " ", "0", "1", "1.0", "-3", "2.5", "1,5", "NA", "inf", "yes", "TRUE", "2025-01-31", "a@b.de", "x" * 999]
CELLS = st.sampled_from(ODD) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
HEADERS = st.sampled_from(
    ["id", "Churn", "as_of", "email", "price", "plan", "start_date", "end", "cancel_reason", "days", "flag", " x", "x"]
)
FEW = st.lists(CELLS, min_size=1, max_size=3).flatmap(
    lambda pool: st.lists(st.sampled_from(pool), min_size=25, max_size=25)
)


@settings(deadline=None, max_examples=examples(150))
@given(st.data(), st.lists(HEADERS, min_size=1, max_size=6, unique=True), st.sampled_from([",", ";", "\t"]))
def test_what_is_inferred_reads_the_file_it_came_from(data: st.DataObject, headers: list[str], delimiter: str) -> None:
    columns = [data.draw(FEW | st.lists(CELLS, min_size=25, max_size=25)) for _ in headers]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        with path.open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
            writer.writerows([headers, *zip(*columns, strict=True)])
        try:
            proposal = infer_schema(path)
        except InvalidTable as refusal:
            assert "can be a feature" in refusal.message
            return
        assert parse_schema(proposal.to_toml()) == proposal.schema
        try:
            table = read_table(path, proposal.schema)
        except InvalidTable as refusal:
            assert {detail["field"] for detail in refusal.details} <= proposal.refused
            return
        assert table.features.column_names == list(proposal.schema.feature_names)
