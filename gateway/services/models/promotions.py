"""Promotes a model by hand and rolls back to the one before.

Law: every change is a row of the timeline with its reason and its actor; only a whole, trained model goes live.
"""

from __future__ import annotations

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customer_base
from database.engine.session import Database
from database.models import models
from database.models.models import Model
from shared.clock import Clock, iso
from shared.errors import Conflict, NotFound


def promote(database: Database, clock: Clock, *, version: str, reason: str, force: bool, actor: Actor) -> Model:
    """Make a version live.

    Raises
    ------
    NotFound
        There is no such version.
    Conflict
        It is live already, was not trained to the end, belongs to another customer base, or the gate refused it
        and `force` is not set.
    """
    with database.write() as connection:
        model = models.get(connection, version)
        if model is None:
            raise NotFound(f"There is no model version {version}.")
        live = models.live(connection)
        if live is not None and live.id == model.id:
            raise Conflict(f"Version {version} is live already.")
        present = customer_base.get(connection)
        if model.state != "ready" or present is None or present.checksum != model.schema_checksum:
            raise Conflict(f"Version {version} can't go live: it is {model.state} or made for another customer base.")
        if not force and (model.decision or "").startswith("Not promoted"):
            raise Conflict(f"The gate refused version {version}: {model.decision} Send force to override.")
        why = f"Forced: {reason}" if force else f"By hand: {reason}"
        now = iso(clock())
        models.promote(connection, model.id, reason=why, live_from=now, user_id=actor.user_id)
        action = "model.promoted.forced" if force else "model.promoted"
        audit.record(connection, action, at=now, actor=actor, subject=f"model:{version}")
    return model


def roll_back(database: Database, clock: Clock, *, reason: str, actor: Actor) -> Model:
    """Make the model that was live before the present one live again. Raises Conflict where there was none."""
    with database.write() as connection:
        live = models.live(connection)
        previous = models.before(connection)
        if live is None or previous is None or previous.schema_checksum != live.schema_checksum:
            raise Conflict("There is no earlier live model to roll back to.")
        why = f"Rolled back from {live.version}: {reason}"
        now = iso(clock())
        models.roll_back(connection, previous.id, reason=why, live_from=now, user_id=actor.user_id)
        subject = f"model:{live.version} -> {previous.version}"
        audit.record(connection, "model.rolled_back", at=now, actor=actor, subject=subject)
    return previous
