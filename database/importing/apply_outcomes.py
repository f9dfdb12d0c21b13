"""The statements that apply staged outcomes, which end lifetimes.

Law: every statement can be repeated: a lifetime that was ended is ended again on the same day.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    null,
    or_,
    select,
    true,
    update,
)

from database.customers.facts import NEVER
from database.engine.upsert import Excluded, upsert
from database.importing.staging import StagedReject, Staging
from database.tables import tables
from shared.tables import messages

c, s = tables.customers, tables.subscriptions
#: An end that a file gives replaces one dated by absence.
NOT_BY_ABSENCE = {"seen_until": None, "absent_from": None}
OTHER_REASON = func.nullif(s.c.end_reason, "absent")
_TODAY, _NOW = bindparam("today", type_=Text), bindparam("now", type_=Text)


def without_lifetime(connection: Connection, staging: Staging) -> list[StagedReject]:
    """Return the rows for which no lifetime started by the day of the end; the rows must be attached."""
    r, end = staging.rows, staging.role("end")
    began = exists().where(s.c.customer_id == r.c.customer_id, s.c.started_at <= end)
    blank = staging.role("start").is_(None) if staging.has("start") else true()
    rows = connection.execute(select(r.c.n, end).where(r.c.is_new.is_(None), end.is_not(None), blank, ~began))
    rejects: list[StagedReject] = [(n, "ended_at", day, messages.no_subscription_by(day)) for n, day in rows]
    return rejects + (_other_lifetime(connection, staging) if staging.has("start") else [])


def _other_lifetime(connection: Connection, staging: Staging) -> list[StagedReject]:
    """Return the rows that end another lifetime than the one running on that day, so that the customer would stay."""
    r, start, end = staging.rows, staging.role("start"), staging.role("end")
    query = (
        select(r.c.n, func.max(start), func.max(s.c.started_at))
        .join_from(r, s, s.c.customer_id == r.c.customer_id)
        .where(r.c.is_new.is_(None), start != s.c.started_at, s.c.started_at <= end, _ended_at() > end)
        .group_by(r.c.n)
    )
    found = connection.execute(query)
    return [(n, "started_at", day, messages.other_subscription(runs)) for n, day, runs in found]


def _ended_at() -> ColumnElement[Any]:
    return func.coalesce(s.c.ended_at, NEVER)


class OutcomeStatements:
    """Statements that apply any chunk of staged outcomes."""

    def __init__(self, staging: Staging, now: str) -> None:
        self._staging, self._given = staging, {"now": now, "today": now[:10]}
        r, end = staging.rows, staging.role("end")
        self._chunk = (r.c.n > bindparam("after"), r.c.n <= bindparam("until"))
        self._announced = case((end > _TODAY, _TODAY))
        self._reason: ColumnElement[Any] = (
            staging.role("end_reason") if staging.has("end_reason") else cast(null(), Text)
        )
        self._contracts = [*([self._named()] if staging.has("start") else []), self._latest()]
        # A lifetime that starts and ends on the same day is not a return.
        back = exists().where(s.c.customer_id == r.c.customer_id, s.c.started_at >= end, _ended_at() > end)
        theirs = update(c).where(*self._chunk, c.c.id == r.c.customer_id, ~back)
        self._left = theirs.where(end <= _TODAY).values(churn=1, ends_on=None, updated_at=_NOW)
        self._leave = theirs.where(end > _TODAY).values(ends_on=end, updated_at=_NOW)

    def apply(self, connection: Connection, after: int, until: int) -> tuple[int, int]:
        """Apply the rows with `after` < n <= `until`; return the numbers of customers who left and who will leave."""
        given = {**self._given, "after": after, "until": until}
        for statement in self._contracts:
            connection.execute(statement, given)
        return connection.execute(self._left, given).rowcount, connection.execute(self._leave, given).rowcount

    def _named(self) -> Any:
        """End the lifetimes whose start the rows give, whether or not the database has them."""
        r, start = self._staging.rows, self._staging.role("start")
        values = {
            "customer_id": c.c.id, "started_at": start, "cancelled_at": self._announced,
            "ended_at": self._staging.role("end"), "end_reason": self._reason, "plan": c.c.plan,
            "monthly_price": c.c.monthly_price, "currency": c.c.currency, "known_at": _NOW, "told_on": _TODAY,
        }  # fmt: skip
        source = select(*(value.label(name) for name, value in values.items()))
        source = source.join_from(r, c, c.c.id == r.c.customer_id).where(*self._chunk, start.is_not(None))

        def changes(new: Excluded) -> dict[str, Any]:
            kept = {name: new[name] for name in ("cancelled_at", "ended_at", "known_at", "told_on")}
            return {**kept, **NOT_BY_ABSENCE, "end_reason": func.coalesce(new.end_reason, OTHER_REASON)}

        return upsert(s, source, key=["customer_id", "started_at"], changes=changes)

    def _latest(self) -> Any:
        """End the last lifetime that had started by the day of the end."""
        r, end, o = self._staging.rows, self._staging.role("end"), s.alias("o")
        latest = select(func.max(o.c.started_at)).where(o.c.customer_id == r.c.customer_id, o.c.started_at <= end)
        mine = and_(s.c.customer_id == r.c.customer_id, s.c.started_at == latest.correlate(r).scalar_subquery())
        if self._staging.has("start"):
            # If a start is given, another lifetime ends only if it runs on that day: one of `open_lifetimes`.
            mine = and_(mine, or_(self._staging.role("start").is_(None), _ended_at() > end))
        reason = func.coalesce(self._reason, OTHER_REASON)
        values = {"cancelled_at": self._announced, "ended_at": end, "end_reason": reason, **NOT_BY_ABSENCE}
        return update(s).where(*self._chunk, mine).values(**values, known_at=_NOW, told_on=_TODAY)
