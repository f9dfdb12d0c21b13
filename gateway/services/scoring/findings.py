"""The ML service's warnings about the facts of a run's customers, added up over its answers, as sentences.

Law: the ML service finds, the words are those of `shared.contracts`; nothing here looks at a fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.contracts import arrow, fact_warnings, serving_check
from shared.contracts.fact_warnings import UnknownValues
from shared.contracts.serving_check import LeaverValuesSeen


class Findings:
    """The findings so far."""

    def __init__(self) -> None:
        self._unknown: list[UnknownValues] = []
        self._leaver_values: list[LeaverValuesSeen] = []

    def add(self, answer: Mapping[str, Any]) -> None:
        """Add what one answer, by its metadata, says of its rows; an older service says nothing."""
        self._unknown = fact_warnings.added_up((self._unknown, answer.get(arrow.UNKNOWN_VALUES, [])))
        self._leaver_values = serving_check.added_up((self._leaver_values, answer.get(arrow.LEAVER_VALUES, [])))

    def warnings(self, customers: int) -> list[str]:
        """Return a sentence for each finding; `customers` were scored."""
        unknown = [fact_warnings.warning_of_rows(each, customers) for each in self._unknown]
        return unknown + serving_check.serving_warnings(self._leaver_values)
