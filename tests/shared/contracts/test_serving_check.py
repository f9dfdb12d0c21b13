"""Values of leavers that next to nobody has who is scored are told; honest values, as common as in training, are not."""

from __future__ import annotations

import pytest

from shared.contracts.serving_check import LeaverValuesSeen, added_up, serving_warnings


def seen(count: int, rows: int = 5000) -> LeaverValuesSeen:
    return {
        "feature": "last_login_days", "values": "at least 25", "seen": count, "rows": rows,
        "share": 0.03, "of_stayers": 0.01,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "rows", "is_told"),
    [(150, 5000, False), (110, 5000, False), (50, 5000, True), (0, 5000, True), (0, 999, False), (50, 3000, False)],
)
def test_values_as_common_as_among_stayers_are_told_where_enough_are_scored(
    count: int, rows: int, is_told: bool
) -> None:
    assert bool(serving_warnings([seen(count, rows)])) is is_told


def test_parts_add_up_and_the_sentence_has_all_figures() -> None:
    [sentence] = serving_warnings(added_up(([seen(20, 3000)], [seen(30, 2000)])))
    assert sentence.startswith(
        "last_login_days: at least 25 for 3 % of the training rows (1 % of those who stayed), but for 50 of the 5,000 "
        "customers scored"
    )
