"""The baseline's statements for SQLite only: descending keys, any-case indexes, the view, the triggers.

`create` makes every table (of `database.tables`), index, view and trigger of the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, PrimaryKeyConstraint
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex

from database.tables.tables import metadata

#: The ledger's finished runs under the documented names.
PREDICTIONS = """
CREATE VIEW predictions AS
SELECT r.ids_after + l.customer_id AS id, l.customer_id, l.churn_probability, l.confidence, l.out_of_fold,
       l.reason_1, l.points_1, l.reason_2, l.points_2, l.reason_3, l.points_3, r.started_at AS prediction_date,
       l.run_id, date(r.as_of, -l.facts_age || ' days') AS facts_as_of
FROM ledger AS l JOIN scoring_runs AS r ON r.id = l.run_id WHERE r.state IN ('done', 'published')
"""
# The ledger has no foreign keys: checking them row by row would add a quarter to the time of storing.
CUSTOMER_STAYS = """
CREATE TRIGGER a_customer_with_scores_stays BEFORE DELETE ON customers
WHEN EXISTS (SELECT 1 FROM scoring_runs AS r JOIN ledger AS l ON l.run_id = r.id AND l.customer_id = OLD.id)
BEGIN SELECT raise(ABORT, 'the customer has scores'); END
"""
RUN_STAYS = """
CREATE TRIGGER a_run_with_scores_stays BEFORE DELETE ON scoring_runs
WHEN EXISTS (SELECT 1 FROM ledger WHERE run_id = OLD.id)
BEGIN SELECT raise(ABORT, 'the run has scores'); END
"""
AUDIT_IS_KEPT = """
CREATE TRIGGER audit_log_is_kept_a_month BEFORE DELETE ON audit_log
WHEN OLD.at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-27 days')
BEGIN SELECT RAISE(ABORT, 'the audit log is kept for a month at least'); END
"""
AUDIT_IS_NEVER_CHANGED = """
CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log
WHEN NEW.id IS NOT OLD.id OR NEW.at IS NOT OLD.at OR NEW.action IS NOT OLD.action OR NEW.subject IS NOT OLD.subject
  OR NEW.request_id IS NOT OLD.request_id OR NEW.actor IS NOT OLD.actor
  OR (NEW.user_id IS NOT OLD.user_id AND NEW.user_id IS NOT NULL)
  OR (NEW.key_id IS NOT OLD.key_id AND NEW.key_id IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'the audit log is never changed'); END
"""
# The first day on which an end is known: the first day of absence, the day it was announced, or else the end itself.
_KNOWN = "coalesce({0}.absent_from, min(coalesce({0}.cancelled_at, {0}.ended_at), {0}.ended_at))"
_KNOWN_OLD, _KNOWN_NEW = _KNOWN.format("OLD"), _KNOWN.format("NEW")
_UNTIL = f"min(coalesce(NEW.told_on, substr(NEW.known_at, 1, 10)), coalesce({_KNOWN_NEW}, '9999'))"
#: An end that is withdrawn or moved stays recorded for the days on which it was known: later facts never change who
#: was in the population on those days.
ENDS_ARE_REMEMBERED = f"""
CREATE TRIGGER subscriptions_remember_ends AFTER UPDATE OF ended_at, cancelled_at ON subscriptions
WHEN OLD.ended_at IS NOT NULL AND {_KNOWN_OLD} < {_UNTIL}
BEGIN
  INSERT INTO withdrawn_ends (customer_id, started_at, known_from, known_until)
  VALUES (OLD.customer_id, OLD.started_at, {_KNOWN_OLD}, {_UNTIL});
END
"""
#: A price that newer facts change stays recorded up to their date: revenue of a past month is what was paid then.
PRICES_ARE_REMEMBERED = """
CREATE TRIGGER customers_remember_prices AFTER UPDATE OF monthly_price ON customers
WHEN OLD.monthly_price IS NOT NEW.monthly_price AND OLD.monthly_price IS NOT NULL AND OLD.as_of < NEW.as_of
BEGIN
  INSERT INTO past_prices (customer_id, until, monthly_price) VALUES (OLD.id, NEW.as_of, OLD.monthly_price);
END
"""
STATEMENTS = (
    PREDICTIONS,
    CUSTOMER_STAYS,
    RUN_STAYS,
    AUDIT_IS_KEPT,
    AUDIT_IS_NEVER_CHANGED,
    ENDS_ARE_REMEMBERED,
    PRICES_ARE_REMEMBERED,
)


def create(connection: Connection) -> None:
    """Make every table, index, view and trigger in an empty database."""
    metadata.create_all(connection)
    for statement in STATEMENTS:
        connection.exec_driver_sql(statement.strip())


def replace_predictions(connection: Connection) -> None:
    """Make today's view of the predictions in place of an earlier one."""
    connection.exec_driver_sql("DROP VIEW IF EXISTS predictions")
    connection.exec_driver_sql(PREDICTIONS.strip())


def remember_prices(connection: Connection) -> None:
    """Make the trigger that remembers prices, if the baseline has not made it."""
    connection.exec_driver_sql("DROP TRIGGER IF EXISTS customers_remember_prices")
    connection.exec_driver_sql(PRICES_ARE_REMEMBERED.strip())


@contextmanager
def replace_trigger(connection: Connection) -> Iterator[None]:
    """Leave out the trigger that remembers ends, for as long as a migration dates them anew; then make today's."""
    connection.exec_driver_sql("DROP TRIGGER IF EXISTS subscriptions_remember_ends")
    yield
    connection.exec_driver_sql(ENDS_ARE_REMEMBERED.strip())


@compiles(PrimaryKeyConstraint, "sqlite")
def _descending(constraint: PrimaryKeyConstraint, compiler: Any, **how: Any) -> str:
    """A key that sorts the columns of the table's `info["descending"]` in descending order."""
    text: str = compiler.visit_primary_key_constraint(constraint, **how)
    for name in constraint.table.info.get("descending", ()):
        text = text.replace(f" {name},", f" {name} DESC,")
    return text


@compiles(CreateIndex, "sqlite")
def _any_case(create: CreateIndex, compiler: Any, **how: Any) -> str:
    """An index that ignores case if its `info["any_case"]` is set."""
    text: str = compiler.visit_create_index(create, **how)
    return text.removesuffix(")") + " COLLATE NOCASE)" if create.element.info.get("any_case") else text
