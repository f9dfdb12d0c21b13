"""Writes a scoring run: rows in short transactions, then one that publishes it.

Law: a run becomes visible completely or not at all; no transaction holds the write lock for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.bulk_read import Floats, Ints
from database.engine.session import Database
from database.engine.sqlite.columns import ColumnInserter, column_inserter
from database.scoring import ranks, runs
from database.scoring.roll_up import Ranking, RollUp
from database.tables import tables
from shared.clock import Clock, iso

#: Records events in the transaction that it is given.
Announce = Callable[[Connection], None]
#: Numbers of days in two bytes, because every score has one.
Days = npt.NDArray[np.int16]
#: Rows of the first transaction, and of the largest that `AdaptiveBatchSize` may choose.
FIRST_BATCH, LARGEST_BATCH = 5_000, 20_000


@dataclass(frozen=True)
class Scores:
    """Scores of customers in ascending order of their ids; shape (customers,) each.

    Attributes
    ----------
    monthly_prices
        NaN if there is none.
    facts_ages
        Days by which the facts are older than the run's date.
    columns
        By the names of `runs.SCORE_COLUMNS`.
    """

    customer_ids: Ints
    monthly_prices: Floats
    facts_ages: Days
    columns: Mapping[str, npt.NDArray[Any]]


class RunWriter:
    """A scoring run in progress; made by `open_run`.

    Attributes
    ----------
    run_id
        Its id.
    started_at
        Timestamp of its start.
    older_facts
        Number of customers left out because their facts are too old, to be recorded with the run.
    """

    def __init__(self, database: Database, inserter: ColumnInserter, run: _Run, clock: Clock) -> None:
        self.run_id, self.started_at = run.run_id, run.started_at
        self._database, self._inserter, self._run, self._clock = database, inserter, run, clock
        self._pace = AdaptiveBatchSize(FIRST_BATCH, most=LARGEST_BATCH)
        self._roll_up, self._ranking = RollUp(), Ranking()
        self.is_finished, self.older_facts = False, 0

    @property
    def customers(self) -> int:
        """Customers scored so far."""
        return self._roll_up.customers

    @property
    def average_probability(self) -> float | None:
        """Mean churn probability so far; None before the first customer."""
        return self._roll_up.average

    def append(self, scores: Scores) -> None:
        """Append scores; they are not shown yet.

        Raises
        ------
        Conflict
            A customer, or the run, no longer exists.
        """
        ids, probabilities = scores.customer_ids, scores.columns["churn_probability"]

        def check(connection: Connection, part: slice) -> None:
            first, last = int(ids[part][0]), int(ids[part][-1])
            runs.require_customers(connection, self.run_id, first_id=first, last_id=last, count=len(ids[part]))

        columns = {"customer_id": ids, **scores.columns, "monthly_price": scores.monthly_prices}
        columns["facts_age"] = scores.facts_ages
        self._inserter.insert(tables.ledger, columns, run_id=self.run_id, pace=self._pace, check=check)
        self._roll_up.add(probabilities, scores.monthly_prices)
        if self._run.kind == "full":
            self._ranking.add(probabilities, ids)

    def rank(self, progress: Callable[[], None] = lambda: None) -> None:
        """Rank the customers of a whole run.

        Parameters
        ----------
        progress
            Called after each part of the ranking; an exception ends the run.
        """
        for probabilities, ids in self._ranking.parts(LARGEST_BATCH):
            columns = {"churn_probability": probabilities, "customer_id": ids}
            self._inserter.insert(tables.present_ranks, columns, run_id=self.run_id, pace=self._pace)
            progress()

    def publish(self, announce: Announce = lambda connection: None) -> None:
        """Make this ranked run the one whose scores are shown; delete the ranks of older runs.

        Parameters
        ----------
        announce
            Records events in the transaction that publishes the run.
        """
        with self._database.write() as connection:
            self._close(connection, "published")
            runs.publish(connection, self.run_id, iso(self._clock()))
            announce(connection)
        self.is_finished = True
        _repeat(self._database, ranks.drop_stale)

    def finish(self, announce: Announce = lambda connection: None) -> None:
        """End the run without publishing it; a sample updates the displayed scores if the same model made them."""
        with self._database.write() as connection:
            self._close(connection, "done")
            announce(connection)
            shown = runs.published(connection)
        self.is_finished = True
        # Scores of two models are never shown together.
        if self._run.kind == "sample" and shown is not None and shown.model_id == self._run.model_id:
            self._refresh(shown.run_id)
            refresh_roll_up(self._database)

    def _close(self, connection: Connection, state: runs.Ending) -> None:
        now = iso(self._clock())
        runs.store_bins(connection, self.run_id, self._roll_up.rows())
        runs.finish(
            connection, self.run_id, state=state, customers=self.customers, average=self.average_probability,
            older_facts=self.older_facts, now=now,
        )  # fmt: skip

    def _refresh(self, shown_run_id: int) -> None:
        pace = AdaptiveBatchSize(FIRST_BATCH)
        after: int | None = 0
        while after is not None:
            with pace.timed(self._database.write()) as connection:
                after = ranks.refresh(connection, shown_run_id, self.run_id, after_id=after, limit=pace.size)


@dataclass(frozen=True)
class _Run:
    run_id: int
    kind: runs.Kind
    model_id: int
    started_at: str


@contextmanager
def open_run(
    database: Database,
    clock: Clock,
    *,
    kind: runs.Kind,
    model_id: int,
    as_of: str,
    facts_from: str | None = None,
    job_id: int | None,
) -> Iterator[RunWriter]:
    """Begin a scoring run, which is deleted when the block ends without `publish` or `finish`.

    Parameters
    ----------
    kind
        "full" runs are ranked and can be published; "sample" and "past" runs are finished.
    as_of
        Date of the run: that of the newest facts.
    facts_from
        Date of the oldest facts that are scored; that of the run if absent.
    job_id
        The job that runs it.
    """
    started_at = iso(clock())
    dates = {"as_of": as_of, "facts_from": facts_from or as_of}
    with database.write() as connection:
        run_id = runs.start(connection, kind=kind, model_id=model_id, **dates, job_id=job_id, now=started_at)
    writer: RunWriter | None = None
    try:
        with column_inserter(database.engine) as inserter:
            writer = RunWriter(database, inserter, _Run(run_id, kind, model_id, started_at), clock)
            yield writer
    finally:
        # A failure after publishing keeps the run, whose scores are shown.
        if writer is None or not writer.is_finished:
            _drop(database, [run_id])


def drop_unfinished(database: Database, job_id: int) -> None:
    """Delete the runs that an attempt of a job left unfinished, and those of jobs that ended without their worker."""
    with database.read() as connection:
        unfinished = runs.unfinished(connection, job_id)
    _drop(database, unfinished)


def _drop(database: Database, run_ids: Iterable[int]) -> None:
    for run_id in run_ids:
        _repeat(database, partial(runs.drop_rows, run_id=run_id))
        with database.write() as connection:
            runs.drop(connection, run_id)


def _repeat(database: Database, drop: Callable[..., int]) -> None:
    """Call `drop` in short transactions until it deletes nothing."""
    pace, gone = AdaptiveBatchSize(FIRST_BATCH), 1
    while gone:
        with pace.timed(database.write()) as connection:
            gone = drop(connection, limit=pace.size)


def refresh_roll_up(database: Database) -> None:
    """Recount the published run's present scores after some of them changed."""
    with database.read() as connection:
        shown = runs.published(connection)
        measured = runs.measure_bins(connection, shown.run_id) if shown else []
    if shown is not None:
        with database.write() as connection:
            runs.store_bins(connection, shown.run_id, measured)
