"""Scoring runs: everyone who is active, or a sample, through the ML service and into the ledger.

Law: one model version from the first row to the last; visible at once and whole, or not at all (law 8 of
docs/architecture.md#laws).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from database.customers import customer_base, customers, facts
from database.engine.sqlite.column_image import FIRST_ROW, image
from database.engine.sqlite.column_reader import Floats, Ints, Taken
from database.engine.sqlite.columns import Exchange, exchange_with
from database.importing import imports
from database.models import models
from database.models.models import Model
from database.scoring import ranks, runs
from gateway.services.jobs import locks
from gateway.services.jobs.batch_sizing import Pace
from gateway.services.jobs.params import ScoreParams
from gateway.services.jobs.work import Work
from gateway.services.scoring import gaps
from gateway.services.scoring.columns import predict_batch
from gateway.services.scoring.rollup import Ranking, RollUp, ahead
from shared.clock import iso
from shared.contracts import arrow
from shared.errors import Conflict, NoCustomers, NoModel
from shared.schema.features import Schema

#: Customers in one call of the ML service; few in the first one, which storing waits for.
CHUNK, FIRST_CHUNK = 20_000, 5_000
#: Features in one call: of wide tables fewer customers go in it, so that memory does not grow with the width either.
MOST_CELLS = 1_000_000
#: Customers of the first transaction; `Pace` finds how many of the next.
STORED = 5_000
NO_MODEL = "No model is live yet: train one first (POST /api/model/train, or `retainstream train`)."
UNFINISHED = (
    "An import was broken off and is half written; it is finished by its own next attempt or by the next import. "
    "Score after that."
)
NO_CUSTOMERS = "There are no customers to score yet: import a table first."


@dataclass(frozen=True)
class Columns:
    """Customers to score, in columns.

    Attributes
    ----------
    prices
        NaN where there is none.
    body
        Their features, as the ML service takes them.
    """

    ids: Ints
    prices: Floats
    body: bytes


@dataclass(frozen=True)
class Chunk:
    """Scored customers, ready to be stored; shape (customers,) each.

    Attributes
    ----------
    prices
        NaN where there is none.
    image
        All of it, and what else a score says, as `database.engine.sqlite.columns` takes it.
    """

    ids: Ints
    prices: Floats
    probabilities: Floats
    image: memoryview


def run(work: Work, params: ScoreParams) -> Mapping[str, Any]:
    """The job: score every active customer, or `sample_size` of them."""
    _drop_unfinished(work)
    with locks.standing_still(work):
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
        # A model goes on with the features it was trained on, whatever the base has been given since.
        schema = customer_base.schema_of(connection, live.schema_checksum) or found.schema
    wanted = params.sample_size
    sample = None if wanted is None or wanted >= size else _drawn(work, wanted)
    allowed = gaps.demand_features(work, schema, live, sample, allow=params.allow_missing)
    result = _score(work, schema, live, as_of, size if sample is None else len(sample), sample)
    return {**result, "allowed_missing": allowed}


def _drawn(work: Work, size: int) -> Sequence[int]:
    with work.database.read() as connection:
        everyone = customers.population_ids(connection)
    return sorted(random.SystemRandom().sample(list(everyone), min(size, len(everyone))))


def _score(
    work: Work, schema: Schema, live: Model, as_of: str, size: int, sample: Sequence[int] | None
) -> Mapping[str, Any]:
    started = iso(work.clock())
    with work.database.write() as connection:
        kind: runs.Kind = "full" if sample is None else "sample"
        run_id = runs.start(connection, kind=kind, model_id=live.id, as_of=as_of, job_id=work.job.id, now=started)
    roll_up, ranking, pace = RollUp(), Ranking() if sample is None else None, Pace(STORED, most=CHUNK)
    try:
        with exchange_with(work.database) as exchange:
            with closing(_chunks(work, exchange, schema, live.version, sample)) as chunks:
                for chunk in chunks:
                    _store(exchange, run_id, chunk, pace)
                    roll_up.add(chunk.probabilities, chunk.prices)
                    if ranking is not None:
                        ranking.add(chunk.probabilities, chunk.ids)
                    work.step(roll_up.customers / size * 0.95, f"Scored {roll_up.customers:,} of {size:,} customers")
            if ranking is not None:
                _publish(work, exchange, run_id, roll_up, ranking)
            else:
                _finish_sample(work, run_id, live.id, roll_up)
    except BaseException:
        # Nothing of an unfinished run may stay, whatever stopped it.
        _drop_unfinished(work)
        raise
    return {
        "predictions_generated": roll_up.customers,
        "average_probability": roll_up.average,
        "timestamp": started,
        "run_id": run_id,
        "model_version": live.version,
    }


def _drop_unfinished(work: Work) -> None:
    pace, gone = Pace(STORED), 1
    while gone:
        with pace.timed(work.database.write()) as connection:
            gone = runs.drop_unfinished_rows(connection, work.job.id, pace.size)
    with work.database.write() as connection:
        runs.drop_unfinished(connection, work.job.id)


def _chunks(
    work: Work, exchange: Exchange, schema: Schema, version: str, sample: Sequence[int] | None
) -> Generator[Chunk, None, None]:
    """Scored chunks. One is being scored while the caller stores the one before it and the next one is read."""
    everyone = part_by_part(exchange, schema, partial(customers.to_score, schema))
    chosen = everyone if sample is None else _sample(exchange, schema, sample)
    return ahead(lambda given: score_columns(work, version, given), chosen)


def part_by_part(exchange: Exchange, schema: Schema, query: Callable[..., Any]) -> Iterator[Columns]:
    """Customers in chunks, the first one small.

    Parameters
    ----------
    query
        Makes the query for those after an id (`after_id`), so many (`limit`).
    """
    after, limit = 0, _most(schema, FIRST_CHUNK)
    while len((part := exchange.take(query(after_id=after, limit=limit))).keys):
        yield in_columns(schema, part)
        after, limit = int(part.keys[-1]), _most(schema, CHUNK)


def _most(schema: Schema, rows: int) -> int:
    return min(rows, max(1, MOST_CELLS // len(schema.features)))


def _sample(exchange: Exchange, schema: Schema, chosen: Sequence[int]) -> Iterator[Columns]:
    step = _most(schema, FIRST_CHUNK)
    for at in range(0, len(chosen), step):
        # Customers who have left since the ids were drawn are not among the rows.
        part = exchange.take(customers.to_score(schema, after_id=0, limit=step, among=chosen[at : at + step]))
        if len(part.keys):
            yield in_columns(schema, part)


def in_columns(schema: Schema, part: Taken) -> Columns:
    """Customers as they were taken, as they are sent and stored."""
    prices, *features = part.columns
    body = arrow.encode(arrow.predict_schema(schema), [predict_batch(schema, part.keys, features)])
    return Columns(part.keys, prices, body)


def score_columns(work: Work, version: str, given: Columns) -> Chunk:
    """Score customers with one version."""
    answer = arrow.decode(work.ml.score_columns(given.body, version, request_id=work.job.request_id))
    scores = {name: _values(answer.column(name)) for name in runs.SCORE_COLUMNS}
    made = image({"customer_id": given.ids, **scores, "monthly_price": given.prices})
    return Chunk(given.ids, given.prices, scores["churn_probability"], made)


def _values(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    # A base of fewer features than reasons has points that are null, of a reason -1: they count for nothing.
    if column.null_count:
        column = pc.fill_null(column, 0)
    return column.to_numpy()


def _store(exchange: Exchange, run_id: int, chunk: Chunk, pace: Pace) -> None:
    exchange.hand_over(chunk.image)
    for rows in _by_pace(len(chunk.ids), pace):
        with pace.timed(exchange.write()) as connection:
            runs.append(connection, run_id, rows)


def _by_pace(rows: int, pace: Pace) -> Iterator[range]:
    """Row numbers of what was handed over, each time as many as one transaction may hold by now."""
    at = FIRST_ROW
    while at < FIRST_ROW + rows:
        until = min(at + pace.size, FIRST_ROW + rows)
        yield range(at, until)
        at = until


def _publish(work: Work, exchange: Exchange, run_id: int, roll_up: RollUp, ranking: Ranking) -> None:
    pace = Pace(STORED, most=CHUNK)
    with closing(ahead(_ranked, ranking.parts(CHUNK))) as parts:
        for count, columns in parts:
            exchange.hand_over(columns)
            for rows in _by_pace(count, pace):
                with pace.timed(exchange.write()) as connection:
                    ranks.rank(connection, run_id, rows)
            work.step(0.95, f"Ranked {roll_up.customers:,} customers")
    now = iso(work.clock())
    with work.database.write() as connection:
        runs.store_bins(connection, run_id, roll_up.rows())
        runs.finish(
            connection, run_id, state="published", customers=roll_up.customers, average=roll_up.average, now=now
        )
        runs.publish(connection, run_id, now)
    pace, gone = Pace(STORED), 1
    while gone:
        with pace.timed(work.database.write()) as connection:
            gone = ranks.drop_stale(connection, pace.size)


def _ranked(part: tuple[Floats, Ints]) -> tuple[int, memoryview]:
    probabilities, ids = part
    return len(ids), image({"churn_probability": probabilities, "customer_id": ids})


def _finish_sample(work: Work, run_id: int, model_id: int, roll_up: RollUp) -> None:
    done, average, now = roll_up.customers, roll_up.average, iso(work.clock())
    with work.database.write() as connection:
        runs.finish(connection, run_id, state="done", customers=done, average=average, now=now)
        shown = runs.published(connection)
    # A sample refreshes what is shown only if the same model made it: what is shown never mixes versions.
    if shown is None or shown.model_id != model_id:
        return
    pace = Pace(STORED)
    after: int | None = 0
    while after is not None:
        with pace.timed(work.database.write()) as connection:
            after = ranks.refresh(connection, shown.run_id, run_id, after_id=after, limit=pace.size)
    refresh_roll_up(work)


def refresh_roll_up(work: Work) -> None:
    """Count the published run's present scores again, after some of them changed."""
    with work.database.read() as connection:
        shown = runs.published(connection)
        measured = runs.measure_bins(connection, shown.run_id) if shown else []
    if shown is not None:
        with work.database.write() as connection:
            runs.store_bins(connection, shown.run_id, measured)
