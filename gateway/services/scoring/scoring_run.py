"""Scoring runs: all active customers, or a sample, are sent to the ML service and stored in the ledger.

Law: one model version from the first row to the last (law 8 of docs/architecture.md#laws).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from database.customers import customer_base, customers, facts
from database.engine.bulk_read import Fetched, Floats, Ints, Query, fetch_columns
from database.engine.session import Connection, Database
from database.importing import imports
from database.jobs import jobs
from database.models import models
from database.models.models import Model
from database.scoring import runs
from database.scoring.run_writer import Days, RunWriter, Scores, drop_unfinished, open_run
from database.webhooks import events
from gateway.services.jobs import locks
from gateway.services.jobs.cancellable_calls import cancellable_call
from gateway.services.jobs.params import ScoreParams
from gateway.services.jobs.work import Work
from gateway.services.scoring import announcements, gaps
from gateway.services.scoring.columns import predict_batch
from gateway.services.scoring.findings import Findings
from gateway.services.scoring.prefetch import prefetch_map
from shared.clock import days_later
from shared.contracts import arrow
from shared.errors import Conflict, NoCustomers, NoModel
from shared.plural import plural
from shared.schema.features import Schema

#: Customers per call of the ML service; fewer in the first call, because storing has to wait for it.
CHUNK, FIRST_CHUNK = 20_000, 5_000
#: Cells in one call: customers of a wide table are sent in smaller chunks, so that memory does not grow with width.
MOST_CELLS = 1_000_000
NO_MODEL = "No model is live yet: train one first (POST /api/model/train, or `retainstream train`)."
UNFINISHED = (
    "An import was interrupted and is only partly written; its next attempt, or the next import, finishes it. "
    "Score after that."
)
NO_CUSTOMERS = "There are no customers to score yet: import a table first."
ONLY_OLDER = (
    "No customer has facts of {since} or later, so nobody was scored: import newer facts, or set FACTS_MAX_AGE_DAYS to "
    "score older ones."
)
AGED = ("as_of", "customers")


@dataclass(frozen=True)
class Batch:
    """Customers to score.

    Attributes
    ----------
    customer_ids
        Shape (customers,), ascending.
    monthly_prices
        Shape (customers,); NaN if unknown.
    facts_ages
        Shape (customers,): days by which their facts are older than the run's date.
    body
        Their features as an Arrow stream for the ML service.
    """

    customer_ids: Ints
    monthly_prices: Floats
    facts_ages: Days
    body: bytes


@dataclass(frozen=True)
class Asked:
    """The customers of a run: all `size` of them, or a sample, with facts from `since` up to `as_of`."""

    schema: Schema
    as_of: str
    since: str
    size: int
    sample: Sequence[int] | None


def run(work: Work, params: ScoreParams) -> Mapping[str, Any]:
    """Score every active customer, or `sample_size` of them."""
    drop_unfinished(work.database, work.job.id)
    with locks.unchanged_facts(work):
        return _run(work, params)


def _run(work: Work, params: ScoreParams) -> Mapping[str, Any]:
    with work.database.read() as connection:
        if imports.pending(connection) is not None:
            raise Conflict(UNFINISHED)
        found, live = customer_base.get(connection), models.live(connection)
        size = customers.population(connection)
        as_of = facts.last_date(connection)
    if found is None or not size or as_of is None:
        raise NoCustomers(NO_CUSTOMERS)
    if live is None:
        raise NoModel(NO_MODEL)
    with work.database.read() as connection:
        # A model keeps the features that it was trained on, even if the base was extended since.
        schema = customer_base.schema_of(connection, live.schema_checksum) or found.schema
    since = days_later(as_of, -work.settings.facts_max_age_days)
    wanted = params.sample_size
    sample = None if wanted is None or wanted >= size else _sample_ids(work, wanted, since)
    missing = gaps.require_features(work, schema, live, since=since, among=sample, allow=params.allow_missing)
    asked = Asked(schema, as_of, since, size if sample is None else len(sample), sample)
    result = _score(work, live, asked)
    with work.database.read() as connection:
        older = customers.dates_of_older_facts(connection, since) if result["older_facts"] else []
    told = {
        "customers": result["older_facts"],
        "before": since,
        "dates": [dict(zip(AGED, row, strict=True)) for row in older],
    }
    warnings = [*missing.warnings, *result["warnings"]]
    return {**result, "older_facts": told, "allowed_missing": missing.allowed, "warnings": warnings}


def _sample_ids(work: Work, size: int, since: str) -> Sequence[int]:
    with work.database.read() as connection:
        everyone = customers.population_ids(connection, since)
    return sorted(random.SystemRandom().sample(list(everyone), min(size, len(everyone))))


def _score(work: Work, live: Model, asked: Asked) -> dict[str, Any]:
    sample, as_of = asked.sample, asked.as_of
    kind: runs.Kind = "full" if sample is None else "sample"
    findings = Findings()
    opened = open_run(
        work.database, work.clock, kind=kind, model_id=live.id, as_of=as_of, facts_from=asked.since, job_id=work.job.id
    )
    with opened as run, closing(_scored(work, live.version, asked)) as scored:
        for scores, about in scored:
            run.append(scores)
            findings.add(about)
            work.step(run.customers / asked.size * 0.95, f"Scored {run.customers:,} of {asked.size:,} customers")
        if not run.customers:
            raise NoCustomers(ONLY_OLDER.format(since=asked.since))
        if sample is None:
            # No facts change during a run, so whoever could be scored and was not has older ones.
            run.older_facts = asked.size - run.customers
            _publish(work, run, live, asked)
        else:
            run.finish(partial(_announce, work, run, kind, live.version, as_of))
    return {
        "predictions_generated": run.customers,
        "average_probability": run.average_probability,
        "timestamp": run.started_at,
        "run_id": run.run_id,
        "model_version": live.version,
        "older_facts": run.older_facts,
        "warnings": findings.warnings(run.customers),
    }


def _publish(work: Work, run: RunWriter, live: Model, asked: Asked) -> None:
    run.rank(lambda: work.step(0.95, f"Ranked {plural(run.customers, 'customer')}"))
    with work.database.read() as connection:
        alert = announcements.alert(connection, run.run_id, work.settings.cut, work.settings.signing_secret)

    def announce(connection: Connection) -> None:
        _announce(work, run, "full", live.version, asked.as_of, connection)
        events.record(connection, "churn.alert", alert, now=work.clock())

    run.publish(announce)


def _announce(work: Work, run: RunWriter, kind: runs.Kind, version: str, as_of: str, connection: Connection) -> None:
    """Record that a run is complete; its job can't be cancelled any more. Raises Cancelled if it was before."""
    jobs.bind(connection, work.job)
    announcements.completed(connection, work, run, kind, version, as_of)


def _scored(work: Work, version: str, asked: Asked) -> Generator[tuple[Scores, dict[str, Any]], None, None]:
    """Yield scores batch by batch: each is computed while the caller stores the one before and reads the one after."""
    query = partial(customers.to_score, asked.schema, as_of=asked.as_of, since=asked.since)
    if asked.sample is None:
        batches = batches_to_score(work.database, asked.schema, query)
    else:
        batches = _sampled(work.database, asked.schema, query, asked.sample)
    return prefetch_map(partial(score, work, version, asked.as_of), batches)


def batches_to_score(database: Database, schema: Schema, query: Callable[..., Query]) -> Iterator[Batch]:
    """Yield customers in batches, the first one small.

    Parameters
    ----------
    query
        Makes the query for up to `limit` customers after the key `after_id`.
    """
    after, limit = 0, _chunk_rows(schema, FIRST_CHUNK)
    while len((part := _fetch(database, query(after_id=after, limit=limit))).keys):
        yield to_batch(schema, part)
        after, limit = int(part.keys[-1]), _chunk_rows(schema, CHUNK)


def _fetch(database: Database, query: Query) -> Fetched:
    with database.read() as connection:
        return fetch_columns(connection, query)


def _chunk_rows(schema: Schema, rows: int) -> int:
    return min(rows, max(1, MOST_CELLS // len(schema.features)))


def _sampled(database: Database, schema: Schema, query: Callable[..., Query], chosen: Sequence[int]) -> Iterator[Batch]:
    step = _chunk_rows(schema, FIRST_CHUNK)
    for at in range(0, len(chosen), step):
        # Customers who have left since the ids were drawn are not among the rows.
        part = _fetch(database, query(after_id=0, limit=step, among=chosen[at : at + step]))
        if len(part.keys):
            yield to_batch(schema, part)


def to_batch(schema: Schema, part: Fetched) -> Batch:
    """Encode customers as the database returns them (key, price, features, age of the facts)."""
    prices, *features, ages = part.columns
    body = arrow.encode(arrow.predict_schema(schema), [predict_batch(schema, part.keys, features)])
    assert not isinstance(prices, list)
    assert not isinstance(ages, list)
    return Batch(part.keys, prices, ages.astype(np.int16), body)


def score(work: Work, version: str, as_of: str, batch: Batch) -> tuple[Scores, dict[str, Any]]:
    """Score a batch of a date with one model version; return the answer's metadata too."""
    ask = partial(work.ml.score_columns, batch.body, version, as_of=as_of, request_id=work.job.request_id)
    answer = arrow.decode(cancellable_call(work, ask))
    columns = {name: _values(answer.column(name)) for name in runs.SCORE_COLUMNS}
    return Scores(batch.customer_ids, batch.monthly_prices, batch.facts_ages, columns), arrow.metadata(answer)


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    # With fewer features than reasons, a surplus reason is -1 and its points are null: stored as 0.
    if column.null_count:
        column = pc.fill_null(column, 0)
    return column.to_numpy()
