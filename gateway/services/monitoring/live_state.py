"""The state of the live model: its status, the alarm, and the alerts that somebody should look at.

Law: an alert names what it compares, with both figures; where nothing has matured, the status says so and is Stable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp, hypot
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from database.engine.session import Connection
from database.models import models
from database.models.models import Model
from database.monitoring import outcome_bins
from database.monitoring.outcome_bins import Run
from gateway.services.monitoring import drift
from gateway.services.monitoring.counting import LIMIT, knows_outcomes, raised_by, watched
from gateway.services.monitoring.performance import Group, Pending, groups_of, pending

ModelStatus = Literal["Stable", "Watch", "Degraded"]
NOTHING_YET = "Nothing has matured yet, so nothing speaks against the model."
AS_PROMISED = "The newest matured predictions are within what training promised."
NO_SPREAD = "No version knows the spread of the level yet (it takes four periods), so the level is not watched."
NO_RUNS = "No counted run has matured yet."


class Evidence(BaseModel):
    """The evidence for a shift of the level after a run."""

    run: int
    as_of: str
    evidence: float


class LevelAlarm(BaseModel):
    """The alarm on observed minus expected leavers, which may be looked at every day."""

    raised: bool
    raised_by: str | None = Field(description="Date of the run whose outcomes raised it")
    answered_by: str | None = Field(description="The live version, where it has learned from these outcomes")
    evidence: float | None = Field(description="After the newest run; 1 is none")
    limit: float = Field(description="An alarm is raised from this evidence: one false alarm in 20 at most")
    history: list[Evidence] = Field(description="Newest first")
    note: str | None = Field(description="Why nothing is watched")


class Alert(BaseModel):
    """An alert."""

    kind: Literal["level_alarm", "observed_expected", "auc", "alert_auc", "drift", "error_rate", "latency"]
    message: str
    value: float | None
    limit: float | None
    as_of: str


class LiveState(BaseModel):
    """The live model, as its matured predictions show it; nulls before the first."""

    model_config = ConfigDict(protected_namespaces=())

    version: str | None
    status: ModelStatus | None
    status_reason: str | None
    newest: Group | None = Field(description="The newest counted run that has matured")
    provisional: Group | None = Field(description="The newest one where only the grace gap is missing")
    pending: Pending
    alarm: LevelAlarm
    alerts: list[Alert]


def read(connection: Connection, alert_auc: float | None) -> LiveState:
    """Return the state of the live model.

    Parameters
    ----------
    alert_auc
        AUC below which the model counts as degraded; None for none.
    """
    live, runs = models.live(connection), outcome_bins.finished_runs(connection)
    newest = _newest(connection, runs, "matured")
    alarm = _alarm(live, runs)
    alerts = list(_alerts(newest, alarm, alert_auc))
    status = _status(alerts) if live else None
    drifted = drift.read(connection, 1)
    looked = [
        Alert(kind="drift", message=each, value=None, limit=None, as_of=drifted.reports[0].as_of)
        for each in drifted.alerts
    ]
    return LiveState(
        version=live.version if live else None,
        status=status,
        status_reason=None if status is None else _reason(newest, alerts),
        newest=newest,
        provisional=_newest(connection, runs, "provisional"),
        pending=pending(runs),
        alarm=alarm,
        alerts=[*alerts, *looked],
    )


def _newest(connection: Connection, runs: Sequence[Run], stage: outcome_bins.Stage) -> Group | None:
    found = [run for run in runs if run.is_counted and run.stage == stage]
    return next(groups_of(connection, found[-1:], "run", 1), None)


def _alarm(live: Model | None, runs: Sequence[Run]) -> LevelAlarm:
    raised, known = raised_by(runs), [run for run in watched(runs) if run.log_evidence is not None]
    answered = live is not None and raised is not None and knows_outcomes(live.trained_on, raised)
    history = [Evidence(run=run.id, as_of=run.as_of, evidence=exp(run.log_evidence or 0.0)) for run in reversed(known)]
    return LevelAlarm(
        raised=raised is not None and not answered,
        raised_by=raised.as_of if raised else None,
        answered_by=live.version if live and answered else None,
        evidence=history[0].evidence if history else None,
        limit=LIMIT,
        history=history,
        note=None if history else NO_SPREAD if watched(runs) else NO_RUNS,
    )


def _alerts(newest: Group | None, alarm: LevelAlarm, alert_auc: float | None) -> Iterator[Alert]:
    if alarm.raised and alarm.raised_by is not None:
        highest = max(each.evidence for each in alarm.history)
        yield Alert(
            kind="level_alarm",
            message=f"The number of leavers has shifted: the evidence since the run of {alarm.raised_by} is above "
            f"{alarm.limit:.0f}. Train on what has matured.",
            value=highest,
            limit=alarm.limit,
            as_of=alarm.raised_by,
        )
    if newest is not None:
        yield from _outside(newest)
        if alert_auc is not None and newest.auc.value is not None and newest.auc.value < alert_auc:
            yield Alert(
                kind="alert_auc",
                message=f"The AUC of the newest matured run is below {alert_auc} (ALERT_AUC).",
                value=newest.auc.value,
                limit=alert_auc,
                as_of=newest.as_of[1],
            )


def _outside(newest: Group) -> Iterator[Alert]:
    """Yield the figures that are outside what training promised."""
    if newest.as_expected is False and newest.expected_interval is not None:
        low, high = newest.expected_interval
        limit = high if newest.leavers > high else low
        yield Alert(
            kind="observed_expected",
            message=f"{newest.leavers:,} left where {newest.expected:,.0f} were expected ({low:,.0f} to {high:,.0f}).",
            value=newest.leavers / newest.expected,
            limit=limit / newest.expected,
            as_of=newest.as_of[1],
        )
    lowest = _lowest_promised(newest)
    if lowest is not None and newest.auc.value is not None and newest.auc.value < lowest:
        yield Alert(
            kind="auc",
            message=f"The AUC is {newest.auc.value:.3f}; what training promised, with chance in both, is "
            f"{lowest:.3f} or more.",
            value=newest.auc.value,
            limit=lowest,
            as_of=newest.as_of[1],
        )


def _lowest_promised(newest: Group) -> float | None:
    """Return the least AUC that chance, in the test rows and in these, leaves to what training promised."""
    promised, interval = newest.promised, newest.auc.interval
    if promised is None or promised.auc is None or promised.auc_interval is None or interval is None:
        return None
    assert newest.auc.value is not None
    return promised.auc - hypot(promised.auc - promised.auc_interval[0], interval[1] - newest.auc.value)


def _status(alerts: Sequence[Alert]) -> ModelStatus:
    kinds = {alert.kind for alert in alerts}
    if kinds & {"level_alarm", "alert_auc"}:
        return "Degraded"
    return "Watch" if kinds else "Stable"


def _reason(newest: Group | None, alerts: Sequence[Alert]) -> str:
    if alerts:
        return " ".join(alert.message for alert in alerts)
    return AS_PROMISED if newest is not None else NOTHING_YET
