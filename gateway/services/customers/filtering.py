"""Reads filters as users write them (`plan=Standard`, `feature.device_count.min=2`) into
`database.customers.filters.Filters`.

Law: lists, exports, jobs and commands read filters here; an unreadable filter is refused with its field, never ignored:
an export that ignored a misspelt filter would contain too many customers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from database.customers.filters import FeatureRule, Filters, Range
from database.customers.listing import FEATURE, LAST_SEEN, SORT_KEYS, Sort
from database.exporting.ledger import LedgerFilters
from shared.errors import Detail, InvalidInput, invalid
from shared.parsing_limits import MAX_INT64
from shared.risk import RiskLevel
from shared.schema.features import Schema
from shared.validation import Flag, IsoDate, details_of

Pair = tuple[str, str]
PREFIX = FEATURE
#: Filters that can be given several times: one of the values has to match.
SEVERAL = ("plan", "risk", "reason", "work_status", "work_owner")
WorkStatus = Literal["to_do", "contacted", "snoozed", "saved", "lost"]
SORTS = tuple(f"{sign}{key}" for key in SORT_KEYS for sign in ("-", ""))


Contact = Literal["allowed", "any"]
CONTACT = "allowed: without those held out, in an arm without contact or not to be contacted; any: marked only"


class FilterFields(BaseModel):
    """Filters on customers; `feature.<name>=`, `feature.<name>.min=` and `feature.<name>.max=` beside these."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    q: str | None = Field(None, min_length=1, max_length=200, description="user_id or e-mail begins with")
    plan: list[str] | None = Field(None, max_length=50, description="One of these plans; blank: unknown")
    risk: list[RiskLevel] | None = Field(None, description="One of these risk levels")
    min_probability: float | None = Field(None, ge=0, le=1, description="Churn probability, both ends included")
    max_probability: float | None = Field(None, ge=0, le=1)
    min_confidence: float | None = Field(None, ge=0, le=1, description="Confidence of the prediction")
    max_confidence: float | None = Field(None, ge=0, le=1)
    low_confidence: Flag | None = Field(None, description="Below CONFIDENCE_THRESHOLD, or not")
    min_tenure_months: float | None = Field(None, description="Months as a customer")
    max_tenure_months: float | None = Field(None)
    min_monthly_price: float | None = Field(None, description="Revenue a month")
    max_monthly_price: float | None = Field(None)
    reason: list[str] | None = Field(None, max_length=50, description="One of these features is among the top three")
    scored: Literal["yes", "no", "any"] | None = Field(None, description="Has a present score")
    churned: Flag | None = Field(None, description="Has left, or is still a customer")
    work_status: list[Literal["to_do", "contacted", "snoozed", "saved", "lost", ""]] | None = Field(
        None, max_length=6, description="One of these on the worklist; blank: not on it"
    )
    work_owner: list[Annotated[str, StringConstraints(pattern=r"^[0-9]{0,18}$")]] | None = Field(
        None, max_length=50, description="One of these people (their number) looks after it; blank: nobody"
    )
    due_by: IsoDate | None = Field(None, description="Due on the worklist on this day or before")
    contact: Contact | None = Field(None, description=CONTACT)


def parse(schema: Schema, pairs: Iterable[Pair], *, unsure_below: float, allowed: Sequence[str] = ()) -> Filters:
    """Read filters.

    Parameters
    ----------
    pairs
        (name, value), as in a query string; a name may occur several times.
    unsure_below
        CONFIDENCE_THRESHOLD: below it a prediction has low confidence.
    allowed
        Further names to skip: parameters that are not filters.

    Raises
    ------
    InvalidInput
        A name or value can't be used; there is a detail for each.
    """
    given = list(pairs)
    details: list[Detail] = []
    for name in dict.fromkeys(name for name, _ in given):
        if name not in FilterFields.model_fields and name not in allowed and not name.startswith(PREFIX):
            details.append({"field": name, "message": f"there is no filter {name!r}"})
    fields = _fields(given, details)
    reasons = [_feature(schema, name, "reason", details) for name in fields.reason or ()]
    rules = _rules(schema, [(n, v) for n, v in given if n.startswith(PREFIX)], details)
    names = ("probability", "confidence", "tenure_months", "monthly_price")
    ranges = [_range(getattr(fields, f"min_{n}"), getattr(fields, f"max_{n}"), f"min_{n}", details) for n in names]
    if details:
        raise InvalidInput.of(details)
    return Filters(
        prefix=fields.q,
        plans=tuple(plan or None for plan in fields.plan or ()),
        levels=tuple(fields.risk or ()),
        probability=ranges[0],
        confidence=ranges[1],
        tenure=ranges[2],
        price=ranges[3],
        is_unsure=fields.low_confidence,
        unsure_below=unsure_below,
        reasons=tuple(name for name in reasons if name is not None),
        is_scored={"yes": True, "no": False}.get(fields.scored or ""),
        has_left=fields.churned,
        features=tuple(rules),
        work_statuses=tuple(status or None for status in fields.work_status or ()),
        work_owners=tuple(int(owner) if owner else None for owner in fields.work_owner or ()),
        due_by=fields.due_by.isoformat() if fields.due_by else None,
        is_contactable={"allowed": True, "any": False}.get(fields.contact or ""),
    )


class LedgerFields(BaseModel):
    """Filters on the predictions of the ledger."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, protected_namespaces=())

    since: IsoDate | None = Field(None, description="Date of the facts, this day included; not after `until`")
    until: IsoDate | None = Field(None, description="Date of the facts, this day included")
    run_id: int | None = Field(None, ge=1, le=MAX_INT64)
    model_version: str | None = Field(None, max_length=40)
    customer_id: str | None = Field(None, min_length=1, max_length=500, description="user_id")
    min_probability: float | None = Field(None, ge=0, le=1)
    max_probability: float | None = Field(None, ge=0, le=1)
    contact: Contact | None = Field(None, description=CONTACT)


def parse_ledger(pairs: Iterable[Pair], *, allowed: Sequence[str] = ()) -> LedgerFilters:
    """Read filters of the ledger. Raises InvalidInput as `parse` does."""
    values = dict(pairs)
    details: list[Detail] = [
        {"field": name, "message": f"there is no filter {name!r}"}
        for name in values
        if name not in LedgerFields.model_fields and name not in allowed
    ]
    try:
        fields = LedgerFields.model_validate({k: v for k, v in values.items() if k in LedgerFields.model_fields})
    except ValidationError as error:
        details += details_of(error)
        fields = LedgerFields()
    _range(fields.min_probability, fields.max_probability, "min_probability", details)
    if fields.since and fields.until and fields.since > fields.until:
        details.append({"field": "since", "message": f"{fields.since} is after `until`, {fields.until}"})
    if details:
        raise InvalidInput.of(details)
    return LedgerFilters(
        since=fields.since.isoformat() if fields.since else None,
        until=fields.until.isoformat() if fields.until else None,
        run_id=fields.run_id,
        model_version=fields.model_version,
        user_id=fields.customer_id,
        low=fields.min_probability,
        high=fields.max_probability,
        is_contactable=fields.contact != "any",
    )


def _fields(given: Sequence[Pair], details: list[Detail]) -> FilterFields:
    values: dict[str, Any] = {}
    for name, value in given:
        if name in SEVERAL:
            values.setdefault(name, []).append(value)
        elif name in FilterFields.model_fields:
            values[name] = value
    try:
        return FilterFields.model_validate(values)
    except ValidationError as error:
        details += details_of(error)
        return FilterFields()


def _feature(schema: Schema, name: str, field: str, details: list[Detail]) -> str | None:
    """Return the name of a feature given by its name or in snake case; add a detail if there is no such feature."""
    if name in schema.features:
        return name
    if name in schema.by_snake:
        return schema.by_snake[name]
    details.append({"field": field, "message": f"there is no feature {name!r}; expected one of {_listed(schema)}"})
    return None


def _listed(schema: Schema) -> str:
    names = schema.feature_names
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _rules(schema: Schema, pairs: Iterable[Pair], details: list[Detail]) -> list[FeatureRule]:
    """Return one rule for each named feature."""
    rules: dict[str, dict[str, Any]] = {}
    for field, value in pairs:
        name = field.removeprefix(PREFIX)
        part = "value"
        if name not in schema.features and name.endswith((".min", ".max")):
            name, _, part = name.rpartition(".")
        feature = _feature(schema, name, field, details)
        if feature is None:
            continue
        rule = rules.setdefault(feature, {"value": [], "min": None, "max": None, "field": field})
        read = _cell(schema, feature, value, field, part, details)
        if part == "value":
            rule["value"].append(read)
        else:
            rule[part] = read
    return [
        FeatureRule(feature, tuple(rule["value"]), _range(rule["min"], rule["max"], rule["field"], details))
        for feature, rule in rules.items()
    ]


def _cell(schema: Schema, feature: str, value: str, field: str, part: str, details: list[Detail]) -> str | float | None:
    is_number = schema.features[feature].kind == "number"
    if part != "value" and not is_number:
        details.append({"field": field, "message": f"{feature} is a category: it has no {part}"})
        return None
    if not is_number or (value == "" and part == "value"):
        return value or None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        details.append({"field": field, "message": "expected a number"})
    return number


def _range(low: float | None, high: float | None, field: str, details: list[Detail]) -> Range:
    if low is not None and high is not None and low > high:
        details.append({"field": field, "message": f"the lower end {low:g} is above the upper end {high:g}"})
    return Range(low, high)


def parse_sort(schema: Schema, text: str) -> Sort:
    """Read a sort such as `-revenue_at_risk`: a key, after a minus if the largest comes first.

    Raises
    ------
    InvalidInput
        There is no such key, or these customers have no column for it.
    """
    key, descending = text.lstrip("-+ "), text.lstrip("+ ").startswith("-")  # a plus in a URL is decoded as a space
    if key.startswith(FEATURE):
        return Sort(FEATURE + _number(schema, key.removeprefix(FEATURE)), descending)
    if key not in SORT_KEYS:
        raise invalid("sort", f"expected one of {', '.join(SORTS)}, or {FEATURE}<name> of a number")
    if key == "last_activity" and LAST_SEEN not in schema.features:
        raise invalid("sort", f"these customers have no feature {LAST_SEEN}, so their last activity is unknown")
    return Sort(key, descending)


def _number(schema: Schema, name: str) -> str:
    details: list[Detail] = []
    feature = _feature(schema, name, "sort", details)
    if feature is None:
        raise InvalidInput.of(details)
    if schema.features[feature].kind != "number":
        raise invalid("sort", f"{feature} is a category: only numbers have an order")
    return feature


def parse_shown(schema: Schema, names: Iterable[str]) -> list[str]:
    """Read the features that a list shows beside its own columns. Raises InvalidInput."""
    details: list[Detail] = []
    found = [_feature(schema, name, "show", details) for name in names]
    if details:
        raise InvalidInput.of(details)
    return [name for name in dict.fromkeys(found) if name is not None]
