"""Sends deliveries that are due, and decides when those that failed are tried again.

Law: a claim outlasts the longest call, so no delivery is sent by two workers at once; a worker that dies leaves its
delivery to be sent again.
"""

from __future__ import annotations

import random
import threading
from datetime import datetime, timedelta

import structlog

from database.engine.session import Database
from database.webhooks import deliveries
from database.webhooks.deliveries import Claimed, State
from gateway import __version__
from gateway.clients.webhooks import Answer, WebhookClient
from gateway.services.webhooks import signing
from shared.clock import Clock, iso

log = structlog.get_logger()

#: Seconds between one attempt and the next; the last one is repeated until the delivery is given up.
BACK_OFF_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400)
#: Longer than DNS and a call take together.
CLAIM = timedelta(seconds=120)
IDLE_S = 1.0


def deliver_one(database: Database, clock: Clock, client: WebhookClient) -> bool:
    """Send the delivery that has been due for longest; return False if there is none."""
    with database.read() as connection:
        if not deliveries.has_due(connection, iso(clock())):
            return False
    moment = clock()
    with database.write() as connection:
        claimed = deliveries.claim(connection, now=iso(moment), until=iso(moment + CLAIM))
    if claimed is None:
        return False
    answer = client.post(claimed.url, claimed.body.encode(), _headers(claimed, moment))
    _settle(database, claimed, answer, clock())
    return True


def _headers(claimed: Claimed, moment: datetime) -> dict[str, str]:
    signed = signing.headers(claimed.secrets, claimed.message_id, int(moment.timestamp()), claimed.body.encode())
    return {"Content-Type": "application/json", "User-Agent": f"RetainStream/{__version__}", **signed}


def _settle(database: Database, claimed: Claimed, answer: Answer, now: datetime) -> None:
    next_at = None if answer.succeeded else _next_attempt(claimed, now)
    state: State = "delivered" if answer.succeeded else "dead" if next_at is None else "waiting"
    about = {"status": answer.status, "failure": answer.failure, "took_ms": answer.took_ms}
    with database.write() as connection:
        deliveries.settle(connection, claimed, state=state, now=iso(now), next_at=next_at, **about)
    log.info("webhook_attempted", delivery=claimed.id, attempt=claimed.attempts, state=state, **about)


def _next_attempt(claimed: Claimed, now: datetime) -> str | None:
    """When a failed delivery is tried again: at the latest at the moment at which it is given up; then never."""
    if iso(now) >= claimed.give_up_at:
        return None
    wait_s = BACK_OFF_S[min(claimed.attempts, len(BACK_OFF_S)) - 1] * random.uniform(0.9, 1.1)  # noqa: S311
    return min(iso(now + timedelta(seconds=wait_s)), claimed.give_up_at)


def deliver(database: Database, clock: Clock, client: WebhookClient, stops: threading.Event) -> None:
    """Send deliveries as they become due, until `stops` is set."""
    while not stops.is_set():
        try:
            idle = not deliver_one(database, clock, client)
        except Exception:  # a failure is logged and must not end the deliveries that follow
            log.exception("delivering_failed")
            idle = True
        if idle:
            stops.wait(IDLE_S)
