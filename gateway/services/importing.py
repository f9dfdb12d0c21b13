"""Importing a customer table: checked whole, then written whole or not at all.

Law: facts are appended with their date; the present state of a customer is that of its newest facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from database import base, customers, facts, imports, population, runs
from database.base import column_names, customers_table, snapshots_table
from database.driver import insert_rows, upsert_dicts
from database.session import Connection
from database.tables import subscriptions
from gateway.services import outcomes
from gateway.services.scoring import refresh_roll_up
from gateway.services.work import Work
from shared.clock import iso
from shared.errors import SchemaMismatch
from shared.features import Schema, schema_from_dict
from shared.tables import CustomerTable, read_table

OTHER_BASE = (
    "This database holds the customer base {name!r}, whose columns mean something else. "
    "One database is one customer base: start a new one with "
    "`DATABASE_PATH=./database/another.db retainstream import FILE --schema SCHEMA`{demo}."
)
DEMO_HINT = ", or remove the demo first with `retainstream demo --remove`"


@dataclass(frozen=True)
class Rows:
    """A table as rows to write, in the order of the file."""

    schema: Schema
    user_ids: list[str]
    as_of: list[str]
    labels: list[int | None]
    columns: dict[str, list[Any]]
    emails: list[str | None]
    roles: dict[str, list[Any]]

    def column(self, feature: str | None) -> list[Any]:
        return self.columns[feature] if feature is not None else [None] * len(self.user_ids)

    def role(self, name: str) -> list[Any]:
        return self.roles.get(name, [None] * len(self.user_ids))


def run(work: Work) -> Mapping[str, Any]:
    """The job: params {path, schema, file_name, as_of?}."""
    params = work.job.params
    schema = schema_from_dict(params["schema"])
    work.step(0.0, "Reading and checking the file")
    table = read_table(Path(params["path"]), schema)
    rows = as_rows(table, params.get("as_of") or work.clock().date().isoformat())
    work.step(0.4, f"Checked {len(rows.user_ids):,} rows")
    return store(work, rows, sha256=table.sha256, file_name=params["file_name"], notes=table.notes)


def as_rows(table: CustomerTable, as_of: str) -> Rows:
    """Python values to bind; `as_of` dates the rows where the file does not."""
    schema = table.schema
    n = len(table.ids)
    dates = (
        [day.isoformat() if day else as_of for day in table.as_of.to_pylist()]
        if table.as_of is not None
        else [as_of] * n
    )
    columns = {name: table.features.column(name).to_pylist() for name in schema.feature_names}
    for name in (name for name, feature in schema.features.items() if feature.whole):
        columns[name] = [None if value is None else int(value) for value in columns[name]]
    return Rows(
        schema=schema,
        user_ids=table.ids.to_pylist(),
        as_of=dates,
        labels=[int(v) for v in table.label] if table.label is not None else [None] * n,
        columns=columns,
        emails=table.email.to_pylist() if table.email is not None else [None] * n,
        roles={role: _texts(role, array.to_pylist()) for role, array in table.subscription.items()},
    )


def _texts(role: str, values: list[Any]) -> list[Any]:
    return [v.isoformat() if v is not None else None for v in values] if role in ("start", "end") else values


def store(work: Work, rows: Rows, *, sha256: str, file_name: str, notes: Sequence[str]) -> Mapping[str, Any]:
    """Write checked rows in one transaction, then bring the roll-ups up to date."""
    work.step(0.5, "Writing")
    with work.database.write() as connection:
        counts = _write(connection, work, rows, sha256=sha256, file_name=file_name)
    # From here on the work is done: a cancel that comes now must not call it undone.
    work.report(work.part[0] + 0.8 * (work.part[1] - work.part[0]), "Counting who came and who left")
    bring_up_to_date(work)
    return {"rows": len(rows.user_ids), **counts, "notes": list(notes)}


def _write(connection: Connection, work: Work, rows: Rows, *, sha256: str, file_name: str) -> dict[str, Any]:
    now = iso(work.clock())
    checksum, as_of = rows.schema.checksum(), max(rows.as_of, default=None)
    _house(connection, rows.schema, work)
    if imports.seen(connection, sha256=sha256, schema_checksum=checksum, as_of=as_of):
        return {"unchanged": True, "customers_new": 0, "customers_updated": 0}
    newest = customers.dates_by_user_id(connection, set(rows.user_ids))
    new = len(set(rows.user_ids)) - len(newest)
    import_id = imports.record(
        connection,
        file_name=file_name,
        sha256=sha256,
        schema_checksum=checksum,
        as_of=as_of,
        rows=len(rows.user_ids),
        new=new,
        updated=len(newest),
        now=now,
    )
    write_customers(connection, rows, newest, now)
    ids = customers.ids_by_user_id(connection, set(rows.user_ids))
    write_snapshots(connection, rows, ids, import_id, today=now[:10])
    write_subscriptions(connection, rows, ids, newest, now)
    shown = runs.published(connection)
    if shown is not None:
        runs.remove_gone(connection, shown.run_id)
    base.mark_ready(connection)
    return {"unchanged": False, "customers_new": new, "customers_updated": len(newest)}


def bring_up_to_date(work: Work) -> None:
    """Recompute what follows from the facts: churn by period, outcomes, the roll-up of present scores."""
    with work.database.read() as connection:
        periods = population.measure(connection)
    with work.database.write() as connection:
        population.store(connection, periods)
    outcomes.settle(work)
    refresh_roll_up(work)


def _house(connection: Connection, schema: Schema, work: Work) -> None:
    present = base.get(connection)
    if present is None:
        base.adopt(connection, schema, is_demo=False, clock=work.clock)
    elif present.checksum != schema.checksum():
        raise SchemaMismatch(OTHER_BASE.format(name=present.name, demo=DEMO_HINT if present.is_demo else ""))


def write_customers(connection: Connection, rows: Rows, newest: Mapping[str, str], now: str) -> None:
    """The present state: rows older than what is known of a customer leave it as it is."""
    schema = rows.schema
    wide = customers_table(schema)
    names = column_names(schema)
    price, currency, plan = rows.role("price"), rows.role("currency"), _plan(rows)
    ends, tenure = rows.role("end"), _tenure(rows)
    login = rows.column("last_login_days" if "last_login_days" in schema.features else None)
    own = [f for f in schema.feature_names if names[f] not in base.SHARED_COLUMNS]
    latest: dict[str, dict[str, Any]] = {}
    for at, user_id in enumerate(rows.user_ids):
        day = rows.as_of[at]
        if day < (latest[user_id]["as_of"] if user_id in latest else newest.get(user_id, "")):
            continue
        end = ends[at]
        latest[user_id] = {
            "user_id": user_id,
            "email": rows.emails[at],
            "plan": plan[at],
            "tenure_months": tenure[at],
            "last_activity": last_activity(login[at]),
            "churn": int(bool(rows.labels[at]) or (end is not None and end <= day)),
            "monthly_price": price[at],
            "currency": currency[at],
            "ends_on": end if end is not None and end > day else None,
            "as_of": day,
            "created_at": now,
            "updated_at": now,
            **{names[feature]: rows.columns[feature][at] for feature in own},
        }
    upsert_dicts(connection, wide, ("user_id",), list(latest.values()))


def _plan(rows: Rows) -> list[Any]:
    feature = _feature_in(rows.schema, "plan") or rows.schema.plan_feature
    return rows.column(feature) if feature else rows.role("plan")


def _tenure(rows: Rows) -> list[Any]:
    feature = _feature_in(rows.schema, "tenure_months")
    if feature is not None:
        return rows.column(feature)  # as it is: the model reads it
    named = rows.schema.tenure_feature
    if named is None or rows.schema.features[named].kind != "number":
        return [None] * len(rows.user_ids)
    return [None if v is None else int(v) for v in rows.column(named)]


def _feature_in(schema: Schema, column: str) -> str | None:
    return next((feature for feature, name in column_names(schema).items() if name == column), None)


def last_activity(days: float | None) -> str | None:
    """Days since the last login in the old backend's words.

    >>> last_activity(0), last_activity(1), last_activity(12), last_activity(None)
    ('Today', 'Yesterday', '12 days ago', None)
    """
    if days is None:
        return None
    return {0: "Today", 1: "Yesterday"}.get(int(days), f"{int(days)} days ago")


def write_snapshots(connection: Connection, rows: Rows, ids: Mapping[str, int], import_id: int, *, today: str) -> None:
    """Append the dated facts; a correction of a date that was known carries the day it became known."""
    wide = snapshots_table(rows.schema)
    dates = sorted(set(rows.as_of))
    corrected = {day: facts.customers_at(connection, day) for day in dates}
    names = column_names(rows.schema)
    values = [rows.columns[f] for f in rows.schema.feature_names]
    written = []
    for at, user_id in enumerate(rows.user_ids):
        day, customer_id = rows.as_of[at], ids[user_id]
        known_at = today if customer_id in corrected[day] else day
        written.append((customer_id, day, known_at, import_id, rows.labels[at], *(column[at] for column in values)))
    columns = ("customer_id", "as_of", "known_at", "import_id", "label", *names.values())
    insert_rows(connection, wide, columns, written)


def write_subscriptions(
    connection: Connection, rows: Rows, ids: Mapping[str, int], newest: Mapping[str, str], now: str
) -> None:
    """Lifetimes, where the table tells them: a later row of the same start completes the earlier one."""
    starts = rows.role("start")
    if not any(starts):
        return
    ends, reasons, price, currency, plan = (rows.role(r) for r in ("end", "end_reason", "price", "currency", "plan"))
    plans = plan if any(plan) else _plan(rows)
    told = facts.ends_told(connection, set(ids.values()))
    written: dict[tuple[int, str], dict[str, Any]] = {}
    for at in sorted(range(len(starts)), key=lambda at: rows.as_of[at]):
        if starts[at] is None:
            continue
        customer_id, day, end = ids[rows.user_ids[at]], rows.as_of[at], ends[at]
        key = (customer_id, starts[at])
        before = told.get(key)
        is_old_news = before is not None and day < newest.get(rows.user_ids[at], "")
        if is_old_news and before is not None and before.ended_at != end:
            continue
        told[key] = facts.EndTold(end, _announced(before, end, day))
        written[key] = {
            "customer_id": customer_id,
            "started_at": starts[at],
            "cancelled_at": told[key].cancelled_at,
            "ended_at": end,
            "end_reason": reasons[at],
            "plan": plans[at],
            "monthly_price": price[at],
            "currency": currency[at],
            "known_at": now,
        }
    upsert_dicts(connection, subscriptions, ("customer_id", "started_at"), list(written.values()))


def _announced(before: facts.EndTold | None, end: str | None, day: str) -> str | None:
    """The earliest day on which an end that still lay ahead was known: later news never moves it."""
    announced = day if end is not None and end > day else None
    if before is None or before.ended_at != end or before.cancelled_at is None:
        return announced
    return min(before.cancelled_at, announced or before.cancelled_at)
