"""A staged import becomes facts: customers, snapshots and lifetimes, a chunk of rows in each transaction.

Law: a chunk and the note of how far the rows are written are one transaction, so that an import that was broken off
goes on where it stopped; snapshots count once the import is published (`facts.published`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, select

from database.customers import customer_base
from database.customers.customer_base import column_names
from database.customers.last_activity import last_activity_sql
from database.importing import imports
from database.importing.staging import Staging, feature_column, role_column
from database.scoring import ranks
from database.tables import tables
from shared.schema.features import Schema


@dataclass(frozen=True)
class Plan:
    """What is needed to finish an import, as it stands in its row.

    Attributes
    ----------
    present
        The base's schema, as plain values; `given` is that of the file, the same or an earlier one.
    corrects
        Facts of these dates were known before: the new ones carry today's date as `known_at`.
    lifetimes
        The base knows lifetimes and the file has none: who is in it and has no running one gets one from its date on.
    absent_on
        The date of a full snapshot whose absent customers are declared gone; None where they are not.
    """

    staging: str
    present: dict[str, Any]
    given: dict[str, Any]
    roles: list[str]
    several: bool
    corrects: bool
    lifetimes: bool
    absent_on: str | None
    today: str
    now: str
    file: str | None
    result: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Writer:
    """Writes one import's chunks over a connection that has its scratch file attached."""

    def __init__(self, plan: Plan, staging: Staging, present: Schema, import_id: int) -> None:
        self.plan, self.staging, self.import_id = plan, staging, import_id
        self._present = present
        self._upsert = self._customer_sql()

    def chunk(self, connection: Connection, after: int, until: int) -> None:
        """Write the rows with `after` < n <= `until` in one transaction that the caller holds."""
        execute = connection.exec_driver_sql
        now, between = self.plan.now, (after, until)
        execute(self._upsert, (now, now, *between))
        execute(self._snapshot_sql(), (*((self.import_id, self.plan.today) if self.plan.corrects else ()),
                                       self.import_id, *between))  # fmt: skip
        if "start" in self.staging.roles:
            known = (self.import_id, self.plan.today) if self.plan.corrects else ()
            if "end" in self.staging.roles:
                execute(self._older_ends_sql(), (*known, *between))
            execute(self._lifetime_sql(), (now, *known, *between))
        elif self.plan.lifetimes:
            execute(self._running_sql(), (now, *between))
        imports.advance(connection, self.import_id, until)

    def _role(self, role: str) -> str | None:
        return f'r."{role_column(role)}"' if role in self.staging.roles else None

    def _feature(self, schema: Schema, feature: str | None) -> str | None:
        return None if feature is None else f'r."{feature_column(column_names(schema)[feature])}"'

    def _shared(self, schema: Schema, column: str) -> str | None:
        """The feature that fills a documented column of its own name: as it is, for the model reads it there."""
        names = column_names(schema)
        return self._feature(schema, next((feature for feature, name in names.items() if name == column), None))

    def _customer_sql(self) -> str:
        given = self.staging.schema
        login = self._feature(given, "last_login_days" if "last_login_days" in given.features else None)
        tenure = self._feature(given, given.tenure_feature)
        end, label = self._role("end"), self._role("label")
        gone = " OR ".join(filter(None, (label and f"{label} = 1", end and f"{end} <= r.as_of"))) or "0"
        values: dict[str, str | None] = {
            "id": "r.customer_id",
            "user_id": "r.user_id",
            "email": self._role("email"),
            "plan": self._shared(given, "plan") or self._feature(given, given.plan_feature) or self._role("plan"),
            "tenure_months": self._shared(given, "tenure_months") or _whole(given, tenure),
            "last_activity": login and last_activity_sql(login),
            "churn": f"CASE WHEN {gone} THEN 1 ELSE 0 END",
            "monthly_price": self._role("price"),
            "currency": self._role("currency"),
            "ends_on": end and f"CASE WHEN {end} > r.as_of THEN {end} END",
            "as_of": "r.as_of",
            "created_at": "?",
            "updated_at": "?",
        }
        known = set(column_names(given).values())
        for name in column_names(self._present).values():
            if name not in customer_base.SHARED_COLUMNS:
                values[name] = f'r."{feature_column(name)}"' if name in known else "NULL"
        written = {f'"{name}"': value for name, value in values.items() if value is not None}
        changes = [f"{n} = excluded.{n}" for n in written if n not in ('"id"', '"user_id"', '"created_at"')]
        if end is None:  # an end announced elsewhere stands as long as it lies ahead
            changes.append("ends_on = CASE WHEN customers.ends_on > excluded.as_of THEN customers.ends_on END")
        return (
            f"INSERT INTO main.customers ({', '.join(written)}) SELECT {', '.join(written.values())} "
            "FROM staged.rows AS r WHERE r.n > ? AND r.n <= ? "
            f"ON CONFLICT (id) DO UPDATE SET {', '.join(changes)} WHERE excluded.as_of >= customers.as_of"
        )

    def _snapshot_sql(self) -> str:
        names = list(column_names(self.staging.schema).values())
        columns = ", ".join(f'"{name}"' for name in names)
        values = ", ".join(f'r."{feature_column(name)}"' for name in names)
        label = self._role("label") or "NULL"
        return (
            f"INSERT INTO main.customer_snapshots (customer_id, as_of, known_at, import_id, label, {columns}) "
            f"SELECT r.customer_id, r.as_of, {self._known_sql()}, ?, {label}, {values} "
            "FROM staged.rows AS r WHERE r.n > ? AND r.n <= ?"
        )

    def _known_sql(self) -> str:
        """The day from which a row is known: its date, or today if facts of that date were known before."""
        if not self.plan.corrects:
            return "r.as_of"
        return (
            "CASE WHEN EXISTS (SELECT 1 FROM main.customer_snapshots AS k WHERE k.as_of = r.as_of "
            "AND k.customer_id = r.customer_id AND k.import_id <> ?) THEN max(?, r.as_of) ELSE r.as_of END"
        )

    def _older_ends_sql(self) -> str:
        """An end that older facts tell of and newer ones do not was known until the next facts."""
        start, end = self._role("start"), self._role("end")
        upto = "(SELECT min(k.as_of) FROM main.customer_snapshots AS k WHERE k.as_of > r.as_of)"
        return (
            "INSERT INTO main.withdrawn_ends (customer_id, started_at, known_from, known_until) "
            f"SELECT r.customer_id, {start}, min(r.as_of, {end}), {upto} FROM {self._told_sql()} "
            "JOIN main.customers AS c ON c.id = r.customer_id JOIN main.subscriptions AS s "
            f"ON s.customer_id = r.customer_id AND s.started_at = {start} "
            # A correction of a day is known on none of the days before today.
            f"WHERE {end} IS NOT NULL AND r.as_of < c.as_of AND r.told_on = r.as_of AND s.ended_at IS NOT {end}"
        )

    def _told_sql(self) -> str:
        """The chunk's rows, and from which day they are known."""
        return f"(SELECT r.*, {self._known_sql()} AS told_on FROM staged.rows AS r WHERE r.n > ? AND r.n <= ?) AS r"

    def _lifetime_sql(self) -> str:
        roles = {
            name: self._role(name) or "NULL" for name in ("start", "end", "end_reason", "price", "currency", "plan")
        }
        given = self.staging.schema
        start, end = roles["start"], roles["end"]
        plan = roles["plan"] if roles["plan"] != "NULL" else self._feature(given, given.plan_feature) or "NULL"
        # An end that lies ahead is known from the day it is told.
        announced = f"CASE WHEN {end} > r.as_of THEN min(r.told_on, {end}) END"
        return (
            "INSERT INTO main.subscriptions (customer_id, started_at, cancelled_at, ended_at, end_reason, plan, "
            f"monthly_price, currency, known_at, told_on) SELECT r.customer_id, {start}, {announced}, {end}, "
            f"{roles['end_reason']}, {plan}, {roles['price']}, {roles['currency']}, ?, r.told_on "
            f"FROM {self._told_sql()} JOIN main.customers AS c ON c.id = r.customer_id WHERE {start} IS NOT NULL "
            # Older facts never take back what newer ones say of an end.
            "AND NOT (r.as_of < c.as_of AND EXISTS (SELECT 1 FROM main.subscriptions AS s WHERE s.customer_id = c.id "
            f"AND s.started_at = {start} AND coalesce(s.ended_at, '') <> coalesce({end}, ''))) "
            # The first day an end was known ahead stays; of an end that changes, a trigger keeps when it was known.
            "ON CONFLICT (customer_id, started_at) DO UPDATE SET cancelled_at = "
            "CASE WHEN subscriptions.ended_at = excluded.ended_at AND subscriptions.cancelled_at IS NOT NULL "
            "THEN min(subscriptions.cancelled_at, coalesce(excluded.cancelled_at, subscriptions.cancelled_at)) "
            "ELSE excluded.cancelled_at END, "
            "ended_at = excluded.ended_at, end_reason = excluded.end_reason, plan = excluded.plan, "
            "monthly_price = excluded.monthly_price, currency = excluded.currency, known_at = excluded.known_at, "
            "told_on = excluded.told_on"
        )

    def _running_sql(self) -> str:
        return (
            "INSERT INTO main.subscriptions (customer_id, started_at, plan, monthly_price, currency, known_at) "
            "SELECT c.id, r.as_of, c.plan, c.monthly_price, c.currency, ? FROM staged.rows AS r "
            "JOIN main.customers AS c ON c.id = r.customer_id WHERE r.n > ? AND r.n <= ? AND c.churn = 0 "
            "AND NOT EXISTS (SELECT 1 FROM main.subscriptions AS s WHERE s.customer_id = c.id "
            "AND (s.ended_at IS NULL OR s.ended_at > r.as_of)) ON CONFLICT (customer_id, started_at) DO NOTHING"
        )


def _whole(schema: Schema, tenure: str | None) -> str | None:
    named = schema.tenure_feature
    return f"CAST({tenure} AS INTEGER)" if named and schema.features[named].kind == "number" else None


def next_row(connection: Connection, after: int, rows: int, *, one_date: bool = False) -> int | None:
    """The n up to which `rows` further staged rows reach (with `one_date` no further than the first one's date)."""
    some = "SELECT n, as_of FROM staged.rows WHERE n > ? ORDER BY n LIMIT ?"
    first = "as_of = first" if one_date else "1"
    found = connection.exec_driver_sql(
        f"SELECT max(n) FROM (SELECT *, first_value(as_of) OVER (ORDER BY n) AS first FROM ({some})) WHERE {first}",
        (after, rows),
    ).scalar_one()
    return None if found is None else int(found)


def last_customer(connection: Connection) -> int:
    """The largest key of a customer."""
    return int(connection.exec_driver_sql("SELECT coalesce(max(id), 0) FROM customers").scalar_one())


def knows_dates_between(connection: Connection, first: str, last: str) -> bool:
    """Whether there are facts of these dates already."""
    sql = "SELECT 1 FROM customer_snapshots WHERE as_of >= ? AND as_of <= ? LIMIT 1"
    return connection.exec_driver_sql(sql, (first, last)).one_or_none() is not None


def declare_gone(connection: Connection, as_of: str, now: str, after: int, until: int) -> int:
    """End, as of a full snapshot's date, the customers with `after` < id <= `until` who are not in it; how many."""
    execute = connection.exec_driver_sql
    gone = "SELECT id FROM customers WHERE id > ? AND id <= ? AND churn = 0 AND as_of < ?"
    execute(
        "UPDATE subscriptions SET ended_at = ?, end_reason = 'absent', cancelled_at = NULL, known_at = ?, told_on = ? "
        f"WHERE customer_id IN ({gone}) AND started_at <= ? AND (ended_at IS NULL OR ended_at > ?)",
        (as_of, now, as_of, after, until, as_of, as_of, as_of),
    )
    return execute(
        "UPDATE customers SET churn = 1, ends_on = NULL, updated_at = ? "
        "WHERE id > ? AND id <= ? AND churn = 0 AND as_of < ?",
        (now, after, until, as_of),
    ).rowcount


def open_lifetimes(connection: Connection, day: str, now: str, after: int, until: int) -> int:
    """Give active customers without a lifetime one from `day` on, if they had facts on it; how many got one."""
    return connection.exec_driver_sql(
        "INSERT INTO subscriptions (customer_id, started_at, plan, monthly_price, currency, known_at) "
        "SELECT DISTINCT c.id, ?, c.plan, c.monthly_price, c.currency, ? FROM customer_snapshots AS k "
        "JOIN customers AS c ON c.id = k.customer_id WHERE k.as_of = ? AND k.customer_id > ? AND k.customer_id <= ? "
        "AND c.churn = 0 AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.customer_id = c.id)",
        (day, now, day, after, until),
    ).rowcount


def hide_gone(connection: Connection, run_id: int, after: int, until: int) -> None:
    """Take who has left, or is known to end, out of the present scores."""
    c = tables.customers
    gone = select(c.c.id).where(c.c.id > after, c.c.id <= until, (c.c.churn == 1) | c.c.ends_on.is_not(None))
    ranks.drop(connection, run_id, gone)


def room(connection: Connection) -> int | None:
    """Bytes the database may still grow by its own limit of pages; None where it has none to speak of."""

    def ask(name: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    most = ask("max_page_count")
    if most >= 2**30:
        return None
    return (most - ask("page_count") + ask("freelist_count")) * ask("page_size")
