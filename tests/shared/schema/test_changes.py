"""Keys of a schema that can be changed later: each key is either words, or read by a training, or fixed."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import InvalidSchema
from shared.schema import changes
from shared.schema.changes import difference_notes, edited
from shared.schema.features import Feature, Schema, built_in_schema, schema_from_dict


def other(**keys: Any) -> Schema:
    """The built-in schema with other keys; `features` are merged key by key."""
    raw = built_in_schema().as_dict()
    for name, about in keys.pop("features", {}).items():
        raw["features"][name] = {**raw["features"].get(name, {}), **about}
    return schema_from_dict({**raw, **keys})


def test_each_key_of_a_schema_is_either_changed_or_fixed() -> None:
    table = [*changes.TABLE_KEYS, *changes.ROLES, "subscription", "features"]
    assert sorted(table) == sorted(Schema.model_fields)
    assert sorted([*changes.FEATURE_KEYS, *changes.FIXED_FEATURE_KEYS]) == sorted(Feature.model_fields)


def test_changes_tell_both_values_and_leave_order_and_meaning() -> None:
    wanted = other(horizon_days=60, features={"plan": {"label": "Tariff", "direction": "up"}})
    turned = schema_from_dict({**wanted.as_dict(), "features": dict(reversed(wanted.as_dict()["features"].items()))})
    new, told = edited(built_in_schema(), turned)
    assert [str(each) for each in told] == [
        "horizon_days: none -> 60",
        "features.plan.label: 'Plan' -> 'Tariff'",
        "features.plan.direction: 'none' -> 'up'",
    ]
    assert [each.needs_training for each in told] == [True, False, True]
    assert (new.feature_names, new.checksum()) == (built_in_schema().feature_names, built_in_schema().checksum())
    assert (new.feature_label("plan"), new.horizon_days) == ("Tariff", 60)
    assert edited(new, turned) == (new, ())


@pytest.mark.parametrize(
    ("wanted", "field", "says"),
    [
        (other(id="key"), "id", "first import"),
        (other(email="mail"), "email", "first import"),
        (other(label="gone"), "label", "'churn', and 'gone'"),
        (other(positive=["1", "yes"]), "positive", "['1'], and ['1', 'yes']"),
        (other(as_of="day"), "as_of", "none, and 'day'"),
        (other(subscription={"plan": "plan"}), "subscription.price", "first import"),
        (other(features={"plan": {"kind": "number"}}), "features.plan.kind", "checked by it"),
        (other(features={"device_count": {"whole": False}}), "features.device_count.whole", "true, and false"),
        (other(features={"plan": {"missing": False}}), "features.plan.missing", "checked by it"),
        (other(features={"calls": {"kind": "number"}}), "features.calls", "schema extend"),
        (built_in_schema().without(["plan"]), "features.plan", "--without plan"),
    ],
)
def test_what_facts_depend_on_is_refused_by_name(wanted: Schema, field: str, says: str) -> None:
    with pytest.raises(InvalidSchema) as refused:
        edited(built_in_schema(), wanted)
    assert [detail["field"] for detail in refused.value.details] == [field]
    assert says in refused.value.message


def test_roles_that_no_facts_were_read_by_can_be_changed_and_are_checked() -> None:
    roles = {"price": "monthly_price", "plan": "plan"}
    wanted = other(subscription={**roles, "auto_renew": "plan", "contract_end": "ends"})
    new, told = edited(built_in_schema(), wanted)
    assert [str(each) for each in told] == [
        "subscription.auto_renew: none -> 'plan'", "subscription.contract_end: none -> 'ends'",
    ]  # fmt: skip
    assert (new.checksum(), new.contract_end_column) == (built_in_schema().checksum(), "ends")
    assert new.without(["plan"]).subscription.columns() == {**roles, "contract_end": "ends"}
    for wrong, why in (({"auto_renew": "ghost"}, "no feature 'ghost'"), ({"contract_end": "plan"}, "must be a number")):
        with pytest.raises(InvalidSchema, match=why):
            other(subscription={**roles, **wrong})


def test_notes_name_feature_key_both_values_and_the_command_and_are_few() -> None:
    (note,) = difference_notes(built_in_schema(), other(features={"watch_time_hours": {"unit": "minutes"}}))
    assert "watch_time_hours: `unit` is 'minutes' in this file's schema and 'hours' in the base" in note
    assert "retainstream schema edit FILE" in note
    (note,) = difference_notes(built_in_schema(), other(features={"device_count": {"whole": False}}))
    assert "`whole` is false" in note and "checked by its own" in note
    assert difference_notes(built_in_schema(), built_in_schema()) == []
    names = [f"f{k}" for k in range(30)]
    wide = schema_from_dict({"features": {name: {"kind": "number"} for name in names}})
    labelled = schema_from_dict({"features": {name: {"kind": "number", "label": "x"} for name in names}})
    notes = difference_notes(wide, labelled)
    assert (len(notes), notes[-1]) == (21, "The schemas differ in 10 further keys.")
