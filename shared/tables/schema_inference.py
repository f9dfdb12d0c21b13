"""A schema is proposed for a customer table nobody has described yet.

Law: the proposed schema reads the file it was made from, and every guess that matters is said in a note.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import InvalidTable
from shared.schema.features import MAX_FEATURES, Feature, Schema, Subscription
from shared.schema.toml import schema_toml
from shared.schema.units import WHOLE_UNITS
from shared.tables import cells
from shared.tables.column_profile import Column, read_whole
from shared.tables.columns import Between, FileColumns, nothing
from shared.tables.open import open_table, read_columns

#: Rows from which a coincidence between two columns is none.
ENOUGH_ROWS = 20
MAX_NAME = 200
#: Files above this many bytes are judged by so many rows.
WHOLE_BYTES, MANY_ROWS = 32 * 1024 * 1024, 200_000

_WHO = "customer|client|user|subscriber|account|acct|member|cust|person|contact|household"
_ID = re.compile(rf"(?:{_WHO})(?:_?(?:id|no|num|number|key|ref|code))?|id|uuid|guid|msisdn")
_CHURN = re.compile(r"(?:.*_)?churn(?:ed|er)?(?:_.*)?")
_GONE = re.compile(r"(?:is_|has_)?(?:exited|left|attrition|attrited|cancell?ed|lapsed)(?:_flag|_label|_value)?")
_TARGET = re.compile(r"target|label|outcome|y")
_POSITIVE = re.compile(r"(?i:yes|y|true|churn.*|left|exited|attrited.*|cancell?ed|lost|gone|leaver|lapsed)")
_AS_OF = re.compile(r"as_?of(?:_date)?|snapshot(?:_date)?|(?:observation|reference)_date")
_END = re.compile(r"(?:.*_)?(?:end|ended|cancel\w*|churn|churned|terminat\w*|expir\w*|closed)(?:_.*)?")
_START = re.compile(r"(?:.*_)?(?:start|started|sign_?up|join|joined|regist\w*|created|since|activat\w*|begin)(?:_.*)?")
_REASON = re.compile(r"(?:end|cancel\w*|churn|leaving|exit|terminat\w*)_reason|reason_(?:for|of)_\w+")
_PRICE = re.compile(r"(?:monthly|subscription|plan)_(?:price|charges?|fee|rate|payment)|price|mrr|price_per_month")
_PLAN = re.compile(r"(?:current_)?(?:plan|contract|tariff|tier|package)(?:_(?:type|name|plan))?|\w+_(?:plan|type)")
_E_MAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


@dataclass(frozen=True)
class InferredSchema:
    """A proposal: the schema, what was guessed in notes, and what was seen in each feature's column."""

    schema: Schema
    notes: tuple[str, ...]
    seen: Mapping[str, str] = field(default_factory=dict)

    def to_toml(self) -> str:
        """The schema as a file to read, correct and keep; `shared.schema.features.parse_schema` reads it back."""
        return schema_toml(self.schema, self.notes, self.seen)


def infer_schema(
    path: Path | str, *, name: str | None = None, folder: Path | None = None, between: Between = nothing
) -> InferredSchema:
    """Propose a schema for a CSV or Parquet file from its headers and its values.

    Only the first 200,000 rows of a file above 32 MB (unpacked) are read, and a note says so.

    Parameters
    ----------
    name
        The file's name, where `path` is a name of ours.
    folder
        Where a copy in UTF-8 may be written, as for `open_table`.
    between
        Called between the pieces of the file, and between its columns: what it raises ends the work.

    Raises
    ------
    InvalidTable
        Where the file is no table, or holds no column that could be a feature.
    """
    with closing(open_table(path, folder=folder, between=between)) as table:
        long = table.unpacked > WHOLE_BYTES
        file = read_columns(table, MANY_ROWS if long else None)
        table.refuse_ragged()
    guess = _Guess(file, between)
    if long:
        guess.notes.append(f"The file is long: its first {MANY_ROWS:,} rows were judged.")
    guess.find_roles()
    guess.find_features()
    if not guess.features:
        raise InvalidTable("No column of the file can be a feature: " + " ".join(guess.notes))
    if len(guess.features) > MAX_FEATURES:
        raise InvalidTable(
            f"{len(guess.features):,} columns could be features, and at most {MAX_FEATURES} are supported: "
            "leave columns out of the file, or write the schema by hand."
        )
    roles: dict[str, Any] = {role: column.name for role, column in guess.roles.items()}
    schema = Schema(
        name=Path(name or path).stem.strip()[:80] or None, positive=guess.positive, ignore=tuple(guess.ignore),
        subscription=Subscription(**guess.subscription), features=guess.features, **roles,
    )  # fmt: skip
    return InferredSchema(schema, tuple(guess.notes), guess.seen)


def _comma_numbers(values: pa.Array, name: str, problems: cells.CellProblems) -> pa.Array:
    return cells.numbers(values, name, problems, decimal_comma=True)


class _Guess:
    """One pass over the columns: who plays which part, and what is left for the model."""

    def __init__(self, file: FileColumns, between: Between) -> None:
        self._between = between
        pairs = list(zip(file.names, file.columns, strict=True))
        comma = file.delimiter not in (None, ",") and cells.uses_decimal_comma(
            values for _, values in pairs if read_whole(_comma_numbers, values) is not None
        )
        stripped = Counter(name.strip() for name in file.names)
        self.columns = [
            Column(name.strip() if stripped[name.strip()] == 1 else name, column, comma)
            for name, column in pairs if len(name) <= MAX_NAME
        ]  # fmt: skip
        self.notes = [*file.notes, *(["Numbers are written with a decimal comma."] if comma else [])]
        self.notes += [f"{n[:40]!r}… is left out: its name is too long." for n in file.names if len(n) > MAX_NAME]
        self.roles: dict[str, Column] = {}
        self.subscription: dict[str, str] = {}
        self.positive: tuple[str, ...] = ()
        self.features: dict[str, Feature] = {}
        self.ignore: list[str] = []
        self.seen: dict[str, str] = {}

    def _first(self, name: re.Pattern[str], fits: Callable[[Column], Any]) -> Column | None:
        free = (c for c in self.columns if c not in self.roles.values() and c.name not in self.subscription.values())
        return next((c for c in free if name.fullmatch(c.snake) and self._looked_at(c, fits)), None)

    def _looked_at(self, column: Column, fits: Callable[[Column], Any]) -> Any:
        self._between()
        return fits(column)

    def find_roles(self) -> None:
        """The columns that aren't features, and those that are more than that."""
        tests: dict[str, list[tuple[re.Pattern[str], Callable[[Column], Any]]]] = {
            "as_of": [(_AS_OF, lambda c: c.dates is not None and c.dates.null_count == 0)],
            "id": [(re.compile(r".*(?:id|uid)"), self._identifies), (_ID, self._identifies)],
            "label": [(name, lambda c: c.complete and c.distinct == 2) for name in (_CHURN, _GONE, _TARGET)],
            "email": [(re.compile(".*"), lambda c: c.share(_E_MAIL) > 0.9)],
        }
        for role, choices in tests.items():
            if column := next(filter(None, (self._first(*choice) for choice in choices)), None):
                self.roles[role] = column
        if "label" in self.roles:
            self._find_positive(self.roles["label"])
        for role, name, fits in _CONTRACT:
            if column := self._first(name, fits):
                self.subscription[role] = column.name

    def _identifies(self, column: Column) -> bool:
        if not _ID.fullmatch(column.snake) or pa.types.is_floating(column.values.type) or not column.complete:
            return False
        if column.numbers is not None and not column.whole:
            return False
        as_of = self.roles["as_of"].dates if "as_of" in self.roles else None
        ids = cells.identifiers(column.values, column.name, cells.CellProblems(1))
        rows = pa.table({"id": ids} if as_of is None else {"id": ids, "as_of": as_of})
        return bool(rows.group_by(rows.column_names).aggregate([]).num_rows == rows.num_rows)

    def _find_positive(self, label: Column) -> None:
        values = sorted(label.examples)
        known = [value for value in values if _POSITIVE.fullmatch(value)] if values != ["0", "1"] else ["1"]
        rarer = min(values, key=lambda value: pc.sum(pc.equal(label.texts, value)).as_py())
        self.positive = (known[0] if len(known) == 1 else rarer,)
        sure = "" if len(known) == 1 else ", because it is the rarer value: check this"
        self.notes.append(f"The label is {label.name!r}; {self.positive[0]!r} means churned{sure}.")

    def find_features(self) -> None:
        """Everything else, less what can't help a model."""
        out: dict[str, list[str]] = {}
        taken = {self.subscription.get(role) for role in ("start", "end", "end_reason")}
        for column in self.columns:
            if column in self.roles.values() or column.name in taken:
                continue
            self._between()
            why = self._why_not(column)
            if why:
                out.setdefault(why, []).append(column.name)
            else:
                self._add(column)
        self.ignore = [name for names in out.values() for name in names]
        self.notes += [f"Left out, {why}: {', '.join(names)}." for why, names in out.items()]
        self._name_repeats([c for c in self.columns if c.name in self.features])

    def _why_not(self, c: Column) -> str | None:
        label, rows = self.roles.get("label"), len(c.values)
        reasons = {
            "all cells are blank": c.blank,
            "neither numbers nor short texts": c.texts is None,
            "always the same": c.distinct == 1 and c.complete,  # with blanks beside it, it says who has one
            "dates": c.dates is not None,
            "they tell the outcome": _CHURN.fullmatch(c.snake) or _REASON.fullmatch(c.snake)
            or (label is not None and rows >= ENOUGH_ROWS and c.codes == label.codes),
            "texts with many different values": c.many and c.numbers is None,
            "ids": c.many and _ID.fullmatch(c.snake),
            "they only count the rows": rows >= ENOUGH_ROWS and c.whole and c.distinct == rows
            and c.largest - c.smallest == rows - 1,
        }  # fmt: skip
        return next((why for why, true in reasons.items() if true), None)

    def _add(self, c: Column) -> None:
        number = c.kind == "number"
        missing = (c.numbers if number else c.texts).null_count
        label = " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", c.name).replace("_", " ").split())
        label = label[:1].upper() + label[1:]
        unit = c.unit if number else None
        whole = bool(c.whole) and unit in WHOLE_UNITS
        told = {"kind": c.kind, "unit": unit, "label": label if label != c.name else None}
        self.features[c.name] = Feature.model_validate({**told, "missing": missing > 0, "whole": whole})
        what = f"{c.smallest:g} to {c.largest:g}" if number else ", ".join(c.examples[:5])[:MAX_NAME]
        self.seen[c.name] = f"{c.distinct} different: {what}" + (f"; {missing} missing" if missing else "")
        if not number and not c.whole and c.share(cells.NUMBER) > 0.5:
            self.notes.append(f"{c.name!r} holds texts among its numbers, so it is taken as a category: check this.")
        if unit == "months" and "months" not in c.words:
            self.notes.append(f"{c.name!r} is taken to be in months.")

    def _name_repeats(self, columns: list[Column]) -> None:
        first: dict[bytes, Column] = {}
        for column in columns:
            other = first.setdefault(column.codes, column)
            rows = len(column.values)
            if other is not column and column.texts.equals(other.texts):
                self.notes.append(f"{column.name!r} equals {other.name!r}: one of them can go to `ignore`.")
            elif other is not column and rows >= ENOUGH_ROWS and column.distinct < rows / 2:
                self.notes.append(f"{column.name!r} says the same as {other.name!r}: one of them can go to `ignore`.")


#: Roles of the contract, in the order they are looked for: name, and what the values must be.
_CONTRACT: tuple[tuple[str, re.Pattern[str], Callable[[Column], Any]], ...] = (
    ("end", _END, lambda c: c.dates is not None),
    ("start", _START, lambda c: c.dates is not None),
    ("end_reason", _REASON, lambda c: c.distinct > 0 and c.numbers is None),
    ("price", _PRICE, lambda c: c.numbers is not None and c.smallest >= 0),
    ("plan", _PLAN, lambda c: c.distinct > 0 and c.kind == "category" and not c.many and c.dates is None),
    ("currency", re.compile("currency"), lambda c: c.distinct > 0 and c.numbers is None),
)
