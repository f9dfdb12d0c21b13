"""Why a base has no row to train on, in a sentence that says what to do.

Law: the sentence names what is missing: an end, a label, or the days until a date has matured.
"""

from __future__ import annotations

from database.customers import facts, maturity
from database.engine.session import Connection
from database.importing import known_ends
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.schema.features import Schema

NOT_YET = (
    "No month has matured yet: a training row needs {days} days between its date and the day up to which all ends are "
    "known ({known}). Import earlier snapshots with their subscriptions, or a table with a label column; what makes "
    "ends known: {how}."
)
NOBODY_LEFT = (
    "Nothing says who left: {column}, and no subscription has an end. Import a table with a column that says who left "
    "(`label` and `positive` in its schema), or the ends of subscriptions (`retainstream import-outcomes FILE`, "
    "POST /api/customers/outcomes)."
)


def reason(connection: Connection, schema: Schema) -> str:
    """Return why no row can be trained on."""
    if schema.subscription.end is not None or facts.has_ends(connection):
        known = maturity.complete_to(connection) or known_ends.NO_DAY
        return NOT_YET.format(days=HORIZON_DAYS + GRACE_DAYS, known=known, how=known_ends.HOW)
    blank = f"the label {schema.label!r} is blank in every row" if schema.label else "the schema names no label"
    return NOBODY_LEFT.format(column=blank)
