"""The windows and the levels of the time of year that were tried: in sentences, and as a section of the page.

Law: a candidate is told with its log loss, its interval and the number of periods, whether it was chosen or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from xml.etree.ElementTree import Element

from ml_service.reporting.elements import add, section, table
from shared.contracts.api import RollingChoice, TimeOfYear, TrainReport
from shared.contracts.report import Candidate
from shared.time_of_year import level_at

UNKNOWN = "-"


def rolling_sentences(report: TrainReport) -> Iterator[str]:
    """Write which window and which level were chosen, why, and what the level of each month is.

    Parameters
    ----------
    report : TrainReport

    Yields
    ------
    sentence : str
    """
    if report.rolling is None:
        return
    yield f"Window and time of year: {report.rolling.chosen} ({report.rolling.why})."
    if report.time_of_year is not None:
        yield f"Added to the log-odds in the middle of each month: {_by_month(report.time_of_year)}."


def rolling_lines(report: TrainReport) -> Iterator[str]:
    """Write the sentences and a line for each candidate, for a terminal."""
    yield from rolling_sentences(report)
    if report.rolling is not None and report.rolling.candidates:
        yield f"  {'':32} {'log loss':10} {'difference, 95 % interval':34} periods"
        for each in report.rolling.candidates:
            name, loss, difference, periods = _row(each)
            yield f"  {name:32} {loss:10} {difference:34} {periods}"


def rolling_section(body: Element, report: TrainReport) -> None:
    """Append the section to the page; nothing without dates."""
    choice: RollingChoice | None = report.rolling
    if choice is None:
        return
    part = section(body, "Window and time of year")
    add(part, "p", " ".join(rolling_sentences(report)))
    if choice.candidates:
        add(
            part,
            "p",
            f"Each candidate was fitted at the beginning of past periods, to rows at least {choice.lag_days} days "
            "older, and judged on the periods on which it differs from the first.",
        )
        header = ("Candidate", "Log loss", "Difference to the first (95 % interval)", "Periods")
        table(part, "Windows and levels tried", header, [_row(each) for each in choice.candidates])


def _row(each: Candidate) -> tuple[str, str, str, str]:
    loss = UNKNOWN if each.log_loss is None else f"{each.log_loss:.5f}"
    difference = UNKNOWN
    if each.interval is not None:
        low, high = each.interval
        difference = f"{each.difference:+.5f} ({low:+.5f} to {high:+.5f})"
    return each.name, loss, difference, str(each.origins)


def _by_month(year: TimeOfYear) -> str:
    if year.form == "slow_level":
        return f"{year.constant:+.3f} in every month"
    days = [date(2025, month, 15) for month in range(1, 13)]
    return ", ".join(f"{day:%b} {level_at(year, day):+.2f}" for day in days)
