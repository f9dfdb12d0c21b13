"""Findings in the parts of a table are added up, and told in one sentence."""

from __future__ import annotations

from shared.contracts.fact_warnings import UnknownValues, added_up, warning_of_rows


def found(feature: str, **values: int) -> UnknownValues:
    return {"feature": feature, "rows": sum(values.values()), "values": values, "known_as": {}}


def test_parts_of_a_table_add_up_by_feature_and_value() -> None:
    first, second = [found("plan", a=2, b=1), found("city", x=1)], [found("plan", b=5)]
    assert added_up((first, second)) == [found("plan", b=6, a=2), found("city", x=1)]


def test_the_most_frequent_values_are_told_and_the_others_counted() -> None:
    part = found("plan", **{letter: 10 - at for at, letter in enumerate("abcde")})
    (told,) = added_up(([part], [found("plan", f=3)], [{**found("plan", g=1), "known_as": {"g": "G", "a": "A"}}]))
    assert list(told["values"]) == list("abcde")
    assert told["known_as"] == {"a": "A"}
    assert warning_of_rows(told, 1000) == (
        "plan: 44 of 1,000 rows have values that the model does not know: 'a' (10; it knows 'A'), 'b' (9), 'c' (8), "
        "'d' (7), 'e' (6), and others (4). Scored as missing."
    )


def test_one_row_has_a_value() -> None:
    assert "1 of 9 rows has a value that the model does not know: 'x' (1). Scored" in warning_of_rows(
        found("p", x=1), 9
    )
