"""Scoring runs: everyone who is active, or a sample, through the ML service and into the ledger.

Law: one model version from the first row to the last; visible at once and whole, or not at all (DESIGN.md, law 8).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from database import base, customers, facts, imports, models, runs
from database.models import Model
from gateway.services import turns
from gateway.services.columns import predict_batch
from gateway.services.work import Work
from shared import arrow
from shared.clock import iso
from shared.errors import Conflict, NoCustomers, NoModel
from shared.features import Schema

CHUNK = 20_000
NO_MODEL = "No model is live yet: train one first (POST /api/model/train, or `retainstream train`)."
UNFINISHED = (
    "An import was broken off and is half written; it is finished by its own next attempt or by the next import. "
    "Score after that."
)
NO_CUSTOMERS = "There are no customers to score yet: import a table first."


@dataclass(frozen=True)
class Chunk:
    """Scored customers, ready to be stored."""

    ids: Sequence[int]
    prices: Sequence[float | None]
    scores: Sequence[Sequence[Any]]

    @property
    def probabilities(self) -> list[float]:
        return [row[0] for row in self.scores]


def run(work: Work) -> Mapping[str, Any]:
    """The job: score every active customer, or `sample_size` of them."""
    with work.database.write() as connection:
        runs.drop_unfinished(connection, work.job.id)
    with turns.standing_still(work):
        return _run(work)


def _run(work: Work) -> Mapping[str, Any]:
    with work.database.read() as connection:
        if imports.pending(connection) is not None:
            raise Conflict(UNFINISHED)
        found, live = base.get(connection), models.live(connection)
        size = customers.population(connection)
        as_of = facts.last_date(connection)
    if found is None or not size or as_of is None:
        raise NoCustomers(NO_CUSTOMERS)
    if live is None:
        raise NoModel(NO_MODEL)
    with work.database.read() as connection:
        # A model goes on with the features it was trained on, whatever the base has been given since.
        schema = base.schema_of(connection, live.schema_checksum) or found.schema
    wanted = work.job.params.get("sample_size")
    sample = None if wanted is None or wanted >= size else int(wanted)
    return _score(work, schema, live, as_of, size if sample is None else sample, sample)


def _score(work: Work, schema: Schema, live: Model, as_of: str, size: int, sample: int | None) -> Mapping[str, Any]:
    started = iso(work.clock())
    with work.database.write() as connection:
        kind: runs.Kind = "full" if sample is None else "sample"
        run_id = runs.start(connection, kind=kind, model_id=live.id, as_of=as_of, job_id=work.job.id, now=started)
    done, total = 0, 0.0
    try:
        for chunk in _chunks(work, schema, live.version, sample):
            _store(work, run_id, chunk, started, present=sample is None)
            done += len(chunk.ids)
            total += sum(chunk.probabilities)
            work.step(done / size * 0.95, f"Scored {done:,} of {size:,} customers")
        average = total / done if done else None
        if sample is None:
            _publish(work, run_id, done, average)
        else:
            _finish_sample(work, run_id, live.id, done, average)
    except BaseException:
        # Nothing of an unfinished run may stay, whatever stopped it.
        with work.database.write() as connection:
            runs.drop_unfinished(connection, work.job.id)
        raise
    return {
        "predictions_generated": done,
        "average_probability": average,
        "timestamp": started,
        "run_id": run_id,
        "model_version": live.version,
    }


def _chunks(work: Work, schema: Schema, version: str, sample: int | None) -> Iterator[Chunk]:
    if sample is None:
        after = 0
        while rows := _read(work, schema, after, None):
            yield score_rows(work, schema, version, rows)
            after = rows[-1][0]
        return
    with work.database.read() as connection:
        everyone = customers.population_ids(connection)
    chosen = sorted(random.SystemRandom().sample(list(everyone), min(sample, len(everyone))))
    for at in range(0, len(chosen), 5_000):
        yield score_rows(work, schema, version, _read(work, schema, 0, chosen[at : at + 5_000]))


def _read(work: Work, schema: Schema, after: int, among: Sequence[int] | None) -> Sequence[Any]:
    with work.database.read() as connection:
        return customers.scoring_rows(connection, schema, after_id=after, limit=CHUNK, among=among)


def score_rows(work: Work, schema: Schema, version: str, rows: Sequence[Sequence[Any]]) -> Chunk:
    """Score rows of (id, monthly_price, feature ...) with one version."""
    ids, prices, *features = zip(*rows, strict=True)
    body = arrow.encode(arrow.predict_schema(schema), [predict_batch(schema, ids, features)])
    answer = arrow.decode(work.ml.score_columns(body, version, request_id=work.job.request_id))
    return Chunk(ids, prices, _tuples(answer))


def _tuples(answer: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(answer.column(name).to_pylist() for name in runs.SCORE_COLUMNS), strict=True))


def _store(work: Work, run_id: int, chunk: Chunk, at: str, *, present: bool) -> None:
    with work.database.write() as connection:
        first = runs.append(connection, run_id, chunk.ids, chunk.scores, at)
        if present:
            runs.append_present(connection, run_id, first, chunk.ids, chunk.probabilities, chunk.prices)


def _publish(work: Work, run_id: int, done: int, average: float | None) -> None:
    with work.database.read() as connection:
        measured = runs.measure_bins(connection, run_id)
    now = iso(work.clock())
    with work.database.write() as connection:
        runs.store_bins(connection, run_id, measured)
        runs.finish(connection, run_id, state="published", customers=done, average=average, now=now)
        runs.publish(connection, run_id, now)
    while _drop_stale(work):
        pass


def _finish_sample(work: Work, run_id: int, model_id: int, done: int, average: float | None) -> None:
    with work.database.write() as connection:
        runs.finish(connection, run_id, state="done", customers=done, average=average, now=iso(work.clock()))
        shown = runs.published(connection)
    # A sample refreshes what is shown only if the same model made it: what is shown never mixes versions.
    if shown is None or shown.model_id != model_id:
        return
    after: int | None = 0
    while after is not None:
        with work.database.write() as connection:
            after = runs.refresh_present(connection, shown.run_id, run_id, after_id=after, limit=5_000)
    refresh_roll_up(work)


def _drop_stale(work: Work) -> int:
    with work.database.write() as connection:
        return runs.drop_stale(connection, CHUNK)


def refresh_roll_up(work: Work) -> None:
    """Count the published run's present scores again, after some of them changed."""
    with work.database.read() as connection:
        shown = runs.published(connection)
        measured = runs.measure_bins(connection, shown.run_id) if shown else []
    if shown is not None:
        with work.database.write() as connection:
            runs.store_bins(connection, shown.run_id, measured)
