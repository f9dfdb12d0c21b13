"""A feature schema is read whole, or refused with the field that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidInput, InvalidSchema
from shared.schema.features import (
    MAX_FEATURES,
    Schema,
    built_in_schema,
    load_schema,
    parse_schema,
    schema_from_dict,
    snake,
)

NUMBER = {"kind": "number"}
EXAMPLES = Path(__file__).parents[3] / "examples"


def make(**changes: Any) -> Schema:
    return schema_from_dict({"features": {"n": NUMBER, "c": {"kind": "category"}}, **changes})


def test_the_built_in_schema_describes_the_documented_table() -> None:
    schema = built_in_schema()
    assert schema is built_in_schema() and schema == load_schema("retainstream")
    assert schema.numbers == (
        "watch_time_hours", "subscription_age_months", "device_count", "last_login_days", "payment_failures",
        "tenure_months",
    )  # fmt: skip
    assert schema.categories == ("plan",) and schema.plan_feature == "plan" and schema.tenure_feature == "tenure_months"


@pytest.mark.parametrize("name", ["telco", "iranian"])
def test_the_examples_are_schemas(name: str) -> None:
    schema = load_schema(EXAMPLES / f"{name}.toml")
    assert schema.label == "Churn" and schema.plan_feature is not None
    for feature in schema.features.values():
        assert bool(feature.action) == bool(feature.purpose) == feature.actionable


def test_features_keep_the_order_of_the_file() -> None:
    kinds = {"b": "number", "a": "category", "c": "number"}
    schema = parse_schema("".join(f'[features.{name}]\nkind = "{kind}"\n' for name, kind in kinds.items()))
    assert schema.feature_names == ("b", "a", "c") and schema.numbers == ("b", "c") and schema.categories == ("a",)


def test_names_for_people_fall_back_on_the_longer_one() -> None:
    kilo = {**NUMBER, "label": "Kilo", "short": "K"}
    schema = make(features={"n": NUMBER, "m": {**NUMBER, "label": "Much"}, "k": kilo})
    assert [schema.feature_label(name) for name in "nmk"] == ["n", "Much", "Kilo"]
    assert [schema.feature_short(name) for name in "nmk"] == ["n", "Much", "K"]


@pytest.mark.parametrize("changes, field, told", [
    ({"features": {}}, "features", "at least one"),
    ({"features": {f"f{k}": NUMBER for k in range(MAX_FEATURES + 1)}}, "features", "at most 500"),
    ({"label": "y"}, "positive", "which values"),
    ({"positive": ["1"]}, "label", "no `label`"),
    ({"id": "n"}, "id", "'n'"),
    ({"as_of": "n"}, "as_of", "'n'"),
    ({"email": "c"}, "email", "'c'"),
    ({"label": "c", "positive": ["1"]}, "label", "'c'"),
    ({"subscription": {"end": "n"}}, "subscription.end", "outcome"),
    ({"ignore": ["n"]}, "ignore", "'n'"),
    ({"features": {"n": {"kind": "text"}}}, "features.n.kind", "number"),
    ({"features": {"n": {"kind": "number", "colour": "red"}}}, "features.n.colour", "not permitted"),
    ({"features": {"n": {"kind": "number", "step": float("inf")}}}, "features.n.step", "finite"),
    ({"subscription": {"begin": "x"}}, "subscription.begin", "not permitted"),
    ({"ids": "x"}, "ids", "not permitted"),
    ({"id": ""}, "id", "at least 1 character"),
    ({"name": "x" * 81}, "name", "80"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_its_field(changes: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(InvalidSchema) as caught:
        make(**changes)
    detail = caught.value.details[0]
    assert detail["field"] == field and told in detail["message"] and detail["message"] in caught.value.message


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [("horizon_days", (1, 30, 730), (0, 731, 30.0, "30", True)), ("natural_rate", (0.001, 0.5), (0.0, 1.0, 1, "0.5"))],
)
def test_horizon_and_natural_rate_have_their_bounds(key: str, good: tuple[Any, ...], bad: tuple[Any, ...]) -> None:
    assert [getattr(make(**{key: value}), key) for value in good] == list(good)
    for value in bad:
        with pytest.raises(InvalidSchema) as refused:
            make(**{key: value})
        assert [detail["field"] for detail in refused.value.details] == [key]


def test_a_schema_without_some_features_keeps_the_order_of_the_others() -> None:
    assert make().without([]) == make()
    assert make().without(["n"]).feature_names == ("c",)
    for names, told in ((["x"], "no feature named 'x'"), (["n", "c"], "nothing to learn from")):
        with pytest.raises(InvalidInput, match=told) as refused:
            make().without(names)
        assert refused.value.details[0]["field"] == "without"


def test_price_and_plan_may_be_features_too() -> None:
    schema = make(subscription={"price": "n", "plan": "c"})
    assert schema.subscription.columns() == {"price": "n", "plan": "c"} and schema.plan_feature == "c"


def test_every_wrong_field_is_listed() -> None:
    with pytest.raises(InvalidSchema) as caught:
        make(features={"n": {}, "c": {"kind": "x"}}, nonsense=1)
    assert {detail["field"] for detail in caught.value.details} == {"features.n.kind", "features.c.kind", "nonsense"}


def test_text_that_is_no_toml_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidSchema, match="line 2"):
        parse_schema("name = 'x'\nid = \n")


def test_a_schema_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig"):
        path = tmp_path / encoding
        path.write_text('name = "ä"\n[features.n]\nkind = "number"\n', encoding=encoding)
        assert load_schema(path).name == "ä"


def test_a_schema_file_that_can_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, told in {"none": "no schema file", "binary": "can't be read", ".": "can't be read"}.items():
        with pytest.raises(InvalidSchema, match=told):
            load_schema(tmp_path / name)


def test_the_checksum_counts_meaning_and_not_words() -> None:
    plain = make(label="y", positive=["1", "2"])
    assert plain.checksum() == make(label="y", positive=["2", "1"], name="other").checksum()
    labelled = {"n": {**NUMBER, "label": "Number", "action": "Call"}, "c": {"kind": "category"}}
    assert plain.checksum() == make(label="y", positive=["1", "2"], features=labelled).checksum()
    for other in ({"positive": ["1"]}, {"id": "i"}, {"features": {"c": {"kind": "category"}, "n": NUMBER}}):
        assert plain.checksum() != make(**{"label": "y", "positive": ["1", "2"], **other}).checksum()


def test_a_table_of_another_label_is_another_table() -> None:
    assert make(label="y", positive=["1"]).checksum() != make(label="z", positive=["1"]).checksum()


def test_a_schema_can_not_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        make().id = "x"


@pytest.mark.parametrize("name, made", [
    ("Call  Failure", "call_failure"), ("watch_time_hours", "watch_time_hours"), ("2nd Line", "f_2nd_line"),
    ("customerID", "customer_id"), ("Größe", "gr_e"), ("!?", "f"),
])  # fmt: skip
def test_names_are_made_safe(name: str, made: str) -> None:
    assert snake(name) == made


@given(st.text())
def test_a_safe_name_is_safe_and_stays_as_it_is(name: str) -> None:
    made = snake(name)
    assert made.isascii() and made.isidentifier() and snake(made) == made
