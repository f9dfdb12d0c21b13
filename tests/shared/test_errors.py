"""Errors: a code each, a sentence, details; no HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import errors

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ServiceError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_carries_its_sentence_its_details_and_when_to_come_back(kind: type[errors.ServiceError]) -> None:
    made = kind("So it is.", details=({"row": 1, "message": "wrong"},), retry_after_s=3)
    assert (str(made), made.message, made.details, made.retry_after_s) == (
        "So it is.", "So it is.", [{"row": 1, "message": "wrong"}], 3,
    )  # fmt: skip
    assert kind("x").details == []
    assert kind.code.islower()
    assert kind.__doc__


def test_what_is_wrong_with_a_table_or_a_schema_is_invalid_input() -> None:
    assert issubclass(errors.InvalidTable, errors.InvalidInput)
    assert issubclass(errors.InvalidSchema, errors.InvalidInput)


def test_two_errors_share_no_details() -> None:
    one = errors.InvalidInput("a")
    one.details.append({"message": "x"})
    assert errors.InvalidInput("b").details == []


def test_statuses_are_not_in_the_domain() -> None:
    text = Path(errors.__file__).read_text(encoding="utf-8")
    assert "status_code" not in text
    assert "import flask" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_leads_back_to_its_class(kind: type[errors.ServiceError]) -> None:
    made = errors.from_code(kind.code, "So it is.", [{"field": "x", "message": "wrong"}])
    assert (type(made), made.message, made.details) == (kind, "So it is.", [{"field": "x", "message": "wrong"}])


def test_a_code_that_nobody_knows_leads_to_the_class_that_is_asked_for() -> None:
    assert type(errors.from_code("odd", "x")) is errors.ServiceError
    assert type(errors.from_code("odd", "x", unknown=errors.ServiceUnavailable)) is errors.ServiceUnavailable


def test_the_first_of_several_faults_is_the_message() -> None:
    details: list[errors.Detail] = [{"field": "a", "message": "is odd"}, {"field": "b", "message": "is even"}]
    made = errors.InvalidTable.of(details)
    assert (type(made), made.message, made.details) == (errors.InvalidTable, "a: is odd", details)
    assert errors.InvalidInput.of(details, lead="Wrong: ").message == "Wrong: is odd"
    assert errors.invalid("a", "is odd").details == details[:1]
