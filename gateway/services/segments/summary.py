"""Customers by group: how many, how many left and are expected to, what they pay and what is at risk.

Law: the churn rate is counted over a past period, the expected one is the model's; what can't be computed is None,
with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from database.customers.filters import Filters
from database.engine.session import Connection
from database.scoring import runs
from database.scoring.runs import Published
from database.scoring.value import GroupTotals
from database.segments import group_churn, group_totals
from database.segments.group_churn import Group, GroupPeriod
from gateway.services.scoring import value
from gateway.services.scoring.value import AtRisk, Terms
from shared.errors import invalid
from shared.plural import plural
from shared.schema.features import Schema
from shared.wilson import wilson

NO_RUN = "No scores are published yet: train a model and score the customers."
FILTERED = "The churn rate is of everybody in a past period: it can't be told for filters on the present."
BY_RISK = (
    "Churn by level of risk compares scores with what came of them: see live performance "
    "(GET /api/predictions/performance?view=live)."
)
NO_PERIOD = (
    "No date with facts and subscriptions has its next 30 days of ends known yet, or this group is not counted by "
    "period (the next import counts it)."
)


@dataclass(frozen=True)
class Churned:
    """Churn of a group in a past period.

    Attributes
    ----------
    customers, left : int
        On its first day, and those of them who had left on its last.
    rate : float
        In [0, 1].
    interval : tuple of (float, float)
        Wilson's, 95 %.
    """

    customers: int
    left: int
    rate: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class GroupRow:
    """One group: its totals, the money at risk, and its churn (None with the summary's reason)."""

    value: str | None
    totals: GroupTotals
    at_risk: AtRisk | None
    monthly_revenue: float | None
    revenue_reason: str | None
    churn: Churned | None


@dataclass(frozen=True)
class Summary:
    """Groups, the most customers first, and the period of their churn (None with a reason)."""

    run: Published | None
    groups: list[GroupRow]
    period: GroupPeriod | None
    churn_reason: str | None


def summarise(connection: Connection, schema: Schema, name: str, filters: Filters, terms: Terms) -> Summary:
    """Group customers; see docs/definitions.md#segment-summary.

    Raises
    ------
    InvalidInput
        Customers can't be grouped by this, or the filter asks for those who left.
    """
    names = group_totals.names(schema)
    chosen = schema.by_snake.get(name, name)
    if chosen not in names:
        raise invalid("by", f"expected one of {', '.join(names)}")
    if filters.has_left:
        raise invalid("churned", "segments are of present customers: who has left is in none")
    run = runs.published(connection)
    count = partial(group_totals.by, connection, schema, chosen, filters)
    found = value.assess(connection, run, terms, count) if run else None
    totals = found.totals if found else count([0.0])
    periods = [] if _narrows(filters) else group_churn.read(connection, chosen)
    churned = {group.value: _churned(group) for group in periods[0].groups} if periods else {}
    at_risk = [each for _, each in found.plans] if found else [None] * len(totals)
    rows = [_row(each, risk, churned.get(each.group)) for each, risk in zip(totals, at_risk, strict=True)]
    return Summary(run, rows, periods[0] if periods else None, None if periods else _no_churn(chosen, filters))


def _no_churn(name: str, filters: Filters) -> str:
    """Why the churn of groups can't be told."""
    if _narrows(filters):
        return FILTERED
    return BY_RISK if name == group_totals.RISK else NO_PERIOD


def _narrows(filters: Filters) -> bool:
    return filters != Filters(unsure_below=filters.unsure_below, has_left=filters.has_left)


def _churned(group: Group) -> Churned:
    rate = group.left / group.customers
    return Churned(group.customers, group.left, rate, wilson(group.left, group.customers))


def _row(totals: GroupTotals, at_risk: AtRisk | None, churn: Churned | None) -> GroupRow:
    reason = _revenue_reason(totals)
    paid = None if reason else totals.monthly_revenue
    return GroupRow(totals.group, totals, at_risk, paid, reason, churn)


def _revenue_reason(totals: GroupTotals) -> str | None:
    """Why the monthly prices of a group can't be added up; None if they can."""
    if totals.members_unpriced:
        return f"The monthly price of {totals.members_unpriced:,} of {plural(totals.members, 'customer')} is not known."
    if len(totals.currencies) > 1:
        named = ", ".join(sorted(each or "none" for each in totals.currencies))
        return f"Prices are in several currencies ({named}): they can't be added up."
    return None
