"""Makes, pauses, tests and removes webhooks, and sends a delivery again.

Law: a secret is answered once, when it is made; every change is audited, without address or secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from database.accounts import audit
from database.accounts.audit import Actor
from database.engine.bulk_insert import AnyRow
from database.engine.session import Connection, Database
from database.webhooks import deliveries, endpoints, events
from database.webhooks.endpoints import Webhook
from gateway.clients.addresses import Network, require_target
from gateway.services.webhooks import signing
from shared.clock import Clock, iso
from shared.errors import Conflict, NotFound

MOST = 20
#: As long as a delivery is tried: whatever was signed by the earlier secret alone has ended by then.
BOTH_SIGN = timedelta(hours=24)


def create(
    database: Database, clock: Clock, *, url: str, events: Sequence[str], networks: Sequence[Network], actor: Actor
) -> Webhook:
    """Make a webhook with a new secret.

    Raises
    ------
    InvalidInput
        The address is internal, or not one.
    Conflict
        There are `MOST` webhooks already.
    """
    require_target(url, networks)
    now = iso(clock())
    with database.write() as connection:
        if endpoints.count(connection) >= MOST:
            raise Conflict(f"There are {MOST} webhooks, which is the most. Remove one first.")
        wanted = tuple(dict.fromkeys(events))
        made = endpoints.add(connection, url=url, events=wanted, secret=signing.new_secret(), now=now)
        audit.record(connection, "webhook.made", at=now, actor=actor, subject=f"webhook:{made.id}")
    return made


def rotate(database: Database, clock: Clock, webhook_id: int, *, actor: Actor) -> tuple[Webhook, str]:
    """Give a webhook another secret; return it, and until when the earlier secret signs beside it. Raises NotFound."""
    moment = clock()
    until = iso(moment + BOTH_SIGN)
    with database.write() as connection:
        if not endpoints.replace_secret(connection, webhook_id, signing.new_secret(), until=until):
            raise _no_webhook(webhook_id)
        audit.record(connection, "webhook.rotated", at=iso(moment), actor=actor, subject=f"webhook:{webhook_id}")
        made = endpoints.get(connection, webhook_id)
    assert made is not None
    return made, until


def pause(database: Database, clock: Clock, webhook_id: int, *, paused: bool, actor: Actor) -> Webhook:
    """Pause a webhook, or end its pause: meanwhile nothing is sent, and events are not kept for it. Raises NotFound."""
    now = iso(clock())
    with database.write() as connection:
        before = _webhook(connection, webhook_id)
        if before.paused == paused:
            return before
        endpoints.pause(connection, webhook_id, now if paused else None)
        action = "webhook.paused" if paused else "webhook.resumed"
        audit.record(connection, action, at=now, actor=actor, subject=f"webhook:{webhook_id}")
        return _webhook(connection, webhook_id)


def remove(database: Database, clock: Clock, webhook_id: int, *, actor: Actor) -> None:
    """Remove a webhook; what waits for it is given up. Raises NotFound."""
    now = iso(clock())
    with database.write() as connection:
        if not endpoints.remove(connection, webhook_id, now):
            raise _no_webhook(webhook_id)
        audit.record(connection, "webhook.removed", at=now, actor=actor, subject=f"webhook:{webhook_id}")


def test(database: Database, clock: Clock, webhook_id: int, *, actor: Actor) -> AnyRow:
    """Send a `webhook.test` event to one webhook; return its delivery, which the worker sends.

    Raises
    ------
    NotFound
    Conflict
        The webhook is paused.
    """
    moment = clock()
    with database.write() as connection:
        if _webhook(connection, webhook_id).paused:
            raise Conflict(f"Webhook {webhook_id} is paused: end the pause first.")
        made = events.record(connection, "webhook.test", {"webhook_id": webhook_id}, now=moment, only=webhook_id)
        audit.record(connection, "webhook.tested", at=iso(moment), actor=actor, subject=f"webhook:{webhook_id}")
        return _delivery(connection, made[0])


def replay(database: Database, clock: Clock, delivery_id: int, *, actor: Actor) -> AnyRow:
    """Send an ended delivery again, with its own id; return it.

    Raises
    ------
    NotFound
        There is no such delivery.
    Conflict
        It waits to be sent already, or its webhook was removed or is paused.
    """
    moment = clock()
    give_up_at = iso(moment + events.KEEP_TRYING)
    with database.write() as connection:
        _delivery(connection, delivery_id)
        if not deliveries.send_again(connection, delivery_id, now=iso(moment), give_up_at=give_up_at):
            why = "it still waits, or its webhook was removed or is paused"
            raise Conflict(f"Delivery {delivery_id} can't be sent again: {why}.")
        subject = f"delivery:{delivery_id}"
        audit.record(connection, "webhook.replayed", at=iso(moment), actor=actor, subject=subject)
        return _delivery(connection, delivery_id)


def _delivery(connection: Connection, delivery_id: int) -> AnyRow:
    found = deliveries.get(connection, delivery_id)
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    return found


def _webhook(connection: Connection, webhook_id: int) -> Webhook:
    found = endpoints.get(connection, webhook_id)
    if found is None:
        raise _no_webhook(webhook_id)
    return found


def _no_webhook(webhook_id: int) -> NotFound:
    return NotFound(f"There is no webhook {webhook_id}.")
