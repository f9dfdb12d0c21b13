"""The answer to a body that pydantic refuses names each wrong field, and never repeats a value."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, ValidationError, model_validator

from shared.validation import details_of


class _Pair(BaseModel):
    low: int
    names: list[int] = []
    changes: dict[str, int] = Field({"low": 1}, min_length=1)

    @model_validator(mode="after")
    def _is_positive(self) -> _Pair:
        if self.low < 0:
            raise ValueError("low must not be negative")
        return self


def faults(values: dict[str, object], whole: str = "body") -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        _Pair.model_validate(values)
    return [(each["field"], each["message"]) for each in details_of(caught.value, whole=whole)]


def test_each_fault_names_its_field_and_no_value() -> None:
    found = faults({"low": "secret", "names": [1, "secret"]})
    assert [field for field, _ in found] == ["low", "names.1"]
    assert not any("secret" in message for _, message in found)


def test_a_fault_of_the_whole_is_told_without_pydantics_words() -> None:
    assert faults({"low": -1}) == [("body", "low must not be negative")]
    assert faults({"low": -1}, "settings") == [("settings", "low must not be negative")]


def test_too_few_entries_are_told_in_plain_words() -> None:
    assert faults({"low": 1, "changes": {}}) == [("changes", "expected at least 1, got 0")]
