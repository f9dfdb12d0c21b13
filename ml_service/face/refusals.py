"""The product's refusals, as callers of scikit-learn expect them.

Law: the message stays; the error of the product is the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shared.errors import ServiceError


@contextmanager
def as_value_errors() -> Iterator[None]:
    """Raise errors of the product as ValueError."""
    try:
        yield
    except ServiceError as error:
        raise ValueError(error.message) from error
