"""Problems found by pydantic, as details of our errors."""

from __future__ import annotations

from pydantic import ValidationError

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
