"""Why scores changed, over REST: of one customer by parts and features, and the customers whose risk changed most.

Law: stored scores are compared; models are asked only for the parts of a change, and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from database.customers import contacting
from database.models.models import Model
from database.scoring.movers import Direction
from database.scoring.score_changes import Score
from gateway.openapi import Query, answers, blueprint, ok
from gateway.routes.exporting.streams import STREAM, streamed
from gateway.services.customers import working
from gateway.services.customers.filtering import CONTACT, Contact
from gateway.services.score_changes import explaining, moving
from gateway.services.score_changes.explaining import Parts, ScoreChange
from gateway.web_environment import environment
from shared.contracts.api import Cell
from shared.validation import IsoDate
from shared.web.request_ids import request_id

bp = blueprint("score changes", __name__, prefix="/api/customers")
PATH = (
    "Data: the mean over both models of the change that the facts make, shared among the facts by Shapley values. "
    "Model and calibration: the mean over both dates' facts of the difference between the models."
)


class CustomerPath(BaseModel):
    """A customer, by user_id."""

    customer_id: str


class ScoreChangesQuery(Query):
    """Two dates: the last score up to each is compared."""

    since: IsoDate | None = Field(None, description="Not after `until`; 30 days before the later score if absent")
    until: IsoDate | None = Field(None, description="Now if absent")


class ScoredOut(BaseModel):
    """One of the two scores."""

    run_id: int
    as_of: str
    facts_as_of: str
    model_version: str
    churn_probability: float
    log_odds: float


class PartsOut(BaseModel):
    """Parts of the change, in log-odds; they add up to it."""

    data: float
    corrected: float = Field(description="Facts of the first date that were corrected after its score")
    model: float
    calibration: float
    time_of_year: float
    unexplained: float = Field(description="Difference of the models' answers now from the stored scores")


class FeatureOut(BaseModel):
    """One feature that changed, or was corrected."""

    feature: str
    label: str
    before: Cell
    before_corrected: Cell
    after: Cell
    data: float
    corrected: float
    points: float = Field(description="Both in points of probability")


class ChangesOut(BaseModel):
    """A change by parts; `points` are the parts in points of probability, which add up to `change`."""

    customer_id: str
    before: ScoredOut
    after: ScoredOut
    change: float
    change_log_odds: float
    parts: PartsOut
    points: PartsOut
    features: list[FeatureOut] = Field(description="They add up to data and corrected")
    path: str


class Moving(Query):
    """Two dates, and the direction of the change."""

    direction: Direction = Field("up", description="up, down, entered or left: the list above the cut")
    since: IsoDate | None = Field(
        None, description="The last run up to this day, not after `until`; 30 days before if absent"
    )
    until: IsoDate | None = Field(None, description="The last run up to this day; the published one if absent")
    cut: float | None = Field(None, ge=0, le=1, description="LIST_CUT if absent")

    @property
    def above(self) -> float:
        return environment().settings.cut if self.cut is None else self.cut


class MoversQuery(Moving):
    """A page of those who moved."""

    why: bool = Field(False, description="Split each change into its parts")
    limit: int = Field(20, ge=1, le=100)
    after: str | None = Field(None, max_length=500, description="`next` of the previous page")


class MoversExport(Moving):
    """All who moved, as a file."""

    format: Literal["csv", "ndjson"] = "csv"
    contact: Contact = Field("allowed", description=CONTACT)


class Mover(BaseModel):
    """A customer whose risk changed."""

    user_id: str
    plan: str | None
    monthly_price: float | None
    churn_probability: float | None
    before: float | None
    change: float | None
    time_of_year: float | None = Field(description="Part of the change that the levels of the two dates make")
    rest: float | None = Field(description="The other part: facts, and the models where two of them scored")
    cause: str = Field(description="score, or why one of the runs has no score")
    contact: contacting.Status = Field(description="Whether the customer may be contacted")
    parts: PartsOut | None = Field(description="In log-odds; null unless asked for, or where facts are not kept")


class Movers(BaseModel):
    """The largest changes between two full runs; nulls where there are none."""

    customers: list[Mover]
    as_of: str | None
    model_version: str | None
    compared_with: str | None
    compared_model: str | None
    cut: float
    next: str | None


@bp.get("/<customer_id>/changes", summary="Why a score changed", responses=answers(ChangesOut, also=(404, 409, 503)))
def changes(path: CustomerPath, query: ScoreChangesQuery) -> Response:
    """Between two scores: data by feature, facts corrected later, model, calibration, time of year."""
    env = environment()
    with env.database.read() as connection:
        key = working.key_of(connection, path.customer_id)
    since, until = moving.Dates(query.since, query.until).texts
    found = explaining.explain(env.database, env.ml, key, since=since, until=until, request_id=request_id())
    return ok(_changes(path.customer_id, found))


def _changes(user_id: str, found: ScoreChange) -> ChangesOut:
    before, after = _scored(found.before), _scored(found.after)
    change, odds = after.churn_probability - before.churn_probability, after.log_odds - before.log_odds
    p = before.churn_probability
    scale = change / odds if odds else p * (1 - p)
    return ChangesOut(
        customer_id=user_id,
        before=before,
        after=after,
        change=change,
        change_log_odds=odds,
        parts=_parts(found.parts),
        points=_parts(found.parts, scale),
        features=[
            FeatureOut(
                feature=each.feature,
                label=found.schema.feature_label(each.feature),
                before=each.before,
                before_corrected=each.before_corrected,
                after=each.after,
                data=each.data,
                corrected=each.corrected,
                points=(each.data + each.corrected) * scale,
            )
            for each in found.features
        ],
        path=PATH,
    )


def _scored(score: Score) -> ScoredOut:
    return ScoredOut(
        run_id=score.run_id,
        as_of=score.as_of,
        facts_as_of=score.facts_as_of,
        model_version=score.version,
        churn_probability=score.probability,
        log_odds=explaining.log_odds(score.probability),
    )


def _parts(parts: Parts, scale: float = 1.0) -> PartsOut:
    return PartsOut(**{name: getattr(parts, name) * scale for name in PartsOut.model_fields})


@bp.get("/movers", summary="Customers whose risk changed most", responses=answers(Movers, also=(503,)))
def movers(query: MoversQuery) -> Response:
    """Compares two runs of everybody: the published one with the last dated 30 days or more before, unless told."""
    env = environment()
    dates = moving.Dates(query.since, query.until)
    with env.database.read() as connection:
        page = moving.page_of(connection, dates, query.direction, query.above, limit=query.limit, after=query.after)
    now, then = page.now, page.then
    parts: dict[int, Parts] = {}
    if query.why and now and then:
        ids = [each["id"] for each in page.rows]
        parts = explaining.parts_of_many(
            env.database, env.ml, ids, then=then.run_id, now=now.run_id, request_id=request_id()
        )
    return ok(
        Movers(
            customers=[
                _mover(each, page.scored_by, (now.as_of, then.as_of), parts.get(each["id"])) for each in page.rows
            ]
            if now and then
            else [],
            as_of=now.as_of if now else None,
            model_version=now.version if now else None,
            compared_with=then.as_of if then else None,
            compared_model=then.version if then else None,
            cut=query.above,
            next=page.next,
        )
    )


@bp.get(
    "/movers/export",
    summary="All customers who moved, as a file",
    responses={**answers(str, also=(404, 409, 503)), **STREAM},
)
def export_movers(query: MoversExport) -> Response:
    """In the order of the pages; streamed, and audited, as every export is."""
    pairs = [
        (name, str(value))
        for name, value in (("direction", query.direction), ("since", query.since), ("until", query.until))
        if value is not None
    ]
    pairs += [("cut", str(query.above)), ("contact", query.contact)]
    return streamed("movers", query.format, pairs, name=f"movers-{query.direction}")


def _mover(
    row: dict[str, Any], scored_by: Sequence[Model | None], dates: tuple[str, str], parts: Parts | None
) -> Mover:
    """One customer; models and dates are those of the later run and of the earlier."""
    own = {name: value for name, value in row.items() if name not in ("id", "place_value")}
    of_year = None
    if row["change"] is not None:
        now, before = (
            0.0 if model is None else model.time_of_year_points(day, row[name])
            for model, day, name in zip(scored_by, dates, ("churn_probability", "before"), strict=True)
        )
        of_year = now - before
    rest = None if of_year is None else row["change"] - of_year
    return Mover(**own, time_of_year=of_year, rest=rest, parts=_parts(parts) if parts else None)
