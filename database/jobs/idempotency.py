"""Idempotency keys: a repeated request finds the job that it made before.

Law: a key belongs to one user, one kind of job and one request, and expires after 24 hours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select, update

from database.tables import tables
from shared.clock import iso
from shared.errors import IdempotencyKeyReused

j = tables.jobs
KEY_LIFE = timedelta(hours=24)
KEY_IS_USED = "was used for another request, or by another key of this account: use a new one for each request"


def sha_of(params: Mapping[str, Any], question: str | None = None) -> str:
    """Return the SHA-256 of a request: of its question if given, else of its parameters."""
    text = question if question is not None else json.dumps(dict(params))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def known(
    connection: Connection,
    *,
    kind: str,
    params: Mapping[str, Any],
    now: str,
    user_id: int | None = None,
    idempotency_key: str | None = None,
    key_id: int | None = None,
    question: str | None = None,
    **_: Any,
) -> int | None:
    """Return the id of the job that a key made before. Raises IdempotencyKeyReused if its request differs."""
    if idempotency_key is None:
        return None
    used = (j.c.user_id == user_id, j.c.kind == kind, j.c.idempotency_key == idempotency_key)
    expired = j.c.created_at < iso(datetime.fromisoformat(now) - KEY_LIFE)
    connection.execute(update(j).where(*used, expired).values(idempotency_key=None))
    row = connection.execute(select(j.c.id, j.c.key_id, j.c.question_sha256).where(*used)).one_or_none()
    if row is None:
        return None
    if (row.key_id, row.question_sha256) != (key_id, sha_of(params, question)):
        raise IdempotencyKeyReused.of([{"field": "Idempotency-Key", "message": KEY_IS_USED}])
    return int(row.id)
