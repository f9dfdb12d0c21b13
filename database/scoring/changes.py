"""Changes of the displayed scores since a moment: between two published runs, and while one is shown.

Law: whoever applies the changes in order has the displayed scores, neither more nor less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from database.customers import contacting
from database.engine.bulk_insert import AnyRow
from database.tables import tables

c, runs, ledger, ranks = tables.customers, tables.scoring_runs, tables.ledger, tables.present_ranks
pointer, log, m = tables.published_run, tables.score_changes, tables.models


@dataclass(frozen=True)
class Moment:
    """A state of the displayed scores.

    Attributes
    ----------
    run_id, started_at
        The published run, which its start names beyond doubt: the id of a deleted run can come again.
    position
        The last change since it was published.
    """

    run_id: int
    started_at: str
    position: int


@dataclass(frozen=True)
class Above:
    """Customers above a cut; None where nothing was shown before."""

    now: int
    before: int | None
    newly: int | None

    @property
    def no_longer(self) -> int | None:
        if self.before is None or self.newly is None:
            return None
        return self.before - (self.now - self.newly)


def present(connection: Connection) -> Moment | None:
    """Return the present state; None before the first published run."""
    last = select(func.coalesce(func.max(log.c.id), 0)).scalar_subquery()
    query = select(runs.c.id, runs.c.started_at, last).join_from(pointer, runs, runs.c.id == pointer.c.run_id)
    row = connection.execute(query).one_or_none()
    return Moment(*row) if row else None


def is_known(connection: Connection, moment: Moment) -> bool:
    """Return whether the scores of that state are still in the ledger."""
    held = select(ledger.c.run_id).where(ledger.c.run_id == runs.c.id).exists()
    query = select(runs.c.id).where(runs.c.id == moment.run_id, runs.c.started_at == moment.started_at, held)
    return connection.execute(query).one_or_none() is not None


def last_customer(connection: Connection) -> int:
    """Return the highest key of a customer; 0 if there is none."""
    return connection.execute(select(func.coalesce(func.max(c.c.id), 0))).scalar_one()


def between(
    connection: Connection, since: Moment | None, shown_run_id: int, *, after_id: int, up_to_id: int, limit: int
) -> Sequence[AnyRow]:
    """Return customers whose displayed score is not what it was, in the order of their keys.

    Parameters
    ----------
    since
        The earlier state; None for none, from which every displayed score is a change.
    shown_run_id
        The published run.
    after_id, up_to_id
        Only customers with keys above the first, up to the second.

    Returns
    -------
    rows of (id, user_id, churn_probability, confidence, model_version, contact); the score is None where none is shown
    any more, `contact` says whether the customer may be contacted now.
    """
    shown = tables.with_scores(c, c.c.id, shown_run_id)
    if since is None:
        query = _rows(shown).where(ledger.c.customer_id.is_not(None))
    elif since.run_id == shown_run_id:
        changed = select(log.c.customer_id).where(log.c.run_id == shown_run_id, log.c.id > since.position)
        query = _rows(shown).where(c.c.id.in_(changed))
    else:
        query = _differing(shown, since, shown_run_id)
    query = query.add_columns(contacting.status(connection, c.c.id).label("contact"))
    query = query.where(c.c.id > after_id, c.c.id <= up_to_id).order_by(c.c.id).limit(limit)
    return connection.execute(query).all()


def _differing(shown: Any, since: Moment, shown_run_id: int) -> Select[Any]:
    old, old_run = ledger.alias(), runs.alias()
    both = shown.outerjoin(old, and_(old.c.run_id == since.run_id, old.c.customer_id == c.c.id))
    both = both.outerjoin(old_run, old_run.c.id == old.c.run_id)
    changed = select(log.c.customer_id).where(log.c.run_id.in_((since.run_id, shown_run_id)))
    pairs = (
        (ledger.c.churn_probability, old.c.churn_probability),
        (ledger.c.confidence, old.c.confidence),
        (runs.c.model_id, old_run.c.model_id),
    )
    return _rows(both).where(or_(c.c.id.in_(changed), *(new.is_distinct_from(was) for new, was in pairs)))


def _rows(shown: Any) -> Select[Any]:
    whole = shown.outerjoin(runs, runs.c.id == ledger.c.run_id).outerjoin(m, m.c.id == runs.c.model_id)
    score = (ledger.c.churn_probability, ledger.c.confidence, m.c.version.label("model_version"))
    return select(c.c.id, c.c.user_id, *score).select_from(whole)


def above(connection: Connection, run_id: int, cut: float) -> Above:
    """Compare a ranked run that is not shown yet with what is shown: customers above a cut."""
    here = (ranks.c.run_id == run_id, ranks.c.churn_probability > cut)
    now = connection.execute(select(func.count()).select_from(ranks).where(*here)).scalar_one()
    shown = connection.execute(select(pointer.c.run_id)).scalar_one_or_none()
    if shown is None:
        return Above(now, None, None)
    then = (ranks.c.run_id == shown, ranks.c.churn_probability > cut)
    before = connection.execute(select(func.count()).select_from(ranks).where(*then)).scalar_one()
    both = tables.with_scores(ranks, ranks.c.customer_id, shown)
    was_below = or_(ledger.c.churn_probability.is_(None), ledger.c.churn_probability <= cut)
    newly = connection.execute(select(func.count()).select_from(both).where(*here, was_below)).scalar_one()
    return Above(now, before, newly)
