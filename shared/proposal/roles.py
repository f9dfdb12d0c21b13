"""Finds the columns of a customer table that are more than features: id, label, dates, contract, e-mail address.

Law: every role is said with what was found, or that nothing was found and what was looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.clock import utc_now
from shared.proposal import column_names as names
from shared.proposal.column_profile import Column, is_word_pair, tolerated
from shared.proposal.doubts import SHOWN, Said
from shared.proposal.id_role import find_id
from shared.proposal.label_role import LabelSearch, only_marks_who_left, says_left
from shared.schema.subscription import CHANGEABLE
from shared.tables import cells

#: Share of the rows, and of those who stayed, that may have an end: more have a term.
EVERYBODY, STAYERS = 0.98, 0.02
FIRST_ROWS = 1_000
MOSTLY = 0.5


class Roles:
    """The roles of one file's columns; `label` names the one that tells who left, where somebody said so."""

    def __init__(self, columns: list[Column], said: Said, label: str | None = None) -> None:
        self._columns, self._said, self._named = columns, said, label
        self.roles: dict[str, Column] = {}
        self.subscription: dict[str, Column] = {}
        self.positive: tuple[str, ...] = ()
        self._terms: list[Column] = []

    def _free(self, name: re.Pattern[str]) -> Iterator[Column]:
        taken = [*self.roles.values(), *self.subscription.values()]
        return (c for c in self._columns if c not in taken and name.fullmatch(c.snake))

    def find(self) -> None:
        """Find and say every role."""
        for key, find in (("as_of", self._as_of), ("id", self._find_id), ("label", self._find_label)):
            with self._said.about(key):
                find()
        email = next((c for c in self._free(re.compile(".*")) if c.share(names.EMAIL) > 0.9), None)
        if email is not None:
            self.roles["email"] = email
        with self._said.about("subscription.end"):
            self._end()
        self._contract()

    def _as_of(self) -> None:
        for column in self._free(names.AS_OF):
            if column.date_read is not None and column.date_read.values.null_count <= tolerated(len(column.values)):
                self.roles["as_of"] = column
                self._said.say(f"The date of each row is {column.name!r}.")
                self._say_ahead(column)
                without = [row for row, day in enumerate(column.date_read.values.to_pylist()) if day is None]
                if without:
                    text = f"{column.name!r} holds no date in some rows: {{cells}}. Put these rows right."
                    self._said.doubt(text, without, column.values, column=column.name)
                return
        self._said.say("No date of the rows was found (as_of, snapshot_date): they count as of the day of the import.")

    def _find_id(self) -> None:
        found = find_id(list(self._free(re.compile(".*"))), self.roles.get("as_of"), self._said)
        if found is not None:
            self.roles["id"] = found

    def _find_label(self) -> None:
        taken = self.roles.values()
        search = LabelSearch([c for c in self._columns if c not in taken], self._said, self._named)
        search.find()
        if search.label is not None:
            self.roles["label"], self.positive = search.label, search.positive

    def tells(self, column: Column) -> bool:
        """Whether a column that is no label tells who left."""
        if names.CHURN.fullmatch(column.snake) or names.REASON.fullmatch(column.snake) or only_marks_who_left(column):
            return True
        if "label" not in self.roles:
            return False
        named = names.STATUS.fullmatch(column.snake) or names.GONE.fullmatch(column.snake)
        return bool(named and any(map(says_left, column.label_values))) or "attrition" in column.words

    # --- contract ---------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        for column in self._free(names.END):
            if column.dates is not None and not _is_ahead(column) and self._is_end(column):
                self.subscription["end"] = column
                self._said.say(f"The end of the subscription is {column.name!r}.")
                return
            if column.dates is not None and "trial" not in column.words:
                self._terms.append(column)
        told = ": who left is told by the label" if "label" in self.roles else ", and no label: nothing tells who left"
        self._said.say(f"No end of subscriptions was found (end, cancelled_at, churn_date){told}.")

    def _is_end(self, column: Column) -> bool:
        """Whether a column of dates is the end, and no term; says why not."""
        ended = column.dates.is_valid()
        rows = len(column.values)
        if pc.sum(ended).as_py() > EVERYBODY * rows:
            first = [row for row, has in enumerate(ended.slice(0, FIRST_ROWS).to_pylist()) if has][:SHOWN]
            text = f"{column.name!r} is a term and no end of subscriptions: nearly every customer has one ({{cells}})."
            self._said.doubt(text, first, column.values)
            return False
        label = self.roles.get("label")
        if label is None:
            return True
        texts = label.label_texts
        stayed = pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, pa.array(self.positive))))
        both = [row for row, is_both in enumerate(pc.and_(ended, stayed).to_pylist()) if is_both]
        if len(both) > STAYERS * (pc.sum(stayed).as_py() or 0):
            text = f"{column.name!r} is a term and no end of subscriptions: customers who stayed have one ({{cells}})."
            self._said.doubt(text, both, column.values)
            return False
        if both:
            self._said.doubt(f"Customers who stayed have an end in {column.name!r}: {{cells}}.", both, column.values)
        return True

    def _contract(self) -> None:
        tests: tuple[tuple[str, re.Pattern[str], Callable[[Column], Any]], ...] = (
            ("start", names.START, lambda c: c.dates is not None),
            ("end_reason", names.REASON, lambda c: c.distinct > 0 and c.numbers is None),
            ("price", names.PRICE, lambda c: c.numbers is not None and c.smallest >= 0),
            *(("plan", name, _is_plan) for name in names.PLANS),
            ("currency", re.compile("currency"), lambda c: c.distinct > 0 and c.numbers is None),
        )
        for role, name, fits in tests:
            found = next((c for c in self._free(name) if fits(c)), None) if role not in self.subscription else None
            if found is not None:
                self.subscription[role] = found
        self._find_term()
        if "start" in self.subscription:
            self._say_ahead(self.subscription["start"])

    def _find_term(self) -> None:
        """Find when contracts end, a day or a time until then, and whether they renew themselves."""
        ends = next((c for c in self._free(names.CONTRACT_END) if c.dates is not None or c.term_unit), None)
        ends = ends or next((c for c in self._terms if c not in self.subscription.values()), None)
        if ends is not None:
            self.subscription["contract_end"] = ends
            with self._said.about("subscription.contract_end"):
                self._said.say(f"The end of the contract is {ends.name!r}: a term that may be renewed.")
        renews = next((c for c in self._free(names.AUTO_RENEW) if is_word_pair(c)), None)
        if renews is not None:
            self.subscription["auto_renew"] = renews
            with self._said.about("subscription.auto_renew"):
                self._said.say(f"Whether a subscription renews itself is {renews.name!r}.")

    def contract(self, features: Container[str]) -> dict[str, str]:
        """The columns of the contract; one whose values would be a feature's is among them if the feature is."""
        return {
            role: column.name
            for role, column in self.subscription.items()
            if role not in CHANGEABLE
            or column.name in features
            or (role == "contract_end" and column.dates is not None)
        }

    def _say_ahead(self, column: Column) -> None:
        """Name the days that an import refuses because they lie in the future."""
        days = cells.dates(column.values, column.name, cells.CellProblems(1), written=column.written_days)
        ahead = pc.fill_null(pc.greater(days, pa.scalar(utc_now().date())), False).to_pylist()
        rows = [row for row, is_ahead in enumerate(ahead) if is_ahead]
        if rows:
            text = f"{column.name!r} holds days in the future: {{cells}}. Put these rows right."
            self._said.doubt(text, rows, column.values, column=column.name)


def _is_ahead(column: Column) -> bool:
    """Whether a column that is called like the end of a contract holds days to come: they are no ends yet."""
    if not names.CONTRACT_END.fullmatch(column.snake):
        return False
    ahead = pc.mean(pc.greater(column.dates, pa.scalar(utc_now().date()))).as_py()
    return bool((ahead or 0) > MOSTLY)


def _is_plan(column: Column) -> bool:
    plain = column.dates is None and not column.many and not column.unread_dates and not is_word_pair(column)
    return column.distinct > 0 and column.kind == "category" and plain
