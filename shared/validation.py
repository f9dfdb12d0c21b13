"""Problems found by pydantic, as details of our errors; dates that are dates, and flags that are true or false."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError

from shared.errors import Detail


def details_of(error: ValidationError, *, whole: str = "body") -> list[Detail]:
    """Return one detail for each fault, without the values that were given.

    Parameters
    ----------
    whole
        The field named where a fault belongs to no single one.
    """
    return [
        {
            "field": ".".join(str(part) for part in fault["loc"]) or whole,
            "message": fault["msg"].removeprefix("Value error, "),
        }
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def _written_as_a_date(value: Any) -> Any:
    # pydantic takes numbers for seconds since 1970, `0` among them.
    if isinstance(value, date) or (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)):
        return value
    raise ValueError("expected a date such as 2026-01-31")


#: A date as people write it in ISO 8601, and nothing else.
IsoDate = Annotated[date, BeforeValidator(_written_as_a_date)]


def _written_as_a_flag(value: Any) -> Any:
    # pydantic takes 0, "off" and "n" for false, which no schema says.
    found = {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else value
    if isinstance(found, bool):
        return found
    raise ValueError("expected true or false")


#: `true` or `false` in a form or a query string, as Python writes them too.
Flag = Annotated[bool, BeforeValidator(_written_as_a_flag)]
