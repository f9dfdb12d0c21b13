"""Compares the customers of a scoring run with training rows of the same season. The worker runs this after a run.

Law: rows are compared as the model saw them, in samples; a run of facts that have changed since is not compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from database.customers import customer_base, facts
from database.engine.bulk_read import Fetched, fetch_columns
from database.models import models
from database.monitoring import drift_rows
from database.scoring import runs
from gateway.services.jobs import locks
from gateway.services.jobs.cancellable_calls import cancellable_call
from gateway.services.jobs.work import Work
from gateway.services.monitoring.drift import DriftReport, FeatureReport
from gateway.services.monitoring.drift_figures import compare
from gateway.services.scoring.columns import predict_batch
from shared.clock import days_later, iso
from shared.contracts import arrow
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.schema.features import Schema

#: Rows and cells of a sample, at most; days of the year that a date of the same season may be away.
SAMPLE, MOST_CELLS, SEASON_DAYS = 20_000, 1_000_000, 20


def measure(work: Work, run_id: int) -> bool:
    """Compare the customers of a run with training rows, and store the report.

    Returns
    -------
    compared
        False for a run that is not the published one, where training rows have no dates, and where facts or the live
        model have changed since the run.
    """
    with locks.unchanged_facts(work), work.database.read() as connection:
        run, live, last = runs.published(connection), models.live(connection), facts.last_date(connection)
        if run is None or run.run_id != run_id or live is None or run.model_id != live.id or run.as_of != last:
            return False
        if not facts.has_subscriptions(connection):
            return False
        schema = customer_base.schema_of(connection, live.schema_checksum)
        dates = [day for day in facts.snapshot_dates(connection) if _is_learned(day, live.trained_on)]
        if schema is None or not dates:
            return False
        reference, same_season = _reference(dates, run.as_of)
        rows = min(SAMPLE, MOST_CELLS // len(schema.features))
        every = _every(run.customers, rows)
        scored = fetch_columns(connection, drift_rows.scored(schema, run.run_id, every=every))
        every = _every(drift_rows.rows_of(connection, reference), rows)
        trained = fetch_columns(connection, drift_rows.trained(schema, reference, every=every, limit=2 * rows))
    report = _report(work, schema, run, (reference, same_season), scored, trained)
    with work.database.write() as connection:
        drift_rows.store(connection, run.run_id, report.model_dump(), iso(work.clock()))
    return True


def _is_learned(day: str, trained_on: str) -> bool:
    return days_later(day, HORIZON_DAYS + GRACE_DAYS) <= trained_on


def _every(rows: int, wanted: int) -> int:
    return max(1, -(-rows // wanted))


def _reference(dates: Sequence[str], as_of: str) -> tuple[str, bool]:
    """Return the training date of the same season, the newest year's nearest; else the newest date."""
    near = [(_years(day, as_of), _off_season(day, as_of), day) for day in dates]
    of_season = sorted(each for each in near if each[0] > 0 and each[1] <= SEASON_DAYS)
    return (of_season[0][2], True) if of_season else (dates[-1], False)


def _years(day: str, as_of: str) -> int:
    return round((date.fromisoformat(as_of) - date.fromisoformat(day)).days / 365.25)


def _off_season(day: str, as_of: str) -> int:
    """Return the days by which a date is off the same day of a year."""
    apart = (date.fromisoformat(as_of) - date.fromisoformat(day)).days
    return abs(round(apart - 365.25 * _years(day, as_of)))


def _report(
    work: Work, schema: Schema, run: runs.Published, of: tuple[str, bool], scored: Fetched, trained: Fetched
) -> DriftReport:
    names = schema.feature_names
    now, before = scored.columns[1:], trained.columns[1:-1]
    found = compare(dict(zip(names, before, strict=True)), dict(zip(names, now, strict=True)))
    p_before = _scores(work, schema, run.model_version, trained)
    of_scores = compare({"score": p_before}, {"score": np.asarray(scored.columns[0])})
    return DriftReport(
        run=run.run_id,
        as_of=run.as_of,
        version=run.model_version,
        reference=of[0],
        same_season=of[1],
        n=found.n,
        trained_n=found.trained_n,
        auc=found.auc,
        score_psi=of_scores.features[0].psi,
        features=[FeatureReport(**vars(each)) for each in found.features],
    )


def _scores(work: Work, schema: Schema, version: str, rows: Fetched) -> Any:
    batch = predict_batch(schema, rows.keys, rows.columns[1:-1])
    body = arrow.encode(arrow.predict_schema(schema), [batch])
    ask = partial(work.ml.score_columns, body, version, request_id=work.job.request_id)
    return arrow.decode(cancellable_call(work, ask)).column("churn_probability").to_numpy()
