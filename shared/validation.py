"""Faults found by pydantic, as details of our errors; strict types for dates and flags."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from shared.errors import Detail


def details_of(error: ValidationError, *, whole: str = "body") -> list[Detail]:
    """Return one detail per fault, without the given values.

    Parameters
    ----------
    whole
        The field to name if a fault belongs to no single field.
    """
    return [
        {
            "field": ".".join(str(part) for part in fault["loc"]) or whole,
            "message": _said(fault["type"], fault["msg"].removeprefix("Value error, "), fault.get("ctx", {})),
        }
        for fault in error.errors(include_url=False, include_input=False)
    ]


def _said(kind: str, message: str, limits: Mapping[str, Any]) -> str:
    # pydantic speaks of dictionaries and of validation.
    if kind == "too_short":
        return f"expected at least {limits['min_length']}, got {limits['actual_length']}"
    return message


def _written_as_a_date(value: Any) -> Any:
    # pydantic reads numbers, such as `0`, as seconds since 1970.
    if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)):
        return value
    raise ValueError("expected a date such as 2026-01-31")


#: A date such as 2026-01-31, and nothing else.
IsoDate = Annotated[date, BeforeValidator(_written_as_a_date)]


def _written_as_a_flag(value: Any) -> Any:
    # pydantic reads 0, "off" and "n" as false, which no schema documents.
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if isinstance(found, bool):
        return found
    raise ValueError("expected true or false")


#: `true` or `false` in a form or a query string, in any case.
Flag = Annotated[bool, BeforeValidator(_written_as_a_flag)]


#: Characters that nobody sees, although Unicode classes them as letters, marks or symbols.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")


def is_visible(text: str) -> bool:
    """Return whether a text has no control, format, private, unassigned, surrogate or invisible character."""
    kinds = [unicodedata.category(each) for each in text]
    return INVISIBLE.isdisjoint(text) and not any(kind[0] == "C" or kind in ("Zl", "Zp") for kind in kinds)


def visible(text: str) -> str:
    """Return a name that is shown to others. Raises ValueError where it has control, format or invisible characters."""
    if not is_visible(text):
        raise ValueError("expected visible characters alone: no control or format character")
    return text
