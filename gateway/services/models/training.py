"""Training: sends the matured snapshots to the ML service, stores the report, and applies the promotion gate.

Law: only rows whose outcome is known are sent; the live model is the timeline's newest entry, never the newest folder.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import structlog

from database.campaigns import arms
from database.customers import customer_base, facts, later_outcomes, maturity
from database.engine.session import Database
from database.models import models
from database.models.models import Model
from database.webhooks import events
from gateway.clients.ml_client import MLClient
from gateway.services import vouching
from gateway.services.jobs import locks
from gateway.services.jobs.cancellable_calls import cancellable_call, cancellable_items
from gateway.services.jobs.params import TrainingParams
from gateway.services.jobs.work import Work
from gateway.services.models import cohort, labels, no_labels, promotions, training_stream
from gateway.services.scoring.columns import by_column, train_batch
from shared.clock import iso
from shared.contracts.api import Backtest, TrainParams, TrainReport
from shared.contracts.report import Labels
from shared.errors import InsufficientData, NoCustomers, ServiceError, Unchanged
from shared.schema.features import Schema

log = structlog.get_logger()

NO_CUSTOMERS = "There are no customers to train on yet: import a table first."
#: Facts that come in later than this after their date may have been put together afterwards.
LATE_DAYS = 7


@dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Attributes
    ----------
    model
        The new version; the one that stands if there was nothing new to learn.
    promoted
        Whether it went live.
    unchanged
        Why there is no new version; None if there is one.
    """

    model: Model
    promoted: bool
    unchanged: str | None = None


def run(work: Work, params: TrainingParams) -> Mapping[str, Any]:
    """Train on the matured snapshots; promote the model if the gate allows it."""
    with work.database.read() as connection:
        last, known = facts.last_date(connection), maturity.complete_to(connection)
    if last is None:
        raise NoCustomers(NO_CUSTOMERS)
    outcome = train(
        work,
        today=max(last, known or last),
        user_id=work.job.user_id,
        allow_leaks=params.allow_leaks,
        without=params.without,
        again=params.again,
        promote=params.promote,
    )
    model, report = outcome.model, outcome.model.figures
    metrics = {name: report[name] for name in ("auc", "precision", "recall", "f1_score", "training_samples")}
    return {
        "message": outcome.unchanged or "Model training completed",
        "unchanged": outcome.unchanged is not None,
        "metrics": {
            **metrics,
            "model_version": model.version,
            "threshold": report["test"]["threshold"],
            "prevalence": report["test"]["prevalence"],
            "n": report["test"]["n"],
            "balanced": report["test"]["balanced"],
        },
        "promoted": outcome.promoted,
        "decision": outcome.unchanged or model.decision,
        "notes": [*([labels.stated(Labels(**report["labels"]))] if report["labels"] else []), *report["warnings"]],
    }


def train(
    work: Work,
    *,
    today: str,
    live_from: str | None = None,
    user_id: int | None = None,
    seed: int = 0,
    allow_leaks: Sequence[str] = (),
    without: Sequence[str] = (),
    again: bool = True,
    promote: bool = True,
) -> Outcome:
    """Train one version on the dates matured by `today` and decide whether it goes live.

    Parameters
    ----------
    today
        ISO date; later data are not used. The demo passes past dates; others pass the data's last date.
    live_from
        Promotion time for the timeline; now if absent. The demo passes past times.
    allow_leaks
        Features that the leak guard accepts although they reveal the outcome; the report names them.
    without
        Features that are left out of the model; the report names them.
    again
        Train even if rows and parameters are those of a version that stands.
    promote
        Make it live if the gate allows it; otherwise it is proposed.
    """
    schema, checksum = _base(work.database)
    rest = labels.measure(work.database, schema, today)
    champion, version, model_id, made = _reserved(work, checksum, today)
    comparable = champion if champion and champion.schema_checksum == checksum else None
    params = TrainParams(
        model_version=version,
        table_schema=schema.as_dict(),
        seed=seed,
        champion_version=comparable.version if comparable else None,
        decided_version=promotions.last_decided(comparable) if comparable else None,
        allow_leaks=list(allow_leaks),
        without=list(without),
        notes=_notes(work.database, today),
        again=again,
        made=made,
    )
    try:
        report = labels.add_to(_send(work, schema, params, today), rest)
        with work.database.read() as connection:
            report.cohort = cohort.fit(connection, today)
    except ServiceError as error:
        with work.database.write() as connection:
            models.release(connection, model_id)
        if isinstance(error, Unchanged):
            return Outcome(_same(work.database, error), promoted=False, unchanged=error.message)
        raise
    allowed, reason = promotions.decide(report, promote=promote)
    with work.database.write() as connection:
        models.record(connection, model_id, report.model_dump(mode="json"), iso(work.clock()))
        vouching.record_training(connection, version, schema.vouched, at=iso(work.clock()), actor=work.actor)
        models.decide(connection, model_id, reason)
        if allowed:
            moment = live_from or iso(work.clock())
            models.promote(connection, model_id, reason=reason, live_from=moment, user_id=user_id)
        model = models.get(connection, version)
        told = {"model_version": version, "promoted": allowed, "decision": reason, "auc": report.auc}
        events.record(connection, "model.trained", {**told, "job_id": work.job.id}, now=work.clock())
    assert model is not None
    log.info("model_trained", version=version, auc=report.auc, promoted=allowed, reason=reason)
    return Outcome(model, promoted=allowed)


def _reserved(work: Work, checksum: str, today: str) -> tuple[Model | None, str, int, list[str]]:
    """The live model, the version that is reserved for this training, with its id, and the versions that stand."""
    on_disk = cancellable_call(work, work.ml.versions)
    with work.database.write() as connection:
        version = models.next_version(connection, work.settings.model_version, on_disk)
        model_id = models.reserve(
            connection,
            version=version,
            schema_checksum=checksum,
            trained_on=today,
            job_id=work.job.id,
            now=iso(work.clock()),
        )
        return models.live(connection), version, model_id, models.ready(connection, checksum)


def _same(database: Database, error: Unchanged) -> Model:
    """The version that a training would have made once more."""
    with database.read() as connection:
        model = models.get(connection, error.details[0]["value"])
    assert model is not None, "the ML service names one of the versions that it was sent"
    return model


def _notes(database: Database, today: str) -> list[str]:
    """Notes for the report about facts that were imported long after their dates."""
    with database.read() as connection:
        base = customer_base.get(connection)
        late, rows = facts.imported_late(connection, maturity.matured_dates(connection, today), days=LATE_DAYS)
    if not late or base is None or base.is_demo:
        return []
    return [
        f"{100 * late / rows:.1f} % of the dated facts ({late:,} of {rows:,}) were imported more than {LATE_DAYS} days "
        "after their date: that they were known on that date is the file's word, which the leak guard can't check."
    ]


def _base(database: Database) -> tuple[Schema, str]:
    with database.read() as connection:
        found = customer_base.get(connection)
    if found is None:
        raise NoCustomers(NO_CUSTOMERS)
    return found.schema, found.checksum


def _send(work: Work, schema: Schema, params: TrainParams, today: str) -> TrainReport:
    work.step(0.0, "Sending the training data")
    with closing(cancellable_items(work, partial(_lines, work, schema, params, today))) as lines:
        for line in lines:
            if "report" in line:
                return TrainReport.model_validate(line["report"])
            work.step(line["progress"], line["stage"])
    raise AssertionError("the client ends with a report or raises")


def _lines(work: Work, schema: Schema, params: TrainParams, today: str) -> Generator[dict[str, Any], None, None]:
    rows = _locked_snapshot(work, schema, today)
    with (
        training_stream.whole(schema, params, rows, work.settings.data_folder) as stream,
        # Closing the response's lines closes the connection, which cancels the training in the ML service.
        closing(work.ml.train(stream, request_id=work.job.request_id)) as lines,
    ):
        yield from lines


def _locked_snapshot(work: Work, schema: Schema, today: str) -> Generator[pa.RecordBatch, None, None]:
    with locks.unchanged_facts(work):
        for batch in _snapshot(work.database, schema, today):
            work.check()
            yield batch


def backtest(
    database: Database, ml: MLClient, *, data_folder: Path, trials: int, show: Callable[[float, str], None]
) -> Backtest:
    """Evaluate one model per matured month, trained on the facts known then; nothing is stored.

    Raises
    ------
    NoCustomers, InsufficientData
    """
    schema, _ = _base(database)
    with database.read() as connection:
        last = maturity.complete_to(connection) or facts.last_date(connection)
    params = TrainParams(model_version="0.0.0", table_schema=schema.as_dict(), trials=trials)
    rows = _snapshot(database, schema, last or "")
    with training_stream.whole(schema, params, rows, data_folder) as stream, closing(ml.backtest(stream)) as lines:
        for line in lines:
            if "backtest" in line:
                return Backtest.model_validate(line["backtest"])
            show(line["progress"], line["stage"])
    raise AssertionError("the client ends with a backtest or raises")


def _snapshot(database: Database, schema: Schema, today: str) -> Generator[pa.RecordBatch, None, None]:
    """Yield labelled rows, date by date: labels come from matured subscriptions, or else from the file."""
    with database.read() as connection:
        matured = maturity.matured(connection, today) if facts.has_subscriptions(connection) else maturity.NOTHING
        later = later_outcomes.read(connection, schema, matured, today)
        empty = True
        for day in matured.dates:
            if rows := facts.training_rows(connection, schema, day):
                empty = False
                ids, labels, *features = by_column(rows)
                drawn = arms.drawn_around(connection, day)
                yield train_batch(schema, ids, date.fromisoformat(day), labels, features, later, drawn)
        if empty:
            yield from _given_labels(connection, schema)


def _given_labels(connection: Any, schema: Schema) -> Iterator[pa.RecordBatch]:
    rows = facts.given_label_rows(connection, schema)
    if not rows:
        raise InsufficientData(no_labels.reason(connection, schema))
    by_day: dict[str | None, list[Any]] = {}
    for row in rows:
        by_day.setdefault(row.as_of if schema.as_of else None, []).append(row)
    for day, part in by_day.items():
        ids, _, labels, *features = by_column(part)
        yield train_batch(schema, ids, date.fromisoformat(day) if day else None, labels, features)
