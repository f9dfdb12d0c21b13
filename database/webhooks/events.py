"""Records events for the webhooks that want them.

Law: `record` is called in the transaction of what happened: either both are stored, or neither. A paused webhook gets
no event of its pause, not even later.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, insert, select

from database.tables import tables
from shared.clock import iso

EventType = Literal["prediction.completed", "churn.alert", "model.trained", "campaign.exported", "webhook.test"]
#: A delivery is given up this long after its event, or after it was asked for again.
KEEP_TRYING = timedelta(hours=24)

w, e, d = tables.webhooks, tables.webhook_events, tables.webhook_deliveries


def record(
    connection: Connection, kind: EventType, data: Mapping[str, Any], *, now: datetime, only: int | None = None
) -> list[int]:
    """Record an event, with one delivery for each webhook that wants it; without any, nothing is written.

    Parameters
    ----------
    data
        JSON values without personal data: a receiver asks for the rest, by its own key.
    only
        The id of the one webhook to tell, whatever events it asked for.

    Returns
    -------
    ids of the deliveries.
    """
    query = select(w.c.id, w.c.events).where(w.c.removed_at.is_(None), w.c.paused_at.is_(None)).order_by(w.c.id)
    rows = connection.execute(query).all()
    wanted = [row.id for row in rows if (row.id == only if only is not None else kind in row.events.split())]
    if not wanted:
        return []
    at = iso(now)
    body = json.dumps({"type": kind, "timestamp": at, "data": dict(data)}, ensure_ascii=False)
    message = {"message_id": f"msg_{secrets.token_hex(16)}", "type": kind, "body": body, "created_at": at}
    event_id = connection.execute(insert(e).values(message).returning(e.c.id)).scalar_one()
    first = {"event_id": event_id, "state": "waiting", "next_at": at, "give_up_at": iso(now + KEEP_TRYING)}
    return [
        connection.execute(insert(d).values(**first, webhook_id=each).returning(d.c.id)).scalar_one() for each in wanted
    ]
