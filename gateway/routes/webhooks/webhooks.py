"""Webhooks, for administrators: made, paused, tested, removed; the log of deliveries, which can be sent again.

Law: a secret appears in one answer only, that of the POST which made it.
"""

from __future__ import annotations

from typing import Literal

from flask import Response
from pydantic import BaseModel, Field, StrictBool

from database.engine.bulk_insert import AnyRow
from database.webhooks import deliveries as delivery_queries
from database.webhooks import endpoints as queries
from gateway.openapi import Body, Keyset, answers, blueprint, ok
from gateway.security.authentication import current_user
from gateway.services.webhooks import endpoints
from gateway.web_environment import environment
from shared.parsing_limits import MAX_INT64

bp = blueprint("webhooks", __name__, prefix="/api/webhooks")
Wanted = Literal["prediction.completed", "churn.alert", "model.trained", "campaign.exported"]


class WebhooksQuery(Keyset):
    after: str | None = Field(None, pattern=r"^[0-9]{1,18}$", description="`next` of the previous page")


class DeliveriesQuery(WebhooksQuery):
    state: Literal["waiting", "delivered", "dead"] | None = None
    webhook_id: int | None = Field(None, ge=1, le=MAX_INT64, description="Only this webhook's")


class WebhookPath(BaseModel):
    webhook_id: int = Field(ge=1, le=MAX_INT64)


class DeliveryPath(BaseModel):
    delivery_id: int = Field(ge=1, le=MAX_INT64)


class NewWebhook(Body):
    url: str = Field(min_length=1, max_length=2000, examples=["https://example.com/hooks/churn"])
    events: list[Wanted] = Field(min_length=1, max_length=10, examples=[["churn.alert", "model.trained"]])


class WebhookChange(Body):
    paused: StrictBool


class WebhookOut(BaseModel):
    id: int
    url: str
    events: list[str]
    created_at: str
    paused: bool


class MadeWebhook(WebhookOut):
    secret: str = Field(description="Signs every message (Standard Webhooks); shown this once")


class RotatedWebhook(MadeWebhook):
    earlier_secret_until: str = Field(description="Messages are signed by the earlier secret too until then")


class Webhooks(BaseModel):
    webhooks: list[WebhookOut]
    next: str | None


class Removed(BaseModel):
    id: int


class DeliveryOut(BaseModel):
    """One event for one webhook, and what came of the last attempt to send it."""

    id: int
    webhook_id: int
    message_id: str = Field(description="The `webhook-id` of every attempt, by which a receiver knows a repetition")
    type: str
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    created_at: str
    next_at: str | None = Field(description="When it is tried next; null once it has ended")
    give_up_at: str
    ended_at: str | None
    status: int | None = Field(description="HTTP status of the last answer")
    failure: str | None = Field(description="Why the last attempt failed")
    took_ms: int | None


class Deliveries(BaseModel):
    deliveries: list[DeliveryOut]
    next: str | None


def _webhook_out(found: queries.Webhook) -> WebhookOut:
    return WebhookOut.model_validate(found, from_attributes=True)


def _delivery_out(row: AnyRow) -> DeliveryOut:
    values = dict(row._mapping)
    values["next_at"] = values["next_at"] if row.state == "waiting" else None
    return DeliveryOut(**values)


@bp.get("", summary="Webhooks", responses=answers(Webhooks))
def list_webhooks(query: WebhooksQuery) -> Response:
    """In the order of their ids, without secrets."""
    with environment().database.read() as connection:
        found = queries.page(connection, limit=query.limit + 1, after_id=int(query.after or 0))
    page = found[: query.limit]
    more = str(page[-1].id) if len(found) > query.limit else None
    return ok(Webhooks(webhooks=[_webhook_out(each) for each in page], next=more))


@bp.post("", summary="Make a webhook", responses=answers(MadeWebhook, status=201, also=(409,)))
def create_webhook(body: NewWebhook) -> Response:
    """The address is `https` and not internal, unless WEBHOOK_NETWORKS lists it; it is checked again at every call."""
    env = environment()
    made = endpoints.create(
        env.database,
        env.clock,
        url=body.url,
        events=body.events,
        networks=env.settings.webhook_networks,
        actor=current_user().actor,
    )
    answer = MadeWebhook(**_webhook_out(made).model_dump(), secret=made.secret)
    return ok(answer, message="Keep the secret now: it is not shown again.", status=201)


@bp.post(
    "/<int:webhook_id>/secret", summary="Replace a webhook's secret", responses=answers(RotatedWebhook, also=(404,))
)
def rotate_secret(path: WebhookPath) -> Response:
    """Every message is signed by both secrets for 24 hours; a secret that was replaced before signs no longer."""
    env = environment()
    made, until = endpoints.rotate(env.database, env.clock, path.webhook_id, actor=current_user().actor)
    answer = RotatedWebhook(**_webhook_out(made).model_dump(), secret=made.secret, earlier_secret_until=until)
    return ok(answer, message="Keep the secret now: it is not shown again.")


@bp.patch("/<int:webhook_id>", summary="Pause a webhook or end its pause", responses=answers(WebhookOut, also=(404,)))
def pause_webhook(path: WebhookPath, body: WebhookChange) -> Response:
    """While it is paused, what waits for it stays and events are not kept for it."""
    env = environment()
    actor = current_user().actor
    return ok(_webhook_out(endpoints.pause(env.database, env.clock, path.webhook_id, paused=body.paused, actor=actor)))


@bp.delete("/<int:webhook_id>", summary="Remove a webhook", responses=answers(Removed, also=(404,)))
def remove_webhook(path: WebhookPath) -> Response:
    """Give up the deliveries that wait for it; the log of its deliveries stays."""
    env = environment()
    endpoints.remove(env.database, env.clock, path.webhook_id, actor=current_user().actor)
    return ok(Removed(id=path.webhook_id))


@bp.post(
    "/<int:webhook_id>/test", summary="Send a test event", responses=answers(DeliveryOut, status=201, also=(404, 409))
)
def test_webhook(path: WebhookPath) -> Response:
    """The worker sends a `webhook.test` event; the list of deliveries tells what came of it."""
    env = environment()
    made = endpoints.test(env.database, env.clock, path.webhook_id, actor=current_user().actor)
    return ok(_delivery_out(made), status=201)


@bp.get("/deliveries", summary="Log of deliveries, newest first", responses=answers(Deliveries))
def list_deliveries(query: DeliveriesQuery) -> Response:
    """Those that have ended are kept for WEBHOOK_LOG_DAYS."""
    with environment().database.read() as connection:
        found = delivery_queries.page(
            connection,
            limit=query.limit + 1,
            before_id=int(query.after) if query.after is not None else None,
            state=query.state,
            webhook_id=query.webhook_id,
        )
    page = [_delivery_out(row) for row in found[: query.limit]]
    return ok(Deliveries(deliveries=page, next=str(page[-1].id) if len(found) > query.limit else None))


@bp.post(
    "/deliveries/<int:delivery_id>/replay",
    summary="Send an ended delivery again",
    responses=answers(DeliveryOut, also=(404, 409)),
)
def replay_delivery(path: DeliveryPath) -> Response:
    """With the same `webhook-id` and body, and a new time; it is tried for 24 hours again."""
    env = environment()
    return ok(_delivery_out(endpoints.replay(env.database, env.clock, path.delivery_id, actor=current_user().actor)))
