"""Decides which model is live: the gate after a training, promotion by hand, and rollback.

Law: every change is a row of the timeline with its reason and its actor; only a fully trained model whose files the ML
service has just found intact goes live by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from database.accounts import audit
from database.accounts.audit import Actor
from database.customers import customer_base
from database.engine.session import Connection, Database
from database.models import models
from database.models.models import Model
from shared.clock import Clock, iso
from shared.contracts.api import TrainReport
from shared.errors import Conflict, NotFound

#: Does nothing if a version's files are intact; raises ModelUnavailable if not, ServiceUnavailable if unknown.
RequireIntact = Callable[[str], None]


def gate(report: TrainReport) -> tuple[bool, str]:
    """Return whether a new model may go live, and why; see docs/definitions.md#not-worse.

    Siblings are compared by their log loss on the same test rows: the new model must not be worse. Where the rows don't
    decide, the newer model goes live, unless it is behind the last decided version by more than the margin: a chain of
    undecided steps leads nowhere. No segment may collapse.
    """
    if report.champion is None or report.comparison is None:
        return True, "Promoted: there is no live model for this customer base to compare with."
    found = report.comparison
    low, high = found.interval
    figures = (
        f"log loss {report.test.log_loss:.4f} against {report.champion.log_loss:.4f} of the live model on the same "
        f"{report.test.n:,} test rows (difference {found.difference:+.4f}, 95 % between {low:+.4f} and {high:+.4f})"
    )
    if found.verdict == "worse":
        return False, f"Not promoted: significantly worse, {figures}."
    if found.collapsed:
        return False, f"Not promoted: much worse for {', '.join(found.collapsed)}, although overall {figures}."
    if found.verdict == "not_worse":
        return True, f"Promoted: not worse, {figures}."
    if found.behind_decided > found.margin:
        return False, (
            f"Not promoted: undecided, {figures}, and {found.behind_decided:+.4f} behind {found.decided_version}, the "
            f"last version that went live by a decision; {found.margin:.4f} is allowed."
        )
    return True, f"Promoted because it is newer: undecided, {figures}."


def decide(report: TrainReport, *, promote: bool) -> tuple[bool, str]:
    """Return whether a new model goes live, and why; without `promote`, one that may is proposed to administrators."""
    allowed, reason = gate(report)
    if not allowed or promote or report.champion is None:
        return allowed, reason
    return False, "Proposed" + reason.removeprefix("Promoted")


def last_decided(live: Model) -> str:
    """The last version that went live by a decided comparison: the live one, or the one before undecided steps."""
    comparison = live.figures.get("comparison") or {}
    undecided = comparison.get("verdict") == "undecided"
    return str(comparison["decided_version"]) if undecided else live.version


def promote(
    database: Database,
    clock: Clock,
    require_intact: RequireIntact,
    *,
    version: str,
    reason: str,
    force: bool,
    actor: Actor,
) -> Model:
    """Make a version live.

    Raises
    ------
    NotFound
        There is no such version.
    Conflict
        It is live already, isn't fully trained, belongs to another customer base, or the gate refused it
        and `force` is not set.
    ServiceUnavailable
        Its files are not intact (`ModelUnavailable`), or the ML service can't check them.
    """
    with database.read() as connection:
        _candidate(connection, version, force=force)
    # Before the write transaction, which must not wait for the ML service.
    require_intact(version)
    with database.write() as connection:
        model = _candidate(connection, version, force=force)
        why = f"Forced: {reason}" if force else f"By hand: {reason}"
        now = iso(clock())
        models.promote(connection, model.id, reason=why, live_from=now, user_id=actor.user_id)
        action = "model.promoted.forced" if force else "model.promoted"
        audit.record(connection, action, at=now, actor=actor, subject=f"model:{version}")
    return model


def _candidate(connection: Connection, version: str, *, force: bool) -> Model:
    model = models.get(connection, version)
    if model is None:
        raise NotFound(f"There is no model version {version}.")
    live = models.live(connection)
    if live is not None and live.id == model.id:
        raise Conflict(f"Version {version} is already live.")
    present = customer_base.get(connection)
    if model.state != "ready":
        raise Conflict(f"Version {version} can't go live: its training has not ended (it is {model.state}).")
    if present is None or present.checksum != model.schema_checksum:
        raise Conflict(f"Version {version} can't go live: it was trained for another customer base.")
    if not force and (model.decision or "").startswith("Not promoted"):
        raise Conflict(f"The gate refused version {version}: {model.decision} Send force to override.")
    return model


def roll_back(database: Database, clock: Clock, require_intact: RequireIntact, *, reason: str, actor: Actor) -> Model:
    """Make the model that was live before the present one live again.

    Raises
    ------
    Conflict
        There was none, or another model has just gone live.
    ServiceUnavailable
        Its files are not intact (`ModelUnavailable`), or the ML service can't check them.
    """
    with database.read() as connection:
        _, wanted = _live_and_previous(connection)
    require_intact(wanted.version)
    with database.write() as connection:
        live, previous = _live_and_previous(connection)
        if previous.id != wanted.id:
            raise Conflict("Another model has just gone live. Check the timeline, then try again.")
        why = f"Rolled back from {live.version}: {reason}"
        now = iso(clock())
        models.roll_back(connection, previous.id, reason=why, live_from=now, user_id=actor.user_id)
        subject = f"model:{live.version} -> {previous.version}"
        audit.record(connection, "model.rolled_back", at=now, actor=actor, subject=subject)
    return previous


def _live_and_previous(connection: Connection) -> tuple[Model, Model]:
    live, previous = models.live(connection), models.before(connection)
    if live is None or previous is None or previous.schema_checksum != live.schema_checksum:
        raise Conflict("There is no earlier live model to roll back to.")
    return live, previous
