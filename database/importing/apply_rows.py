"""The statements that turn staged rows into customers, snapshots and lifetimes, a chunk of rows at a time.

Law: a chunk and the number of its last row are written in one transaction, so that an interrupted import continues
where it stopped; snapshots count once the import is published (`facts.published`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Integer,
    Select,
    Subquery,
    Text,
    Update,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    false,
    func,
    insert,
    not_,
    null,
    or_,
    select,
    update,
)

from database.customers.customer_base import SHARED_COLUMNS, column_names, customers_table, snapshots_table
from database.customers.last_activity import last_activity_sql
from database.engine.expressions import floor, larger, smaller
from database.engine.upsert import Excluded, upsert
from database.importing import imports
from database.importing.apply_import import absence
from database.importing.import_plan import Plan
from database.importing.staging import ROLES, Staging, feature_column, role_column
from database.tables import tables
from shared.schema.features import schema_from_dict

c, s, k, w = tables.customers, tables.subscriptions, tables.customer_snapshots.alias("k"), tables.withdrawn_ends
Value = ColumnElement[Any]
_NOW, _IMPORT, _TODAY = (
    bindparam("now", type_=Text),
    bindparam("import_id", type_=Integer),
    bindparam("today", type_=Text),
)


class ChunkStatements:
    """Statements that apply any chunk of an import's staged rows."""

    def __init__(self, plan: Plan, staging: Staging, import_id: int) -> None:
        self._plan, self._staging, self._import_id = plan, staging, import_id
        self._present = schema_from_dict(plan.present)
        self._statements = list(self._made())

    def apply(self, connection: Connection, after: int, until: int) -> None:
        """Write the rows with `after` < n <= `until` in the caller's transaction."""
        given = {"after": after, "until": until, "now": self._plan.now}
        given |= {"import_id": self._import_id, "today": self._plan.today}
        for statement in self._statements:
            connection.execute(statement, given)
        imports.advance(connection, self._import_id, until)

    def _made(self) -> Iterator[Insert | Update | Delete]:
        if self._plan.later_fulls:
            yield self._seen_later()
        yield self._customers()
        yield self._snapshots()
        if self._staging.has("start"):
            if self._staging.has("end") and not self._plan.ends_are_of_today:
                yield self._older_ends()
            yield self._lifetimes()
            if self._plan.ends_are_of_today:
                yield self._never_announced()
        elif self._plan.lifetimes:
            yield self._running_lifetimes()

    def _chunk(self, *values: Any) -> Select[Any]:
        n = self._staging.rows.c.n
        return select(*values).where(n > bindparam("after"), n <= bindparam("until"))

    def _role(self, role: str) -> Value | None:
        return self._staging.role(role) if self._staging.has(role) else None

    def _feature(self, feature: str | None) -> Value | None:
        schema = self._staging.schema
        return None if feature is None else self._staging.feature(column_names(schema)[feature])

    def _seen_later(self) -> Update:
        """Narrow the ends of customers whom a full snapshot lacks, and who were seen after their last facts so far."""
        r = self._staging.rows
        seen = self._chunk().where(
            r.c.customer_id == s.c.customer_id, r.c.as_of > s.c.seen_until, r.c.as_of < s.c.absent_from
        )
        last = seen.with_only_columns(func.max(r.c.as_of)).correlate(s).scalar_subquery()
        theirs = s.c.customer_id.in_(self._chunk(r.c.customer_id))
        narrowed = absence(last, s.c.absent_from)
        return (
            update(s)
            .where(theirs, s.c.absent_from.is_not(None), last.is_not(None))
            .values({**narrowed, "known_at": _NOW})
        )

    def _shared(self, column: str) -> Value | None:
        """Return the feature that fills a documented column, unchanged because the model reads it from there."""
        names = column_names(self._staging.schema)
        return self._feature(next((feature for feature, name in names.items() if name == column), None))

    def _customers(self) -> Insert:
        values = self._customer_values()
        wide = customers_table(self._present)
        kept = ("id", "user_id", "created_at")

        def changes(new: Excluded) -> dict[str, Any]:
            changed = {name: new[name] for name in values if name not in kept}
            if not self._staging.has("end"):  # an end announced elsewhere is kept while it is in the future
                changed["ends_on"] = case((wide.c.ends_on > new.as_of, wide.c.ends_on))
            if self._plan.later_fulls:  # who is absent from a later full snapshot has left, whatever earlier facts say
                absent = exists().where(s.c.customer_id == wide.c.id, s.c.absent_from > new.as_of)
                changed["churn"] = case((absent, 1), else_=new.churn)
            return changed

        source = self._chunk(*(value.label(name) for name, value in values.items()))
        return upsert(wide, source, key=["id"], changes=changes, only_if=lambda new: new.as_of >= wide.c.as_of)

    def _customer_values(self) -> dict[str, Value]:
        r, given = self._staging.rows, self._staging.schema
        login = self._feature("last_login_days" if "last_login_days" in given.features else None)
        end, label = self._role("end"), self._role("label")
        told = self._ends_told_on(r.c.as_of)
        gone = or_(false(), *([label == 1] if label is not None else []), *([end <= told] if end is not None else []))
        values: dict[str, Value | None] = {
            "id": r.c.customer_id,
            "user_id": r.c.user_id,
            "email": self._role("email"),
            "plan": _first(self._shared("plan"), self._feature(given.plan_feature), self._role("plan")),
            "tenure_months": _first(self._shared("tenure_months"), self._tenure()),
            "last_activity": None if login is None else last_activity_sql(login),
            "churn": case((gone, 1), else_=0),
            "monthly_price": self._role("price"),
            "currency": self._role("currency"),
            "ends_on": None if end is None else case((end > told, end)),
            "contract_runs_until": self._role("contract_end"),
            "as_of": r.c.as_of,
            "created_at": _NOW,
            "updated_at": _NOW,
        }
        known = set(column_names(given).values())
        for name in column_names(self._present).values():
            if name not in SHARED_COLUMNS:
                values[name] = self._staging.feature(name) if name in known else null()
        return {name: value for name, value in values.items() if value is not None}

    def _tenure(self) -> Value | None:
        given = self._staging.schema
        name = given.tenure_feature
        tenure = self._feature(name)
        is_number = name is not None and given.features[name].kind == "number"
        return floor(tenure) if tenure is not None and is_number else None

    def _snapshots(self) -> Insert:
        r, names = self._staging.rows, list(column_names(self._staging.schema).values())
        label = _first(self._role("label"), cast(null(), Integer))
        features = [self._staging.feature(name) for name in names]
        source = self._chunk(r.c.customer_id, r.c.as_of, self._known(), _IMPORT, label, *features)
        columns = ["customer_id", "as_of", "known_at", "import_id", "label", *names]
        return insert(snapshots_table(self._staging.schema)).from_select(columns, source)

    def _known(self) -> Value:
        """Return the day from which a row is known: its date, or today if that date's facts were known before."""
        r = self._staging.rows
        if not self._plan.corrects:
            return r.c.as_of
        before = exists().where(k.c.as_of == r.c.as_of, k.c.customer_id == r.c.customer_id, k.c.import_id != _IMPORT)
        return case((before, larger(r.c.as_of, _TODAY)), else_=r.c.as_of)

    def _ends_told_on(self, day: Value) -> Value:
        """Return the day on which a row's end became known, given the day on which the row did."""
        return _TODAY if self._plan.ends_are_of_today else day

    def _rows_with_told_on(self) -> Subquery:
        """Return the chunk's rows with `told_on`, the day from which their ends are known."""
        told_on = self._ends_told_on(self._known()).label("told_on")
        return self._chunk(*self._staging.rows.c, told_on).subquery("r")

    def _never_announced(self) -> Delete:
        """Forget that ends were known on earlier days, which a former import of such a file took them for."""
        r, start = self._staging.rows, self._staging.role("start")
        named = self._chunk(r.c.customer_id).where(r.c.customer_id == w.c.customer_id, start == w.c.started_at)
        return delete(w).where(w.c.customer_id.in_(self._chunk(r.c.customer_id)), named.correlate(w).exists())

    def _older_ends(self) -> Insert:
        """Record an end that older facts have and newer facts lack: it was known until the next facts."""
        r = self._rows_with_told_on()
        start, end = r.c[role_column("start")], r.c[role_column("end")]
        until = select(func.min(k.c.as_of)).where(k.c.as_of > r.c.as_of).scalar_subquery()
        source = (
            select(r.c.customer_id, start, smaller(r.c.as_of, end), until)
            .join_from(r, c, c.c.id == r.c.customer_id)
            .join(s, and_(s.c.customer_id == r.c.customer_id, s.c.started_at == start))
            # A correction of a past day was not known before today.
            .where(
                end.is_not(None), r.c.as_of < c.c.as_of, r.c.told_on == r.c.as_of, s.c.ended_at.is_distinct_from(end)
            )
        )
        return insert(w).from_select(["customer_id", "started_at", "known_from", "known_until"], source)

    def _lifetimes(self) -> Insert:
        r, given = self._rows_with_told_on(), self._staging.schema

        def value(role: str) -> Value:
            return r.c[role_column(role)] if self._staging.has(role) else cast(null(), ROLES[role])

        start, end = value("start"), value("end")
        plan = given.plan_feature
        named = (
            r.c[feature_column(column_names(given)[plan])] if plan and not self._staging.has("plan") else value("plan")
        )
        # A future end is known from the day on which the row is known.
        announced = case((end > self._ends_told_on(r.c.as_of), smaller(r.c.told_on, end)))
        # Older facts never withdraw an end that newer facts have.
        other = exists().where(
            s.c.customer_id == c.c.id,
            s.c.started_at == start,
            func.coalesce(s.c.ended_at, "") != func.coalesce(end, ""),
        )
        # Nor does a row without an end withdraw the absence from a later full snapshot.
        absent = exists().where(
            s.c.customer_id == c.c.id, s.c.started_at == start, s.c.absent_from > r.c.as_of, end.is_(None)
        )
        values = {
            "customer_id": r.c.customer_id, "started_at": start, "cancelled_at": announced, "ended_at": end,
            "end_reason": value("end_reason"), "plan": named, "monthly_price": value("price"),
            "currency": value("currency"), "known_at": _NOW, "told_on": r.c.told_on,
        }  # fmt: skip
        source = (
            select(*(each.label(name) for name, each in values.items()))
            .join_from(r, c, c.c.id == r.c.customer_id)
            .where(start.is_not(None), ~absent)
        )
        if self._plan.ends_are_of_today:
            return upsert(s, source, key=["customer_id", "started_at"], changes=_changes_of_today)
        source = source.where(not_(and_(r.c.as_of < c.c.as_of, other)))
        return upsert(s, source, key=["customer_id", "started_at"], changes=_lifetime_changes)

    def _running_lifetimes(self) -> Insert:
        r = self._staging.rows
        runs = exists().where(s.c.customer_id == c.c.id, or_(s.c.ended_at.is_(None), s.c.ended_at > r.c.as_of))
        values = (c.c.id.label("customer_id"), r.c.as_of.label("started_at"), c.c.plan, c.c.monthly_price, c.c.currency)
        source = self._chunk(*values, _NOW.label("known_at")).join_from(r, c, c.c.id == r.c.customer_id)
        return upsert(s, source.where(c.c.churn == 0, ~runs), key=["customer_id", "started_at"])


def _changes_of_today(new: Excluded) -> dict[str, Any]:
    return {**_lifetime_changes(new), "cancelled_at": new.cancelled_at}


def _lifetime_changes(new: Excluded) -> dict[str, Any]:
    # The first day on which an end was known is kept; a trigger records an end that changes.
    same = and_(s.c.ended_at == new.ended_at, s.c.cancelled_at.is_not(None))
    earliest = smaller(s.c.cancelled_at, func.coalesce(new.cancelled_at, s.c.cancelled_at))
    names = ["ended_at", "end_reason", "plan", "monthly_price", "currency", "known_at", "told_on"]
    names += ["seen_until", "absent_from"]  # which only an end dated by absence has
    return {"cancelled_at": case((same, earliest), else_=new.cancelled_at), **{name: new[name] for name in names}}


def _first(*values: Value | None) -> Value | None:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)
