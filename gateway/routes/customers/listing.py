"""Our own list of customers: filtered, sorted, page by page.

Law: scores are read from the database, never computed here; an unknown filter or sort order is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from flask import Response, request
from pydantic import BaseModel, Field

from database.customers import contacting, customer_base, listing
from database.customers.customer_base import column_names
from database.scoring import runs, score_figures
from gateway.openapi import Keyset, answers, blueprint, ok
from gateway.routes import etag
from gateway.services.customers import filtering, paging
from gateway.services.scoring import reasons
from gateway.services.scoring.reasons import ReasonOut
from gateway.web_environment import environment
from shared.contracts.api import Cell
from shared.risk import risk_level
from shared.schema.features import Schema

bp = blueprint("listing", __name__, prefix="/api/customers")
etag.install(bp)


class ListQuery(filtering.FilterFields, Keyset):
    """Our own list: its filters, order and page."""

    open_prefix: ClassVar[str | None] = filtering.PREFIX

    after: str | None = Field(None, max_length=2000, description="`next` of the previous page")
    sort: str = Field(
        "-churn_probability",
        max_length=500,
        description=f"{', '.join(listing.SORT_KEYS)}, feature.<name> of a number; a minus puts the largest first",
    )
    show: list[str] | None = Field(None, max_length=30, description="Features to show beside the columns")


class WorkOut(BaseModel):
    """The place of a customer on the worklist."""

    status: str
    owner_id: int | None
    due_on: str | None


class Listed(BaseModel):
    """One row; the score's fields are null for unscored customers."""

    user_id: str
    email: str | None
    plan: str | None
    churn_probability: float | None
    last_activity: str | None
    tenure_months: int | None
    risk_level: str | None
    confidence: float | None
    low_confidence: bool | None
    monthly_price: float | None
    revenue_at_risk: float | None
    churn: int
    facts_as_of: str
    contact: contacting.Status = Field(description="Whether the customer may be contacted, or why not")
    reasons: list[ReasonOut]
    work: WorkOut | None = Field(description="null: not on the worklist")
    features: dict[str, Cell] = Field(description="Those asked for by `show`")


class CustomerPage(BaseModel):
    """Customers in the order asked for; `total` counts at most 10,000 when filters are given."""

    customers: list[Listed]
    next: str | None
    total: int
    total_is_exact: bool
    total_text: str
    above_cut: int
    cut: float
    model_version: str | None
    as_of: str | None


@bp.get("", summary="Customers: filtered, sorted, page by page", responses=answers(CustomerPage))
def list_customers(query: ListQuery) -> Response:
    """Without filters: every active, scored customer; the cut is where the high-risk list would end."""
    env = environment()
    with env.database.read() as connection:
        present, run = customer_base.get(connection), runs.published(connection)
        shown = filtering.parse_shown(present.schema, query.show or ()) if present else []
        tail = score_figures.tail(connection, run.run_id, env.settings.cut) if run else None
        found = (
            paging.page_of(
                connection,
                present.schema,
                list(request.args.items(multi=True)),
                sort_text=query.sort,
                limit=query.limit,
                after=query.after,
                unsure_below=env.settings.confidence_threshold,
                everyone=tail.all_customers if tail else 0,
            )
            if present
            else None
        )
    unsure = env.settings.confidence_threshold
    return ok(
        CustomerPage(
            customers=[_listed(present.schema, row, unsure, shown) for row in found.rows] if present and found else [],
            next=found.next if found else None,
            total=found.total if found else 0,
            total_is_exact=found.is_exact if found else True,
            total_text=found.total_text if found else "0",
            above_cut=tail.customers if tail else 0,
            cut=env.settings.cut,
            model_version=run.model_version if run else None,
            as_of=run.as_of if run else None,
        )
    )


def _listed(schema: Schema, row: Mapping[str, Any], unsure: float, shown: Sequence[str]) -> Listed:
    """A row of our own list, scored or not."""
    probability = row["churn_probability"]
    is_scored = probability is not None
    return Listed(
        user_id=row["user_id"],
        email=row["email"],
        plan=row["plan"],
        churn_probability=probability,
        last_activity=row["last_activity"],
        tenure_months=row["tenure_months"],
        risk_level=risk_level(probability) if is_scored else None,
        confidence=row["confidence"],
        low_confidence=row["confidence"] < unsure if is_scored else None,
        monthly_price=row["monthly_price"],
        revenue_at_risk=row["revenue_at_risk"],
        churn=row["churn"],
        facts_as_of=row["as_of"],
        contact=row["contact_status"],
        reasons=reasons.stored_reasons(schema, row) if is_scored else [],
        features={name: row[column_names(schema)[name]] for name in shown},
        work=None
        if row["work_status"] is None
        else WorkOut(status=row["work_status"], owner_id=row["work_owner_id"], due_on=row["work_due_on"]),
    )
