"""Finds the label of a customer table and the values that mean that somebody left.

Law: a column is the label by its name and its values together; blanks and a few odd values leave it one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shared.proposal import column_names as names
from shared.proposal.column_names import meaning, plain_text
from shared.proposal.column_profile import Column, tolerated
from shared.proposal.doubts import Said

MANY_STATES = 8
#: In tables of so few rows one odd value proves that a column is something else.
FEW = 4
SHOWN_CANDIDATES = 5


class LabelSearch:
    """The label among the columns that are not taken; `wanted` is the one that somebody named."""

    def __init__(self, columns: Sequence[Column], said: Said, wanted: str | None = None) -> None:
        self._columns, self._said, self._wanted = columns, said, wanted
        self.label: Column | None = None
        self.positive: tuple[str, ...] = ()

    def find(self) -> None:
        """Find the label and say it, or what was looked for."""
        if self._wanted is not None:
            self._find_wanted(self._wanted)
            return
        plain = [c for c in self._named(names.CHURN) if not names.CHURN_SCORE.fullmatch(c.snake)]
        others = [c for pattern in (names.GONE, names.TARGET) for c in self._named(pattern)]
        scores = [c for c in self._named(names.CHURN) if c not in plain]
        found = self._pair([*plain, *others]) or self._status([*plain, *others]) or self._pair(scores)
        if not found:
            self._say_none()

    def _find_wanted(self, wanted: str) -> None:
        columns = [column for column in self._columns if column.name == wanted.strip()]
        if not (self._pair(columns) or self._status(columns)):
            self._say_none()

    def _named(self, pattern: re.Pattern[str]) -> list[Column]:
        """Columns with a name of this kind that may be labels: neither dates nor reasons."""
        named = [c for c in self._columns if pattern.fullmatch(c.snake) and not names.ABOUT_CHURN.fullmatch(c.snake)]
        return [c for c in named if c.dates is None and not c.unread_dates]

    def _pair(self, columns: Sequence[Column]) -> bool:
        for column in columns:
            spelt = _spellings(column)
            if len(spelt) == 2 or (len(spelt) > 2 and self._odd(column, spelt) is not None):
                self._is_label(column, spelt)
                return True
        return False

    def _status(self, columns: Sequence[Column]) -> bool:
        for column in columns if self._wanted else (*columns, *self._named(names.STATUS)):
            left = [value for value in column.label_values if says_left(value)]
            if left and len(left) < len(column.label_values) <= MANY_STATES:
                self._is_status(column, left)
                return True
        return False

    @staticmethod
    def _odd(column: Column, spelt: Sequence[Sequence[str]]) -> list[int] | None:
        """Rows with neither of the two common values; None where there are too many."""
        texts = column.label_texts
        odd = pc.and_(pc.is_valid(texts), pc.invert(pc.is_in(texts, pa.array([*spelt[0], *spelt[1]]))))
        rows = [row for row, is_odd in enumerate(pc.fill_null(odd, False).to_pylist()) if is_odd]
        return rows if len(rows) <= tolerated(len(column.values)) and len(column.values) > FEW else None

    def _is_label(self, column: Column, spelt: Sequence[Sequence[str]]) -> None:
        known = _known(spelt[:2])
        self.label, self.positive = column, tuple(known or spelt[1])
        sure = "" if known else ", because it is the rarer value: check this, and correct `positive`"
        means = " and ".join(map(repr, self.positive))
        self._said.say(
            f"The label is {column.name!r}; {means} {'means' if len(self.positive) == 1 else 'mean'} churned{sure}."
        )
        odd = self._odd(column, spelt) if len(spelt) > 2 else []
        if odd:
            text = f"{column.name!r} has other values, which count as stayed: {{cells}}."
            self._said.doubt(text, odd, column.values)
        self._unlabelled(column)

    def _is_status(self, column: Column, left: Sequence[str]) -> None:
        self.label, self.positive = column, tuple(left)
        others = ", ".join(repr(value) for value in column.label_values if value not in left)
        means = " and ".join(map(repr, left))
        self._said.say(
            f"The label is {column.name!r}; {means} {'means' if len(left) == 1 else 'mean'} churned, {others} stayed: "
            "check this, and correct `positive`."
        )
        self._unlabelled(column)

    def _unlabelled(self, column: Column) -> None:
        missing = column.label_texts.null_count
        if missing:
            rows = "1 row has" if missing == 1 else f"{missing:,} rows have"
            self._said.say(f"{rows} no label in {column.name!r}: not trained on, but scored.")

    def _say_none(self) -> None:
        patterns = (names.CHURN, names.GONE, names.TARGET, names.STATUS)
        named = [c for pattern in patterns for c in self._columns if pattern.fullmatch(c.snake)]
        found = "".join(f" {_held(c)}." for c in named[:SHOWN_CANDIDATES])
        pairs = [c for c in self._columns if c not in named and len(c.label_values) == 2]
        stays = [c.name for c in pairs if names.STAYS.fullmatch(c.snake)][:SHOWN_CANDIDATES]
        stayed = f" Perhaps {', '.join(map(repr, stays))} says who stays: its other value means left." if stays else ""
        rest = [c.name for c in pairs if c.name not in stays][:SHOWN_CANDIDATES]
        other = stayed + (f" Columns with two values: {', '.join(map(repr, rest))}." if rest else "")
        self._said.say(
            "No label was found: no column called churn, left, exited, cancelled, target or status has one value for "
            f"who left and one for who stayed.{found}{other} Set `label` and `positive` if a column tells who left."
        )


def says_left(value: str) -> bool:
    """Whether a value of a column of states says that somebody left."""
    return names.GONE_WORDS.fullmatch(meaning(value)) is not None


def only_marks_who_left(column: Column) -> bool:
    """Whether a column called like a label holds one value and blanks: a mark at those who left."""
    named = names.GONE.fullmatch(column.snake) or names.CHURN.fullmatch(column.snake)
    return named is not None and len(column.label_values) == 1 and column.label_texts.null_count > 0


def _spellings(column: Column) -> list[list[str]]:
    """The values of a label, those that differ by case alone together; the commonest first."""
    together: dict[str, list[str]] = {}
    for value in sorted(column.label_values):
        together.setdefault(plain_text(value), []).append(value)
    counts = column.label_values
    return sorted(together.values(), key=lambda values: -sum(counts[value] for value in values))


def _known(spelt: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """The one of two values that means left, by what either of them says; None where neither says it."""
    left = [values for values in spelt if names.LEFT.fullmatch(meaning(values[0]))]
    stayed = [values for values in spelt if names.STAYED.fullmatch(meaning(values[0]))]
    if len(left) != 1 and len(stayed) == 1:
        left = [values for values in spelt if values not in stayed]
    return left[0] if len(left) == 1 else None


def _held(column: Column) -> str:
    if only_marks_who_left(column):
        value, blank = next(iter(column.label_values)), column.label_texts.null_count
        return (
            f"{column.name!r} holds {value!r} or nothing ({blank:,} rows): write a value for those who stayed to use it"
        )
    count = f"{column.distinct:,} different values" if column.distinct > 1 else "one value"
    return f"{column.name!r} holds {count}"
