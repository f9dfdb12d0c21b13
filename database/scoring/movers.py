"""The customers whose scores changed most between two runs of everybody, or who crossed the list's cut.

Law: they have one order, by the change or the score and then by key, so that pages and exports neither repeat nor omit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, case, func, literal, or_, select

from database.customers import contacting
from database.customers.customer_base import customers_table
from database.engine import kept_figures
from database.scoring.runs import published
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS
from shared.schema.features import Schema

ledger, runs, models = tables.ledger, tables.scoring_runs, tables.models
Direction = Literal["up", "down", "entered", "left"]
#: Customers at the beginning of each direction's order whose keys are kept.
KEPT = 500


@dataclass(frozen=True)
class Run:
    """A run whose scores are compared."""

    run_id: int
    as_of: str
    version: str


def compared(connection: Connection, *, since: str | None, until: str | None) -> tuple[Run, Run] | None:
    """Return the runs (now, then) that two dates name: by default, the published one and that of 30 days before.

    Returns
    -------
    runs
        None if there are no two of them.
    """
    now = latest(connection, until)
    if now is None:
        return None
    then = _run_until(connection, since or days_later(now.as_of, -HORIZON_DAYS))
    return None if then is None or then.run_id == now.run_id else (now, then)


def latest(connection: Connection, until: str | None) -> Run | None:
    """Return the last run of everybody dated on a day or before; the published one if no day is given."""
    if until is not None:
        return _run_until(connection, until)
    shown = published(connection)
    return None if shown is None else Run(shown.run_id, shown.as_of, shown.model_version)


def _run_until(connection: Connection, day: str) -> Run | None:
    query = (
        select(runs.c.id, runs.c.as_of, models.c.version)
        .join(models, models.c.id == runs.c.model_id)
        .where(runs.c.kind.in_(("full", "past")), tables.is_finished, runs.c.as_of <= day)
        .order_by(runs.c.as_of.desc(), runs.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Run(*row)


@dataclass(frozen=True)
class Question:
    """Whose scores moved how, between which runs.

    Attributes
    ----------
    direction
        "up" and "down": both runs scored them, the largest change first. "entered" and "left": above the cut in one
        run only, the highest score first; `cause` says why.
    """

    now: Run
    then: Run
    direction: Direction
    cut: float


class Place(NamedTuple):
    """The place of a customer in the order: the change, or the score, and the key."""

    value: float
    key: int


@dataclass(frozen=True)
class Moved:
    """The SQL of the customers who moved.

    Attributes
    ----------
    customers
        Their table.
    now, before
        Their probabilities; NULL in a run without them.
    cause : ColumnElement
        Why a customer is in one run and not in the other; "score" if both scored them.
    value
        By which they are ordered, first of all.
    """

    customers: Any
    now: ColumnElement[float]
    before: ColumnElement[float]
    value: ColumnElement[float]
    is_ascending: bool
    joined: FromClause
    where: tuple[ColumnElement[bool], ...]

    @property
    def cause(self) -> ColumnElement[str]:
        return case(
            (self.now.is_not(None) & self.before.is_not(None), literal("score")),
            (self.now.is_not(None), literal("not scored before")),
            (self.customers.c.churn == 1, literal("has left")),
            (self.customers.c.ends_on.is_not(None), literal("has cancelled")),
            else_=literal("not scored now"),
        )

    def select(self, *columns: ColumnElement[Any]) -> Select[Any]:
        """Select columns of these customers, in their order."""
        order = self.value.asc() if self.is_ascending else self.value.desc()
        query = select(*columns).select_from(self.joined).where(*self.where)
        return query.order_by(order, self.customers.c.id)

    def after(self, place: Place) -> ColumnElement[bool]:
        """Return the condition on customers who come after a place."""
        further = self.value > place.value if self.is_ascending else self.value < place.value
        return or_(further, and_(self.value == place.value, self.customers.c.id > place.key))


def moved(schema: Schema, asked: Question) -> Moved:
    """Join the customers with their scores in both runs, and choose those who moved as asked."""
    wide, earlier = customers_table(schema), ledger.alias("before")
    own = (earlier.c.run_id == asked.then.run_id) & (earlier.c.customer_id == wide.c.id)
    joined = tables.with_scores(wide, wide.c.id, asked.now.run_id).outerjoin(earlier, own)
    now, before = ledger.c.churn_probability, earlier.c.churn_probability
    where, value = _chosen(asked, now, before)
    return Moved(wide, now, before, value, asked.direction == "down", joined, where)


def _chosen(
    asked: Question, now: ColumnElement[float], before: ColumnElement[float]
) -> tuple[tuple[ColumnElement[bool], ...], ColumnElement[float]]:
    change = now - before
    if asked.direction == "up":
        return (change > 0,), change
    if asked.direction == "down":
        return (change < 0,), change
    inside, outside = (now, before) if asked.direction == "entered" else (before, now)
    return (inside > asked.cut, or_(outside <= asked.cut, outside.is_(None))), inside


def movers(
    connection: Connection,
    schema: Schema,
    asked: Question,
    *,
    limit: int,
    after: Place | None = None,
    only_allowed: bool = False,
) -> list[dict[str, Any]]:
    """Return the customers who moved, as dicts; `place_value` is that of their `Place`.

    Parameters
    ----------
    after
        The place of the last customer of the page before.
    only_allowed
        Leave out who may not be contacted, as a list that leaves does.
    """
    found = moved(schema, asked)
    c = found.customers.c
    query = found.select(
        *(c.id, c.user_id, c.plan, c.monthly_price),
        found.now,
        found.before.label("before"),
        (found.now - found.before).label("change"),
        found.cause.label("cause"),
        found.value.label("place_value"),
        contacting.status(connection, c.id).label("contact"),
    ).limit(limit)
    if after is not None:
        query = query.where(found.after(after))
    if only_allowed:
        query = query.where(*contacting.is_allowed(connection, c.id))
    first = kept_figures.get_or_measure(connection, _name(asked), lambda: _first(connection, found))
    rows = connection.execute(query.where(c.id.in_(first))).mappings().all()
    if len(rows) == limit or len(first) < KEPT:
        return [dict(row) for row in rows]
    return [dict(row) for row in connection.execute(query).mappings()]


def to_keep(connection: Connection, schema: Schema, cut: float) -> Iterator[tuple[str, list[int]]]:
    """Yield the keys of the first movers of each direction between the runs that are compared by default."""
    pair = compared(connection, since=None, until=None)
    directions: tuple[Direction, ...] = get_args(Direction)
    for asked in [Question(*pair, direction, cut) for direction in directions] if pair is not None else []:
        yield _name(asked), _first(connection, moved(schema, asked))


def _first(connection: Connection, found: Moved) -> list[int]:
    return list(connection.execute(found.select(found.customers.c.id).limit(KEPT)).scalars())


def _name(asked: Question) -> str:
    """Return the name under which the first movers are kept; who moved up or down does not depend on the cut."""
    cut = f" of {asked.cut}" if asked.direction in ("entered", "left") else ""
    return f"movers {asked.direction}{cut} between runs {asked.then.run_id} and {asked.now.run_id}"


def count(connection: Connection, schema: Schema, asked: Question) -> tuple[int, int]:
    """Count the customers who moved: those who may be contacted, and the others."""
    found = moved(schema, asked)
    query = select(func.count()).select_from(found.joined).where(*found.where)
    everybody = connection.execute(query).scalar_one()
    allowed = connection.execute(query.where(*contacting.is_allowed(connection, found.customers.c.id))).scalar_one()
    return allowed, everybody - allowed
