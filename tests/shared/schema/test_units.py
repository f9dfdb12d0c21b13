"""Numbers are shown as people write them."""

from __future__ import annotations

import pytest

from shared.schema.units import quantity


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1 / 3, None, "0.3333"), (100 / 3, "hours", "33.33 hours"), (1, "months", "1 month"), (9.9, "USD", "9.90 USD"),
        (1234567, "calls", "1,234,567 calls"), (-0.0, "days", "0 days"), (2**53, None, "9.007199255e+15"),
    ],
)  # fmt: skip
def test_a_number_has_two_decimals_at_most_and_four_digits_below_one(
    value: float, unit: str | None, shown: str
) -> None:
    assert quantity(value, unit) == shown
