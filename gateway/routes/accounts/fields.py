"""Fields of accounts as the document describes them.

Law: the rules and their error messages are in `gateway.services.accounts.credentials`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.services.accounts.credentials import (
    MAX_EMAIL_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PASSWORD_LENGTH,
    MIN_PASSWORD_LENGTH,
)

NewEmail = Annotated[
    str,
    Field(
        examples=["name@example.com"],
        description="An address in ASCII, except for its domain",
        json_schema_extra={"format": "email", "maxLength": MAX_EMAIL_LENGTH},
    ),
]
NewPassword = Annotated[
    str,
    Field(
        description="8 to 200 characters, 15 or more recommended; not one that is easily guessed",
        json_schema_extra={"minLength": MIN_PASSWORD_LENGTH, "maxLength": MAX_PASSWORD_LENGTH},
    ),
]
PersonName = Annotated[
    str,
    Field(
        description="1 to 100 characters of one alphabet, none invisible",
        json_schema_extra={"minLength": 1, "maxLength": MAX_NAME_LENGTH, "pattern": r"\S"},
    ),
]
