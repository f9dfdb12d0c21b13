"""docs/schema.md names every key of a schema with its default, and its examples can be read."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from shared.schema import changes
from shared.schema.features import Feature, Schema, parse_schema
from shared.schema.subscription import CHANGEABLE, Subscription

PAGE = (Path(__file__).parents[3] / "docs" / "schema.md").read_text(encoding="utf-8")
SECTIONS = dict(zip(("", "table", "subscription", "features"), PAGE.split("\n## "), strict=True))
#: Texts that the page has for None, where it is not "none".
DEFAULTS = {("features", "label"): "the name", ("features", "short"): "the label"}


@pytest.mark.parametrize(
    ("section", "model", "tables"),
    [
        ("table", Schema, {"subscription", "features"}),
        ("subscription", Subscription, set()),
        ("features", Feature, set()),
    ],
)
def test_every_key_is_on_the_page_with_its_default(section: str, model: type[BaseModel], tables: set[str]) -> None:
    shown = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", SECTIONS[section], re.M))
    expected = {}
    for name, field in model.model_fields.items():
        if name in tables:
            continue
        default = field.default
        if default is PydanticUndefined:
            expected[name] = "needed"
        elif default is None:
            expected[name] = DEFAULTS.get((section, name), "none")
        else:
            expected[name] = f"`{_as_toml(default)}`"
    assert shown == expected


def _as_toml(default: object) -> str:
    if isinstance(default, tuple):
        return json.dumps(list(default))
    return str(default).lower() if isinstance(default, bool) else str(default)


EXAMPLES = "\n".join(re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S))


def test_every_key_has_an_example() -> None:
    raw = tomllib.loads(EXAMPLES)
    used = {key for feature in raw["features"].values() for key in feature}
    assert set(raw) == set(Schema.model_fields)
    assert set(raw["subscription"]) == set(Subscription.model_fields)
    assert used == set(Feature.model_fields)


def test_the_page_says_of_every_key_whether_it_can_be_changed_later() -> None:
    (told,) = re.findall(r"^### Changing it later\n\n(.+?)\n\n", PAGE, re.M | re.S)
    words, trained, _, _, fixed = told.splitlines()[2:]
    keys = [set(re.findall(r"`(\w+)`", row.split(" | ")[0])) for row in (words, trained, fixed)]
    changeable = {*changes.TABLE_KEYS, *changes.FEATURE_KEYS, *CHANGEABLE}
    assert keys[0] == changeable - changes.TRAINED_ON
    assert keys[1] == changes.TRAINED_ON
    assert keys[2] == {*changes.ROLES, *changes.FIXED_FEATURE_KEYS}


def test_the_examples_of_the_page_are_one_schema() -> None:
    schema = parse_schema(EXAMPLES)
    assert schema.subscription.end == "cancelled_at" and schema.features["Last login"].direction == "up"
