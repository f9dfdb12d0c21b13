"""The basis of a training's labels: up to when ends are known, and how many of them some row learns from.

Law: an end that no row learns from is counted; a date whose ends are doubtful is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from database.customers import facts, maturity
from database.customers.maturity import Few
from database.engine.session import Database
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS, TrainReport
from shared.contracts.report import Labels
from shared.schema.features import Schema

#: Share of the known ends that should be some row's label.
ENOUGH = 0.9
STATED = (
    "Ends are known up to {day}. Among known ends inside the matured span, {labelled:,} of {ends:,} ({share:.1f} %) "
    "became the label of some row."
)
LOST = (
    "Only {share:.1f} % of the {ends:,} known ends inside the matured span became the label of some row: the others "
    "left between two dates, or more than 30 days after their end was known, or had no facts. Look at the dates of the "
    "snapshots, and whether the ends were known on them (--ends-are-of-today)."
)
FEW = (
    "{day} has {count:,} ends within 30 days where {usual:,.0f} are usual: check whether all ends of that time are in."
)
LEFT_OUT = (
    "{day} is left out: it has {count:,} ends within 30 days where {usual:,.0f} are usual, and none at all on a third "
    "of these days. Import the missing ends."
)


def measure(database: Database, schema: Schema, today: str) -> tuple[Labels, list[str]] | None:
    """Return the basis of a training's labels, and warnings; None where labels are given by the table."""
    with database.read() as connection:
        if not facts.has_subscriptions(connection):
            return None
        found = maturity.matured(connection, today)
        if not found.dates or found.until is None:
            return None
        left = {day: facts.leavers(connection, schema, day) for day in found.dates}
        ends = facts.departures(connection, found.dates[0], days_later(found.dates[-1], HORIZON_DAYS))
    labels = Labels(
        complete_to=found.until,
        ends=len(ends),
        ends_labelled=_labelled(ends, left),
        few_ends=[each.day for each in found.few],
        left_out=[each.day for each in found.left_out],
    )
    return labels, _warnings(labels, found.few, found.left_out)


def add_to(report: TrainReport, measured: tuple[Labels, list[str]] | None) -> TrainReport:
    """Return a training's report with what was measured of its labels."""
    if measured is None:
        return report
    found, warnings = measured
    return report.model_copy(update={"labels": found, "warnings": [*warnings, *report.warnings]})


def _labelled(ends: Iterable[tuple[int, str]], left: Mapping[str, set[int]]) -> int:
    """Count the ends that a row with label 1 has within its 30 days."""
    by_day: dict[str, set[int]] = defaultdict(set)
    for customer, day in ends:
        by_day[day].add(customer)
    labelled: dict[str, set[int]] = defaultdict(set)
    for as_of, customers in left.items():
        for day in (days_later(as_of, ahead) for ahead in range(1, HORIZON_DAYS + 1)):
            labelled[day] |= by_day[day] & customers
    return sum(map(len, labelled.values()))


def _share(labels: Labels) -> float:
    return 100 * labels.ends_labelled / labels.ends if labels.ends else 100.0


def stated(labels: Labels) -> str:
    """Return the sentence that every training's result has about its labels."""
    return STATED.format(day=labels.complete_to, labelled=labels.ends_labelled, ends=labels.ends, share=_share(labels))


def _warnings(labels: Labels, few: Sequence[Few], left_out: Sequence[Few]) -> list[str]:
    told = [LOST.format(share=_share(labels), ends=labels.ends)] if _share(labels) < 100 * ENOUGH else []
    for sentence, dates in ((FEW, few), (LEFT_OUT, left_out)):
        told += [sentence.format(day=each.day, count=each.ends, usual=each.usual) for each in dates]
    return told
