"""Campaigns over REST: plan, draw, export, contacts, effect.

Law: no saving is stated without the effect of both arms and its interval.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Annotated, Literal

from flask import Response
from pydantic import AfterValidator, BaseModel, Field, StrictFloat, StrictInt, StringConstraints

from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.engine.session import Connection
from gateway.openapi import Body, Keyset, Query, answers, blueprint, ok
from gateway.routes.campaigns.answers import CampaignOut, CampaignPlan, EffectOut, campaign_out, effect_out, plan_out
from gateway.routes.exporting.streams import STREAM, streamed
from gateway.routes.jobs.job_responses import ACCEPTED, answer_job, answers_job
from gateway.routes.jobs.upload_jobs import FAILURES, FileForm, answer_upload
from gateway.security.authentication import current_user
from gateway.services import kinds
from gateway.services.campaigns import contacts, drawing, measuring, planning
from gateway.services.campaigns.contacts import Contact
from gateway.services.jobs.params import CampaignParams, FileParams
from gateway.web_environment import environment
from shared.campaigns.catalogue import LEAST_WORTH, MOST_MONEY
from shared.clock import iso
from shared.errors import Conflict, invalid
from shared.parsing_limits import MAX_INT64
from shared.validation import IsoDate, visible

bp = blueprint("campaigns", __name__, prefix="/api/campaigns")
WAIT_S = 60.0
#: A body holds at most 10,000 names and objects (`security.bodies`); a contact is three of them.
MOST_CONTACTS = 3_000
#: Most characters of all names and values of filters together, as in the query of a segment.
MOST_CHARACTERS = 4_000


Filters = dict[str, str | list[str]]
#: Shown in lists and in mail: no character that nobody sees.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(visible)]


def _pairs(filters: Filters) -> list[tuple[str, str]]:
    return [
        (name, each) for name, values in filters.items() for each in (values if isinstance(values, list) else [values])
    ]


def _short(filters: Filters) -> Filters:
    if sum(len(name) + len(value) for name, value in _pairs(filters)) > MOST_CHARACTERS:
        raise ValueError(f"expected at most {MOST_CHARACTERS:,} characters of names and values")
    return filters


class ListBody(Body):
    """The customers of a campaign, and the effect that it is planned to find."""

    action: str | None = Field(None, max_length=100, description="A name of GET /api/actions")
    filters: Annotated[Filters, AfterValidator(_short)] = Field(
        {}, max_length=50, description='Filters of GET /api/customers, such as {"plan": "Standard"}'
    )
    segment: StrictInt | None = Field(
        None, ge=1, le=MAX_INT64, description="A segment, by its number: its filters hold beside the others"
    )
    top: StrictInt | None = Field(
        None, ge=2, le=10_000_000, description="At most so many, the likeliest to leave first"
    )
    reduction: StrictFloat | None = Field(
        None, gt=0, le=1, description="Relative reduction of leavers to plan for; the action's assumed effect if absent"
    )
    control_share: StrictFloat | None = Field(
        None, ge=0.01, le=0.5, description="Share without contact; chosen from the size and the power if absent"
    )
    clv: StrictFloat | None = Field(
        None, ge=LEAST_WORTH, le=MOST_MONEY, description="Value of a customer who stays; the catalogue's if absent"
    )


class CampaignBody(ListBody):
    """A campaign to draw."""

    name: Name = Field(description="Unique; the export and the import of contacts use it")


class CampaignPath(BaseModel):
    """A campaign, by its number."""

    campaign_id: int = Field(ge=1, le=MAX_INT64)


class CampaignsOut(BaseModel):
    """Campaigns, newest first."""

    campaigns: list[CampaignOut]
    next: str | None


class ExportQuery(Query):
    """The format of a campaign's list, and who is in it."""

    format: Literal["csv", "ndjson"] = "csv"
    contact: Literal["allowed", "any"] = Field(
        "allowed", description="any: the arm without contact and those who may not be contacted too, marked"
    )


class ContactIn(Body):
    """One contact."""

    customer: str = Field(min_length=1, max_length=500, description="user_id")
    contacted_at: IsoDate


class ContactsBody(Body):
    """Contacts of a campaign."""

    contacts: list[ContactIn] = Field(min_length=1, max_length=MOST_CONTACTS)


class ContactsOut(BaseModel):
    """The contacts that were stored."""

    new: int
    known: int
    in_control: int = Field(description="Contacts in the arm that was not to be contacted; they stay in that arm")


class ImportedContacts(ContactsOut):
    """The contacts of one campaign in a file."""

    campaign_id: int
    name: str


class ContactsFile(BaseModel):
    """The contacts of a file, by campaign."""

    file_name: str
    rows: int
    campaigns: list[ImportedContacts]
    notes: list[str]


def _params(connection: Connection, body: ListBody, name: str) -> CampaignParams:
    pairs = tuple(_pairs(body.filters))
    asked = CampaignParams(name, body.action, pairs, body.top, body.reduction, body.control_share, body.clv)
    return planning.of_segment(connection, asked, body.segment, current_user().id)


def _today() -> str:
    return environment().clock().date().isoformat()


@bp.post(
    "/plan", summary="The list and size of a campaign before it starts", responses=answers(CampaignPlan, also=(409,))
)
def plan(body: ListBody) -> Response:
    """How many customers, which share without contact, how many are needed, and the power; nothing is written."""
    env = environment()
    with env.database.read() as connection:
        return ok(plan_out(planning.plan(connection, env.settings, _params(connection, body, ""), _today())))


@bp.post("", summary="Draw a campaign", responses=answers_job(CampaignOut))
def create(body: CampaignBody) -> Response:
    """Freezes the list and draws each customer into an arm by a seed that is stored; neither changes afterwards."""
    env = environment()
    with env.database.read() as connection:
        params = _params(connection, body, body.name)
        if campaigns.is_taken(connection, params.name):
            raise Conflict(drawing.TAKEN)
        planning.checked(connection, env.settings, params)
    return answer_job(
        kinds.CAMPAIGN, params, default_wait_s=WAIT_S, done=lambda result: ok(campaign_out(Campaign(**result)))
    )


@bp.get("", summary="Campaigns, newest first", responses=answers(CampaignsOut))
def index(query: Keyset) -> Response:
    """Newest first."""
    before = None
    if query.after is not None:
        if not query.after.isdecimal() or int(query.after) > MAX_INT64:
            raise invalid("after", "expected the `next` of the page before")
        before = int(query.after)
    with environment().database.read() as connection:
        found = campaigns.page(connection, limit=query.limit + 1, before_id=before)
    page = found[: query.limit]
    following = str(page[-1].id) if len(found) > query.limit else None
    return ok(CampaignsOut(campaigns=[campaign_out(each) for each in page], next=following))


@bp.get("/<int:campaign_id>", summary="One campaign", responses=answers(CampaignOut, also=(404,)))
def one(path: CampaignPath) -> Response:
    """As it was drawn."""
    with environment().database.read() as connection:
        return ok(campaign_out(measuring.find(connection, path.campaign_id)))


@bp.get("/<int:campaign_id>/export", summary="Whom to contact", responses={**answers(str, also=(404, 503)), **STREAM})
def export(path: CampaignPath, query: ExportQuery) -> Response:
    """The contacted arm, without those who may not be contacted by now; streamed as CSV or NDJSON."""
    env = environment()
    with env.database.read() as connection:
        found = measuring.find(connection, path.campaign_id)
    pairs = [("campaign", str(found.id)), ("contact", query.contact)]
    mark = partial(contacts.mark_exported, env.database, found.id, now=env.clock(), actor=current_user().actor)
    return streamed("campaign", query.format, pairs, name=f"campaign-{found.id}", also_record=mark)


@bp.post("/<int:campaign_id>/contacts", summary="Contacts that were made", responses=answers(ContactsOut, also=(404,)))
def add_contacts(path: CampaignPath, body: ContactsBody) -> Response:
    """All or none; a contact that is known already changes nothing."""
    env = environment()
    found = [Contact(each.customer, each.contacted_at.isoformat()) for each in body.contacts]
    actor = current_user().actor
    stored = contacts.record(env.database, path.campaign_id, found, at=iso(env.clock()), actor=actor)
    return ok(ContactsOut(**asdict(stored)))


@bp.post(
    "/contacts/import",
    summary="Contacts that were made, in a file",
    responses=answers(ContactsFile, also=FAILURES) | ACCEPTED,
)
def import_contacts(form: FileForm) -> Response:
    """CSV or Parquet with campaign (its name), customer, contacted_at; all rows or none."""
    return answer_upload(kinds.IMPORT_CONTACTS, form.file, FileParams)


@bp.get("/<int:campaign_id>/effect", summary="The measured effect", responses=answers(EffectOut, also=(404,)))
def effect(path: CampaignPath) -> Response:
    """By intention to treat, with Newcombe's 95 % interval, once both arms have matured; until then null and why."""
    today = _today()
    with environment().database.read() as connection:
        found = measuring.find(connection, path.campaign_id)
        measured = measuring.effect_of(connection, found, today)
        money = measuring.saving(connection, found, measured)
        contacted = campaigns.contacted(connection, found.id)
    return ok(effect_out(found, measured, money, contacted))
