"""Changes of the displayed scores since a moment: between two published runs, while one is shown, and of contact.

Law: every customer whose score, or whose contact status, may be another than at the moment is in the changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from database.customers import contacting
from database.engine.bulk_insert import AnyRow
from database.scoring import contact_changes
from database.tables import tables

c, runs, ledger, ranks = tables.customers, tables.scoring_runs, tables.ledger, tables.present_ranks
pointer, log, m = tables.published_run, tables.score_changes, tables.models
SCORE = ("churn_probability", "confidence", "model_version")


@dataclass(frozen=True)
class Moment:
    """A state of the displayed scores.

    Attributes
    ----------
    run_id, started_at
        The published run, which its start names beyond doubt: the id of a deleted run can come again.
    position
        The last change since it was published.
    contact
        Who may be contacted.
    """

    run_id: int
    started_at: str
    position: int
    contact: contact_changes.Moment

    def is_logged_since(self, before: Moment) -> bool:
        """Return whether the logs have all that changed since an earlier state."""
        ours, theirs = (self.run_id, self.started_at), (before.run_id, before.started_at)
        return ours == theirs and self.contact.known_to == before.contact.known_to


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
    return Moment(*row, contact_changes.present(connection)) if row else None


def is_known(connection: Connection, moment: Moment, now: Moment) -> bool:
    """Return whether that state is one that the present one came from, and its scores are still in the ledger."""
    if moment.position > now.position or moment.contact.position > now.contact.position:
        return False  # of a database that a backup was restored over
    if contact_changes.has_erased_since(connection, moment.contact):
        return False  # who has the list has to drop somebody whom nothing here names any more
    held = select(ledger.c.run_id).where(ledger.c.run_id == runs.c.id).exists()
    query = select(runs.c.id).where(runs.c.id == moment.run_id, runs.c.started_at == moment.started_at, held)
    return connection.execute(query).one_or_none() is not None


def last_customer(connection: Connection) -> int:
    """Return the highest key of a customer; 0 if there is none."""
    return connection.execute(select(func.coalesce(func.max(c.c.id), 0))).scalar_one()


def between(
    connection: Connection,
    since: Moment | None,
    now: Moment,
    *,
    only_allowed: bool,
    after_id: int,
    up_to_id: int,
    limit: int,
) -> Sequence[AnyRow]:
    """Return customers whose displayed score or contact status may not be what it was, in the order of their keys.

    Parameters
    ----------
    since
        The earlier state; None for none, from which every displayed score is a change.
    now
        The present state.
    only_allowed
        The list is of customers who may be contacted: to all others it shows no score.
    after_id, up_to_id
        Only customers with keys above the first, up to the second.

    Returns
    -------
    rows of (id, user_id, churn_probability, confidence, model_version, contact); the score is None where none is shown
    any more, `contact` says whether the customer may be contacted now.
    """
    shown = tables.with_scores(c, c.c.id, now.run_id)
    allowed = contacting.is_allowed(connection, c.c.id) if only_allowed else []
    changed: ColumnElement[bool]
    if since is None:
        query, changed = _rows(shown, allowed), ledger.c.customer_id.is_not(None)
    elif since.run_id == now.run_id:
        logged = select(log.c.customer_id).where(log.c.run_id == now.run_id, log.c.id > since.position)
        query, changed = _rows(shown, allowed), c.c.id.in_(logged)
    else:
        query, changed = _differing(shown, allowed, since, now.run_id)
    # A customer who could not be contacted then and can not now is on neither list: their new score changes neither.
    parts = [and_(changed, *allowed)]
    if since is not None:
        parts += contact_changes.since(connection, c.c.id, since.contact, now.contact)
    query = query.add_columns(contacting.status(connection, c.c.id).label("contact")).where(or_(*parts))
    query = query.where(c.c.id > after_id, c.c.id <= up_to_id).order_by(c.c.id).limit(limit)
    return connection.execute(query).all()


def _differing(
    shown: Any, allowed: Sequence[ColumnElement[bool]], since: Moment, run_id: int
) -> tuple[Select[Any], ColumnElement[bool]]:
    """Return a query of two runs' scores, and the condition that they differ."""
    old, old_run = ledger.alias(), runs.alias()
    both = shown.outerjoin(old, and_(old.c.run_id == since.run_id, old.c.customer_id == c.c.id))
    both = both.outerjoin(old_run, old_run.c.id == old.c.run_id)
    changed = select(log.c.customer_id).where(log.c.run_id.in_((since.run_id, run_id)))
    pairs = (
        (ledger.c.churn_probability, old.c.churn_probability),
        (ledger.c.confidence, old.c.confidence),
        (runs.c.model_id, old_run.c.model_id),
    )
    differs = or_(c.c.id.in_(changed), *(new.is_distinct_from(was) for new, was in pairs))
    return _rows(both, allowed), differs


def _rows(shown: Any, allowed: Sequence[ColumnElement[bool]]) -> Select[Any]:
    whole = shown.outerjoin(runs, runs.c.id == ledger.c.run_id).outerjoin(m, m.c.id == runs.c.model_id)
    score = (ledger.c.churn_probability, ledger.c.confidence, m.c.version)
    told = [case((and_(*allowed), each)) if allowed else each for each in score]
    named = [each.label(name) for each, name in zip(told, SCORE, strict=True)]
    return select(c.c.id, c.c.user_id, *named).select_from(whole)


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
