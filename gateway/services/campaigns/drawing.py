"""Draws a campaign: its list is frozen and each customer is drawn into an arm, before anybody can export it.

Law: the arms follow from the stored seed, which nobody chooses; a campaign is seen whole or not at all. No customer is
erased between the plan and the last row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from database.accounts import audit
from database.accounts.audit import Actor
from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Connection, Database
from database.jobs import job_lists, jobs
from gateway.services.campaigns.planning import Plan, plan
from gateway.services.jobs import locks
from gateway.services.jobs.params import CampaignParams
from gateway.services.jobs.work import Work
from shared.campaigns.draw import Draw, new_seed
from shared.clock import iso
from shared.errors import Conflict

TAKEN = "There is a campaign with this name already: its list and arms stay as they were drawn. Choose another name."
DROPPED_AT_ONCE = 2_000
#: The kind of the job that draws campaigns beside its other work.
DEMO = "demo"
#: Campaigns of one person whose outcomes are not known yet: every list looks at all of them.
MOST_RUNNING = 1_000
TOO_MANY = "You have {count:,} campaigns that have not matured, which is the most: wait until one has."


def run(work: Work, params: CampaignParams) -> Mapping[str, Any]:
    """Draw a campaign of the present scores."""
    if work.job.result is not None:  # an earlier attempt drew it, and its worker died before it could say so
        return work.job.result
    drop_lost(work.database)
    seed = new_seed()
    work.afterwards(partial(_drop_unfinished, work.database, params.name, seed))
    with locks.kept_customers(work):
        with work.database.read() as connection:
            planned = plan(connection, work.settings, params, work.clock().date().isoformat())
        work.step(0.3, f"Drawing {len(planned.members):,} customers")
        made = draw(
            work.database,
            planned,
            params,
            seed=seed,
            now=iso(work.clock()),
            actor=work.actor,
            between=work.check,
            note=partial(_note, work),
        )
    return made.model_dump(mode="json")


def _note(work: Work, connection: Connection, made: Campaign) -> None:
    """Store the result of a job with the campaign, so that neither is there without the other. Raises Cancelled."""
    jobs.bind(connection, work.job)
    jobs.note_result(connection, work.job, made.model_dump(mode="json"))


def drop_lost(database: Database) -> None:
    """Delete what was drawn of campaigns whose jobs were lost and are not tried again."""
    with database.read() as connection:
        if job_lists.active(connection, DEMO) is not None:
            return
        awaited = set(job_lists.unfinished_params(connection, "name"))
        lost = [each for each in campaigns.unfinished(connection) if each[0] not in awaited]
    for name, seed in lost:
        _drop_unfinished(database, name, seed)


def _drop_unfinished(database: Database, name: str, seed: str | None = None) -> None:
    """Delete a campaign that was cancelled, or whose worker died, before it was drawn whole."""
    sizes = AdaptiveBatchSize()
    more = True
    while more:
        with sizes.timed(database.write()) as connection:
            more = campaigns.drop_unfinished(connection, name, DROPPED_AT_ONCE, seed=seed)


def draw(
    database: Database,
    planned: Plan,
    params: CampaignParams,
    *,
    seed: str,
    now: str,
    actor: Actor,
    between: Callable[[], None] = lambda: None,
    note: Callable[[Connection, Campaign], None] = lambda connection, made: None,
) -> Campaign:
    """Write the list with its arms and let the campaign be seen.

    Parameters
    ----------
    between
        Called between the parts of the list; may raise.
    note
        Called in the transaction that lets the campaign be seen; may raise.

    Raises
    ------
    Conflict
        Its name is taken, or was drawn anew meanwhile; or the person has `MOST_RUNNING` campaigns.
    """
    _drop_unfinished(database, params.name)
    drawn, listed = Draw(seed), sorted(zip(planned.members, planned.probabilities, strict=True))
    rows = [(key, int(drawn.has(key, planned.size.control_share)), p) for key, p in listed]
    control = sum(is_control for _, is_control, _ in rows)
    with database.write() as connection:
        if campaigns.is_taken(connection, params.name):
            raise Conflict(TAKEN)
        if actor.user_id is not None and campaigns.count_running(connection, actor.user_id) >= MOST_RUNNING:
            raise Conflict(TOO_MANY.format(count=MOST_RUNNING))
        values = _values(planned, params) | {"seed": seed, "contact": len(rows) - control, "control": control}
        campaign_id = campaigns.begin(connection, {**values, "user_id": actor.user_id, "created_at": now})
    _append(database, campaign_id, seed, rows, between)
    with database.write() as connection:
        if not campaigns.finish(connection, campaign_id, seed):
            raise Conflict(TAKEN)
        subject = f"campaign:{campaign_id} seed {seed}, share without contact {planned.size.control_share:g}"
        audit.record(connection, "campaign.drawn", at=now, actor=actor, subject=subject)
        made = campaigns.get(connection, campaign_id)
        assert made is not None
        note(connection, made)
    return made


def _append(
    database: Database, campaign_id: int, seed: str, rows: Sequence[tuple[Any, ...]], between: Callable[[], None]
) -> None:
    sizes, at = AdaptiveBatchSize(), 0
    while at < len(rows):
        between()
        part = rows[at : at + sizes.size]
        with sizes.timed(database.write()) as connection:
            if not campaigns.append(connection, campaign_id, seed, [(campaign_id, *row) for row in part]):
                raise Conflict(TAKEN)
        at += len(part)


def _values(planned: Plan, params: CampaignParams) -> dict[str, Any]:
    defaults = planned.catalogue.defaults
    return {
        "name": params.name,
        "action": params.action,
        "filters": [list(pair) for pair in params.filters],
        "top": params.top,
        "run_id": planned.run_id,
        "control_share": planned.size.control_share,
        "starts_on": planned.starts_on,
        "matures_on": planned.matures_on,
        "expected_rate": planned.size.expected_rate,
        "assumed_reduction": planned.size.reduction,
        "clv": defaults.clv if params.clv is None else params.clv,
        "offer": planned.action.offer if planned.action else defaults.offer,
        "contact_cost": planned.action.contact if planned.action else defaults.contact,
        "left_out": dict(planned.left_out),
    }
