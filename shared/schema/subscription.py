"""The columns of a customer table that speak of the subscription.

Law: a role names a column; `auto_renew`, and a `contract_end` in days or months, name a feature, whose values are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
#: Roles that facts were not read by: they can be changed later.
CHANGEABLE = ("auto_renew", "contract_end")
#: Days of each unit that a number until the end of a contract can be in.
DAYS_OF: Mapping[str, float] = {"days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}


class Frozen(BaseModel):
    """A part of a schema: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Subscription(Frozen):
    """Columns about the subscription. All optional."""

    start: Name | None = None
    end: Name | None = None
    end_reason: Name | None = None
    price: Name | None = None
    plan: Name | None = None
    currency: Name | None = None
    auto_renew: Name | None = None
    contract_end: Name | None = None

    def columns(self) -> dict[str, str]:
        """Column name by role, for the roles given."""
        return {role: column for role, column in self if column is not None}

    def fixed(self) -> dict[str, str]:
        """Column name by role, for the roles that the first import fixes."""
        return {role: column for role, column in self.columns().items() if role not in CHANGEABLE}
