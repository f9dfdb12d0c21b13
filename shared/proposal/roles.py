"""Finds the columns of a customer table that are more than features: id, label, dates, contract, e-mail address.

Law: every role is said with what was found, or that nothing was found and what was looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.proposal.column_profile import Column, is_word_pair, tolerated
from shared.proposal.doubts import Said
from shared.tables import cells

_WHO = (
    r"customer|client|user|subscriber|account|acct|member|cust|person|contact|household|kunden?|cliente?|abonn\w*"
    r"|subscription|contract|policy|phone|mobile"
)
_ID_WORD = "id|uid|uuid|guid|no|nr|num|number|nummer|key|ref|code"
#: Names of an id, the surest first.
IDS = (
    re.compile(rf"(?:{_WHO})_?(?:id|uid|uuid|guid)|id|uid|uuid|guid|row_?id"),
    re.compile(rf"(?:{_WHO})(?:_?(?:{_ID_WORD}))?|msisdn|clientnum"),
    re.compile(r".*_(?:id|uid|uuid|guid)|.*id"),
    re.compile(r".*_(?:no|nr|num|number|nummer|key|ref)"),
)
_CHURN = re.compile(r"(?:.*_)?churn(?:ed|er)?(?:_.*)?")
_GONE = re.compile(
    r"(?:is_|has_)?(?:exited|left|attrition|attrited|cancell?ed|lapsed|gone|lost)(?:_flag|_label|_value|_status)?"
)
_TARGET = re.compile(r"target|label|outcome|y|class|abandono|kuendigung|gekuendigt|resilie")
_STATUS = re.compile(r"(?:.*_)?(?:status|state|lifecycle)")
#: Values of a label that mean that somebody left.
_LEFT = re.compile(
    r"(?i:yes|y|true|churn.*|left|exited|attrited.*|cancell?ed.*|lost|gone|leaver|lapsed|terminated|closed|expired"
    r"|deactivated|unsubscribed|ended|gekündigt|resigned|departed)"
)
_GONE_WORDS = re.compile(
    r"(?i:churn.*|left|exited|attrited.*|cancell?ed.*|lost|gone|lapsed|terminated|closed|deactivated|unsubscribed|gekündigt)"
)
_STAYED = re.compile(r"(?i:active|stay\w*|existing.*|retained|current|joined|open|not.*|no|paused|live)")
_AS_OF = re.compile(r"as_?of(?:_date)?|snapshot(?:_date)?|(?:observation|reference)_date")
_END = re.compile(r"(?:.*_)?(?:end|ended|cancel\w*|churn|churned|terminat\w*|expir\w*|closed|left)(?:_.*)?")
_START = re.compile(r"(?:.*_)?(?:start|started|sign_?up|join|joined|regist\w*|created|since|activat\w*|begin)(?:_.*)?")
_REASON = re.compile(r"(?:end|cancel\w*|churn|leaving|exit|terminat\w*)_reason|reason_(?:for|of)_\w+")
_PRICE = re.compile(r"(?:monthly|subscription|plan)_(?:price|charges?|fee|rate|payment)|price|mrr|price_per_month")
_PLANS = (
    re.compile(r"(?:current_|subscription_)?(?:plan|contract|tariff|tier|package)(?:_(?:type|name|plan))?"),
    re.compile(r"\w+_(?:plan|type)"),
)
_E_MAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"
#: Share of the rows, and of those who stayed, that may have an end: more have a term.
EVERYBODY, STAYERS = 0.98, 0.02
MANY_STATES = 8
#: In tables of so few rows one odd value proves that a column is something else.
FEW = 4
SHOWN_CANDIDATES = 5


class Roles:
    """The roles of one file's columns; `label` names the one that tells who left, where somebody said so."""

    def __init__(self, columns: list[Column], said: Said, label: str | None = None) -> None:
        self._columns, self._said, self._named = columns, said, label
        self.roles: dict[str, Column] = {}
        self.subscription: dict[str, Column] = {}
        self.positive: tuple[str, ...] = ()

    def _free(self, name: re.Pattern[str]) -> Iterator[Column]:
        taken = [*self.roles.values(), *self.subscription.values()]
        return (c for c in self._columns if c not in taken and name.fullmatch(c.snake))

    def find(self) -> None:
        """Find and say every role."""
        for key, find in (("as_of", self._as_of), ("id", self._id), ("label", self._label)):
            with self._said.about(key):
                find()
        email = next((c for c in self._free(re.compile(".*")) if c.share(_E_MAIL) > 0.9), None)
        if email is not None:
            self.roles["email"] = email
        with self._said.about("subscription.end"):
            self._end()
        self._contract()

    def _as_of(self) -> None:
        for column in self._free(_AS_OF):
            if column.date_read is not None and column.date_read.values.null_count <= tolerated(len(column.values)):
                self.roles["as_of"] = column
                self._said.say(f"The date of each row is {column.name!r}.")
                without = [row for row, day in enumerate(column.date_read.values.to_pylist()) if day is None]
                if without:
                    text = f"{column.name!r} holds no date in some rows: {{cells}}. Put these rows right."
                    self._said.doubt(text, without, column.values, column=column.name)
                return
        self._said.say("No date of the rows was found (as_of, snapshot_date): they count as of the day of the import.")

    # --- id ---------------------------------------------------------------------------------------------------------

    def _id(self) -> None:
        for name in IDS:
            for column in self._free(name):
                bad = self._not_identified(column)
                if bad is not None:
                    self.roles["id"] = column
                    self._said.say(f"The id is {column.name!r}.")
                    if bad:
                        text = f"{column.name!r} is blank, repeated or cut short: {{cells}}. Put these rows right."
                        self._said.doubt(text, bad, column.values, column=column.name)
                    return
        near = {c.name: c.distinct for name in IDS for c in self._free(name) if c.distinct > 1}
        listed = ", ".join(f"{n!r} ({near[n]:,} different values)" for n in list(near)[:SHOWN_CANDIDATES])
        seen = f" Too many rows share a value or lack one in {listed}." if near else ""
        self._said.say(
            "No id was found: no column with the name of an id has a value of its own in nearly every row, so "
            f"customers are the rows 1, 2, 3 … of this file.{seen} Set `id` if a column names the customer."
        )

    def _not_identified(self, column: Column) -> list[int] | None:
        """Rows that the column does not name a customer of; None where it is no id."""
        rows = len(column.values)
        if pa.types.is_floating(column.values.type) or column.distinct < 2:
            return None
        odd = tolerated(rows) if rows > FEW else 0
        if column.numbers is not None and not column.whole and self._fractions(column) > odd:
            return None
        ids = cells.identifiers(column.values, column.name, cells.CellProblems(1))
        table: dict[str, Any] = {"id": ids}
        if "as_of" in self.roles:
            table["as_of"] = self.roles["as_of"].dates
        bad = _repeated_or_blank(pa.table(table))
        few = column.distinct < 3 and len(bad) > ids.null_count
        return None if few or len(bad) > tolerated(rows) else bad

    def _fractions(self, column: Column) -> int:
        return int(pc.sum(pc.not_equal(pc.floor(column.numbers), column.numbers)).as_py() or 0)

    # --- label ------------------------------------------------------------------------------------------------------

    def _label(self) -> None:
        for column in self._labels(_CHURN, _GONE, _TARGET):
            values = _values(column)
            if len(values) == 2 or (len(values) > 2 and self._odd(column, values) is not None):
                self._is_label(column, values)
                return
        for column in self._labels(_CHURN, _GONE, _STATUS):
            left = [v for v in _values(column) if _GONE_WORDS.fullmatch(v)]
            if left and len(left) < len(_values(column)) <= MANY_STATES:
                self._is_status(column, left)
                return
        self._no_label()

    def _labels(self, *names: re.Pattern[str]) -> Iterator[Column]:
        """The column that somebody named as the label, else those with such a name."""
        if self._named is None:
            return (c for name in names for c in self._free(name))
        return (c for c in self._free(re.compile(".*")) if c.name == self._named.strip())

    def _odd(self, column: Column, values: dict[str, int]) -> list[int] | None:
        """Rows with neither of the two common values; None where there are too many."""
        common = sorted(values, key=lambda value: -values[value])[:2]
        texts = _told(column)
        odd = pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, pa.array(common))))
        rows = [row for row, is_odd in enumerate(pc.fill_null(odd, False).to_pylist()) if is_odd]
        return rows if len(rows) <= tolerated(len(column.values)) and len(column.values) > FEW else None

    def _is_label(self, column: Column, values: dict[str, int]) -> None:
        common = sorted(sorted(values, key=lambda value: -values[value])[:2])
        known = [value for value in common if _LEFT.fullmatch(value)] if common != ["0", "1"] else ["1"]
        if len(known) != 1 and len(stayed := [value for value in common if _STAYED.fullmatch(value)]) == 1:
            known = [value for value in common if value not in stayed]
        rarer = min(common, key=lambda value: values[value])
        self.positive = (known[0] if len(known) == 1 else rarer,)
        sure = "" if len(known) == 1 else ", because it is the rarer value: check this, and correct `positive`"
        self.roles["label"] = column
        self._said.say(f"The label is {column.name!r}; {self.positive[0]!r} means churned{sure}.")
        odd = self._odd(column, values) if len(values) > 2 else []
        if odd:
            text = f"{column.name!r} has other values, which count as stayed: {{cells}}."
            self._said.doubt(text, odd, column.values)
        self._unlabelled(column)

    def _is_status(self, column: Column, left: list[str]) -> None:
        self.roles["label"], self.positive = column, tuple(left)
        others = ", ".join(repr(value) for value in _values(column) if value not in left)
        means = " and ".join(map(repr, left))
        self._said.say(
            f"The label is {column.name!r}; {means} {'means' if len(left) == 1 else 'mean'} churned, {others} stayed: "
            "check this, and correct `positive`."
        )
        self._unlabelled(column)

    def _unlabelled(self, column: Column) -> None:
        missing = _told(column).null_count
        if missing:
            rows = "1 row has" if missing == 1 else f"{missing:,} rows have"
            self._said.say(f"{rows} no label in {column.name!r}: not trained on, but scored.")

    def _no_label(self) -> None:
        named = list(self._labels(_CHURN, _GONE, _TARGET, _STATUS))
        found = "".join(f" {c.name!r} holds {_count(c)}." for c in named[:SHOWN_CANDIDATES])
        pairs = [c.name for c in self._columns if c not in named and len(_values(c)) == 2][:SHOWN_CANDIDATES]
        other = f" Columns with two values: {', '.join(map(repr, pairs))}." if pairs else ""
        self._said.say(
            "No label was found: no column called churn, left, exited, cancelled, target or status has one value for "
            f"who left and one for who stayed.{found}{other} Set `label` and `positive` if a column tells who left."
        )

    def tells(self, column: Column) -> bool:
        """Whether a column that is no label tells who left."""
        if _CHURN.fullmatch(column.snake) or _REASON.fullmatch(column.snake):
            return True
        values = _values(column)
        named = _STATUS.fullmatch(column.snake) or _GONE.fullmatch(column.snake)
        return bool(named and "label" in self.roles and any(_GONE_WORDS.fullmatch(value) for value in values))

    # --- contract ---------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        for column in self._free(_END):
            if column.dates is not None and self._is_end(column):
                self.subscription["end"] = column
                self._said.say(f"The end of the subscription is {column.name!r}.")
                return
        self._said.say(
            "No end of subscriptions was found (end, cancelled_at, churn_date): who left is told by the label."
        )

    def _is_end(self, column: Column) -> bool:
        """Whether a column of dates is the end, and no term; says why not."""
        ended = column.dates.is_valid()
        rows = len(column.values)
        if pc.sum(ended).as_py() > EVERYBODY * rows:
            self._said.say(f"{column.name!r} is left out: nearly every customer has one, so it is a term and no end.")
            return False
        label = self.roles.get("label")
        if label is None:
            return True
        stayed = pc.fill_null(pc.invert(pc.is_in(_told(label), pa.array(self.positive))), False)
        both = [row for row, is_both in enumerate(pc.and_(ended, stayed).to_pylist()) if is_both]
        if len(both) > STAYERS * (pc.sum(stayed).as_py() or 0):
            text = (
                f"{column.name!r} is left out: customers who stayed have one ({{cells}}), so it is a term and no end."
            )
            self._said.doubt(text, both, column.values)
            return False
        if both:
            self._said.doubt(f"Customers who stayed have an end in {column.name!r}: {{cells}}.", both, column.values)
        return True

    def _contract(self) -> None:
        tests: tuple[tuple[str, re.Pattern[str], Callable[[Column], Any]], ...] = (
            ("start", _START, lambda c: c.dates is not None),
            ("end_reason", _REASON, lambda c: c.distinct > 0 and c.numbers is None),
            ("price", _PRICE, lambda c: c.numbers is not None and c.smallest >= 0),
            *(("plan", name, _is_plan) for name in _PLANS),
            ("currency", re.compile("currency"), lambda c: c.distinct > 0 and c.numbers is None),
        )
        for role, name, fits in tests:
            found = next((c for c in self._free(name) if fits(c)), None) if role not in self.subscription else None
            if found is not None:
                self.subscription[role] = found


def _is_plan(column: Column) -> bool:
    plain = column.dates is None and not column.many and not column.unread_dates and not is_word_pair(column)
    return column.distinct > 0 and column.kind == "category" and plain


def _told(column: Column) -> pa.Array:
    """The column as a label: null where it is blank or a word that means missing."""
    texts = column.texts if column.texts is not None else pa.nulls(len(column.values), pa.string())
    return cells.without_missing_words(texts, column.name, cells.CellProblems(1))


def _values(column: Column) -> dict[str, int]:
    """The different values of a label and their counts; empty where they are many."""
    if column.texts is None or column.distinct > len(column.examples):
        return {}
    return {str(each["values"]): int(each["counts"]) for each in pc.value_counts(_told(column).drop_null()).to_pylist()}


def _count(column: Column) -> str:
    return f"{column.distinct:,} different values" if column.distinct > 1 else "one value"


def _repeated_or_blank(rows: pa.Table) -> list[int]:
    """Rows whose id is blank or shortened, or stands in an earlier row (with the same date)."""
    bad, seen = [], set()
    cut = pc.fill_null(pc.match_substring_regex(rows["id"], cells.SPREADSHEET_ID), False).to_pylist()
    for row, (key, is_cut) in enumerate(
        zip(zip(*(c.to_pylist() for c in rows.columns), strict=True), cut, strict=True)
    ):
        if key[0] is None or is_cut or key in seen:
            bad.append(row)
        seen.add(key)
    return bad
