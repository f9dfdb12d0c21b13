"""Records who vouches for features, so that the leak guard lets them pass (`known_at_scoring = true` in a schema).

Law: the audit row is written in the transaction that takes the schema over, or that keeps the model trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence

from database.accounts import audit
from database.accounts.audit import Actor
from database.engine.session import Connection


def record_schema(connection: Connection, features: Sequence[str], *, at: str, actor: Actor) -> None:
    """Record the features that a schema, which was taken over, vouches for; nothing if there are none."""
    if features:
        audit.record(connection, "schema.vouched", at=at, actor=actor, subject=f"features: {', '.join(features)}")


def record_training(connection: Connection, version: str, features: Sequence[str], *, at: str, actor: Actor) -> None:
    """Record the vouched features that a model was trained on; nothing if there are none."""
    if features:
        subject = f"model:{version} features: {', '.join(features)}"
        audit.record(connection, "model.trained.vouched", at=at, actor=actor, subject=subject)
