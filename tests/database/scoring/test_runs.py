"""Scoring runs: seen at once and whole or not at all; counted in bins that agree with a plain count."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError

from database.customers import customers
from database.engine.session import Database
from database.importing import apply_import
from database.jobs import jobs
from database.scoring import ranks, runs, score_figures
from database.scoring.run_writer import drop_unfinished, open_run
from database.tables import tables
from shared.clock import utc_now
from shared.errors import Conflict
from tests.database import ledger
from tests.database.facts import NOW, Facts, full_run
from tests.database.ledger import a_score, scores_of

Make = Callable[..., Facts]
EDGES = (0.0, 0.0005, 0.001, 0.05, 0.051, 0.6, 0.601, 0.7, 0.701, 0.8, 0.801, 0.999, 1.0)


def count(database: Database, table: Any, *where: Any) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def shown(here: Facts) -> list[tuple[str, float]]:
    with here.database.read() as connection:
        rows = customers.ranked(connection, here.schema, limit=1000)
    return [(row["user_id"], row["churn_probability"]) for row in rows]


def test_nothing_of_a_run_is_seen_before_it_is_published_and_then_all_of_it(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(4), here.model()
    run_id = full_run(here.database, model, dict.fromkeys(ids, 0.4), publish=False)
    with here.database.read() as connection:
        assert runs.published(connection) is None
        assert customers.one(connection, here.schema, "u0000")["churn_probability"] is None  # type: ignore[index]
        assert score_figures.recent_predictions(connection, limit=100, since="") == ([], 0)
    assert shown(here) == []
    with here.database.write() as connection:
        runs.store_bins(connection, run_id, runs.measure_bins(connection, run_id))
        runs.finish(connection, run_id, state="published", customers=4, average=0.4, now=NOW)
        runs.publish(connection, run_id, NOW)
    assert shown(here) == [(f"u000{k}", 0.4) for k in range(4)]


def test_publishing_switches_every_score_at_once_and_an_unfinished_next_run_changes_none(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()
    first = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    second = full_run(here.database, model, dict.fromkeys(ids, 0.9), publish=False)
    assert {p for _, p in shown(here)} == {0.2}
    with here.database.write() as connection:
        runs.finish(connection, second, state="published", customers=3, average=0.9, now=NOW)
        runs.publish(connection, second, NOW)
    assert {p for _, p in shown(here)} == {0.9}
    with here.database.read() as connection:
        found = runs.published(connection)
    assert found is not None
    assert (found.run_id, found.model_version, found.customers) == (second, "1.0.0", 3)
    assert first != second


def test_a_reader_that_began_before_the_switch_goes_on_seeing_the_old_scores(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(2), here.model()
    full_run(here.database, model, dict.fromkeys(ids, 0.2))
    with here.database.read() as reader:
        assert runs.published(reader).average_probability == 0.2  # type: ignore[union-attr]
        full_run(here.database, model, dict.fromkeys(ids, 0.9))
        assert runs.published(reader).average_probability == 0.2  # type: ignore[union-attr]


def test_stale_present_scores_go_in_chunks_and_the_shown_and_the_running_ones_stay(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(25), here.model()
    # Some alike: a chunk ends among them as well as between two.
    old = full_run(here.database, model, {each: each % 3 / 10 for each in ids})
    new = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    running = full_run(here.database, model, dict.fromkeys(ids[:5], 0.3), publish=False)
    dropped = []
    while True:
        with here.database.write() as connection:
            gone = ranks.drop_stale(connection, 10)
        if not gone:
            break
        dropped.append(gone)
    assert dropped == [10, 10, 5]
    left = {run: count(here.database, tables.present_ranks, tables.present_ranks.c.run_id == run)
            for run in (old, new, running)}  # fmt: skip
    assert left == {old: 0, new: 25, running: 5}
    assert count(here.database, tables.ledger) == 55  # the ledger keeps every row


def numbers(here: Facts) -> dict[int, list[int]]:
    """The predictions' own numbers, by run."""
    p = tables.predictions
    with here.database.read() as connection:
        found = connection.execute(select(p.c.run_id, p.c.id).order_by(p.c.id)).all()
    return {run: [row.id for row in found if row.run_id == run] for run in {row.run_id for row in found}}


@pytest.mark.parametrize("customers", [3, 12])
def test_what_a_broken_attempt_left_is_removed_and_nothing_else(facts_of: Make, customers: int) -> None:
    here = facts_of()
    ids, model = here.people(customers), here.model()
    whole = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    with here.database.write() as connection:
        job = jobs.create(connection, kind="score", params={}, now=NOW)
        broken = runs.start(connection, kind="full", model_id=model, as_of="2026-06-30", job_id=job, now=NOW)
        ledger.append(connection, broken, ids, [a_score(0.5)] * customers, ranked=True)
    for _ in range(2):
        drop_unfinished(here.database, job)
        assert count(here.database, tables.ledger) == count(here.database, tables.present_ranks) == customers
    assert {p for _, p in shown(here)} == {0.2}
    with here.database.read() as connection:
        assert runs.published(connection).run_id == whole  # type: ignore[union-attr]


@pytest.mark.parametrize(("state", "left"), [("queued", 3), ("running", 3), ("cancelled", 0), ("failed", 0)])
def test_what_a_job_left_that_ended_without_its_worker_is_removed_by_the_next(
    facts_of: Make, state: str, left: int
) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()
    with here.database.write() as connection:
        other, mine = (jobs.create(connection, kind="score", params={}, now=NOW) for _ in range(2))
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == other).values(state=state))
        broken = runs.start(connection, kind="full", model_id=model, as_of="2026-06-30", job_id=other, now=NOW)
        ledger.append(connection, broken, ids, [a_score(0.5)] * 3, ranked=True)
    drop_unfinished(here.database, mine)
    assert count(here.database, tables.ledger) == left


def test_the_rows_of_a_run_go_in_chunks(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(12), here.model()
    with here.database.write() as connection:
        broken = runs.start(connection, kind="full", model_id=model, as_of="2026-06-30", job_id=None, now=NOW)
        ledger.append(connection, broken, ids, [a_score(0.5)] * 12, ranked=True)
    gone = []
    while not gone or gone[-1]:
        with here.database.write() as connection:
            gone.append(runs.drop_rows(connection, broken, 5))
    assert gone == [5, 5, 2] * 2 + [0]


def test_every_prediction_has_a_number_of_its_own_higher_from_run_to_run(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()
    first = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    assert numbers(here) == {first: [1, 2, 3]}
    ids += [here.customer(f"late{k}") for k in range(2)]
    second = full_run(here.database, model, dict.fromkeys(ids[1:], 0.2))
    sample = full_run(here.database, model, dict.fromkeys(ids[:1], 0.2), kind="sample")
    assert numbers(here) == {first: [1, 2, 3], second: [5, 6, 7, 8], sample: [9]}


def test_a_run_that_is_not_finished_has_no_predictions_to_show(facts_of: Make) -> None:
    here = facts_of()
    full_run(here.database, here.model(), dict.fromkeys(here.people(3), 0.2), publish=False)
    assert count(here.database, tables.ledger) == 3
    assert numbers(here) == {}


def _append_to_a_sample(here: Facts, model: int, *parts: dict[int, float], is_dropped: bool = False) -> None:
    with open_run(here.database, utc_now, kind="sample", model_id=model, as_of="2026-06-30", job_id=None) as run:
        if is_dropped:
            with here.database.write() as connection:
                runs.drop(connection, run.run_id)
        for part in parts:
            run.append(scores_of(part))


def test_a_score_of_nobody_ends_the_run_and_leaves_nothing_of_it(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(2), here.model()
    full_run(here.database, model, dict.fromkeys(ids, 0.2))
    with pytest.raises(Conflict, match="score again"):
        _append_to_a_sample(here, model, {ids[0]: 0.5}, {ids[1]: 0.5, 99: 0.5})
    assert count(here.database, tables.ledger) == 2
    assert count(here.database, tables.scoring_runs) == 1


def test_a_score_of_a_run_that_is_gone_is_refused(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(1), here.model()
    with pytest.raises(Conflict, match="score again"):
        _append_to_a_sample(here, model, {ids[0]: 0.5}, is_dropped=True)
    assert count(here.database, tables.ledger) == 0


def test_a_run_that_is_neither_published_nor_finished_leaves_nothing(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()
    with open_run(here.database, utc_now, kind="full", model_id=model, as_of="2026-06-30", job_id=None) as run:
        run.append(scores_of(dict.fromkeys(ids, 0.5)))
    assert [count(here.database, each) for each in (tables.ledger, tables.present_ranks, tables.scoring_runs)] == [
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("kind", ["full", "past"])
def test_a_failure_after_a_run_has_ended_leaves_it_whole(facts_of: Make, kind: runs.Kind) -> None:
    here = facts_of()
    ids, model = here.people(3), here.model()

    def end_and_fail() -> None:
        with open_run(here.database, utc_now, kind=kind, model_id=model, as_of="2026-06-30", job_id=None) as run:
            run.append(scores_of(dict.fromkeys(ids, 0.5)))
            run.rank()
            run.publish() if kind == "full" else run.finish()
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        end_and_fail()
    assert count(here.database, tables.ledger) == 3
    assert count(here.database, tables.present_ranks) == (3 if kind == "full" else 0)
    with here.database.read() as connection:
        assert (runs.published(connection) is not None) == (kind == "full")


def test_a_published_run_is_shown_ranked_and_counted_whole(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(5), here.model()
    wanted = dict(zip(ids, (0.3, 0.9, 0.1, 0.9, 0.5), strict=True))
    with open_run(here.database, utc_now, kind="full", model_id=model, as_of="2026-06-30", job_id=None) as run:
        run.append(scores_of({each: wanted[each] for each in ids[:2]}))
        run.append(scores_of({each: wanted[each] for each in ids[2:]}, {ids[2]: 9.0}))
        run.rank()
        run.publish()
    with here.database.read() as connection:
        current = runs.published(connection)
        ranked = connection.execute(select(tables.present_ranks.c.customer_id)).scalars().all()
        stored = sorted(tuple(row)[1:] for row in score_figures.bins(connection, run.run_id))
        measured = sorted(runs.measure_bins(connection, run.run_id))
    assert current is not None and (current.run_id, current.customers) == (run.run_id, 5)
    assert current.average_probability == pytest.approx(0.54)
    assert list(ranked) == sorted(ids, key=lambda each: (-wanted[each], each))
    assert len(stored) == 4
    for row, other in zip(stored, measured, strict=True):
        assert row == pytest.approx(other)


def test_a_customer_and_a_run_stay_as_long_as_there_are_scores_of_them(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(2), here.model()
    run_id = full_run(here.database, model, dict.fromkeys(ids[:1], 0.2), kind="past")
    for table, key in ((tables.customers, ids[0]), (tables.scoring_runs, run_id)):
        with pytest.raises(IntegrityError, match="has scores"), here.database.write() as connection:
            connection.execute(delete(table).where(table.c.id == key))
    with here.database.write() as connection:
        connection.execute(delete(tables.customers).where(tables.customers.c.id == ids[1]))


def test_runs_that_write_by_turns_know_their_own_rows(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(4), here.model()
    with here.database.write() as connection:
        one, other, empty = (
            runs.start(connection, kind="past", model_id=model, as_of="2026-06-30", job_id=None, now=NOW)
            for _ in range(3)
        )
        for at in (0, 2):
            for run_id in (one, other):
                ledger.append(connection, run_id, ids[at : at + 2], [a_score(0.5)] * 2)
        theirs = [list(runs.without_outcome(connection, run)) for run in (one, other, empty)]
    assert theirs == [ids, ids, []]


# --- bins -----------------------------------------------------------------------------------------------------------


def brute(scores: list[float], prices: list[float | None]) -> dict[int, tuple[int, float, float, int]]:
    """Bin (k-1, k] thousandths, counted one by one."""
    found: dict[int, tuple[int, float, float, int]] = {}
    for p, price in zip(scores, prices, strict=True):
        at = math.ceil(p * 1000)
        n, total, risk, unpriced = found.get(at, (0, 0.0, 0.0, 0))
        found[at] = (n + 1, total + p, risk + p * (price or 0), unpriced + (price is None))
    return found


def measured(here: Facts, run_id: int, *, shown: bool = True) -> dict[int, Any]:
    with here.database.read() as connection:
        return {row[0]: pytest.approx(tuple(row[1:])) for row in runs.measure_bins(connection, run_id, shown=shown)}


def test_bins_agree_with_a_plain_count_at_the_edges_and_between(facts_of: Make) -> None:
    here = facts_of()
    rng = random.Random(1)
    scores = [*EDGES, *(rng.random() for _ in range(300)), *(k / 1000 for k in range(0, 1001, 7))]
    prices = [rng.choice((None, 7.99, 15.49)) for _ in scores]
    ids, model = here.people(len(scores)), here.model()
    run_id = full_run(
        here.database, model, dict(zip(ids, scores, strict=True)), prices=dict(zip(ids, prices, strict=True))
    )
    assert brute(scores, prices) == measured(here, run_id)


def test_bins_of_a_past_run_are_counted_from_the_ledger(facts_of: Make) -> None:
    here = facts_of()
    ids = [here.customer(f"u{k}", price=price) for k, price in enumerate((None, 10.0, 20.0))]
    scores = dict(zip(ids, (0.0, 0.05, 1.0), strict=True))
    prices = dict(zip(ids, (None, 10.0, 20.0), strict=True))
    run_id = full_run(here.database, here.model(), scores, prices=prices, kind="past")
    assert brute([0.0, 0.05, 1.0], [None, 10.0, 20.0]) == measured(here, run_id, shown=False)


@pytest.mark.parametrize("cut", [0.0, 0.05, 0.5, 0.6, 0.7, 0.8, 0.999, 1.0])
def test_the_tail_above_a_cut_is_a_plain_count(facts_of: Make, cut: float) -> None:
    here = facts_of()
    rng = random.Random(2)
    scores = [*EDGES, *(round(rng.random(), 3) for _ in range(200)), *(rng.random() for _ in range(100))]
    ids, model = here.people(len(scores)), here.model()
    run_id = full_run(here.database, model, dict(zip(ids, scores, strict=True)), prices=dict.fromkeys(ids, 2.0))
    with here.database.read() as connection:
        tail = score_figures.tail(connection, run_id, cut)
    above = [p for p in scores if p > cut]
    assert (tail.customers, tail.all_customers) == (len(above), len(scores))
    assert tail.probability_sum == pytest.approx(sum(above))
    assert tail.expected == pytest.approx(sum(scores))
    assert tail.revenue_at_risk == pytest.approx(2.0 * sum(scores))


def test_revenue_at_risk_is_unknown_where_one_price_is(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(2), here.model()
    run_id = full_run(here.database, model, dict.fromkeys(ids, 0.5), prices={ids[0]: 9.0, ids[1]: None})
    with here.database.read() as connection:
        assert score_figures.tail(connection, run_id, 0.7).revenue_at_risk is None


def test_a_run_of_nobody_has_no_revenue_and_counts_nothing(facts_of: Make) -> None:
    here = facts_of()
    run_id = full_run(here.database, here.model(), {}, publish=False)
    with here.database.read() as connection:
        tail = score_figures.tail(connection, run_id, 0.7)
    assert (tail.customers, tail.all_customers, tail.revenue_at_risk) == (0, 0, None)


# --- samples, leavers, the ledger -----------------------------------------------------------------------------------


def test_a_sample_refreshes_its_customers_shown_scores_and_the_roll_up_follows(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(6), here.model()
    full = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    sample = full_run(here.database, model, {ids[1]: 0.9, ids[4]: 0.7}, kind="sample")
    after: int | None = 0
    turns = 0
    while after is not None:
        with here.database.write() as connection:
            after = ranks.refresh(connection, full, sample, after_id=after, limit=1)
        turns += 1
    assert turns == 3
    with here.database.write() as connection:
        runs.store_bins(connection, full, runs.measure_bins(connection, full))
    assert dict(shown(here)) == {"u0001": 0.9, "u0004": 0.7, **dict.fromkeys(("u0000", "u0002", "u0003", "u0005"), 0.2)}
    with here.database.read() as connection:
        assert score_figures.tail(connection, full, 0.7).customers == 1
        assert score_figures.tail(connection, full, 0.7).all_customers == 6


def test_a_sample_brings_back_nobody_who_has_left_since(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(2), here.model()
    full = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    sample = full_run(here.database, model, dict.fromkeys(ids, 0.9), kind="sample")
    with here.database.write() as connection:
        connection.execute(update(tables.customers).where(tables.customers.c.id == ids[0]).values(churn=1))
        apply_import.hide_gone(connection, full, 0, 10**9)
        assert ranks.refresh(connection, full, sample, after_id=0, limit=10) == ids[1]
    assert shown(here) == [("u0001", 0.9)]


def test_leavers_and_those_known_to_end_go_out_of_the_present_scores(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(4), here.model()
    full = full_run(here.database, model, dict.fromkeys(ids, 0.2))
    with here.database.write() as connection:
        connection.execute(update(tables.customers).where(tables.customers.c.id == ids[0]).values(churn=1))
        connection.execute(update(tables.customers).where(tables.customers.c.id == ids[1]).values(ends_on="2026-07-09"))
        apply_import.hide_gone(connection, full, 0, 10**9)
        assert customers.population(connection) == 2
    assert [name for name, _ in shown(here)] == ["u0002", "u0003"]


def test_ranks_and_scores_say_the_same_after_every_move(facts_of: Make) -> None:
    here, rng = facts_of(), random.Random(1)
    ids, model = here.people(30), here.model()
    full, c = 0, tables.customers
    for move in ("rescore", *rng.choices(("sample", "leave", "rescore", "drop"), k=80)):
        if move == "rescore":
            full = full_run(here.database, model, {i: rng.choice((0.25, rng.random())) for i in ids})
        sample = full_run(here.database, model, {i: rng.random() for i in sorted(rng.sample(ids, 4))}, kind="sample")
        with here.database.write() as connection:
            if move == "sample":
                ranks.refresh(connection, full, sample, after_id=0, limit=10)
            if move == "leave":
                connection.execute(update(c).where(c.c.id == rng.choice(ids)).values(churn=1))
            apply_import.hide_gone(connection, full, 0, 10**9)
            ranks.drop_stale(connection, 7 if move == "drop" else 0)
        by_customer, by_rank = shown_by_customer(here, full), ranked(here, full)
        assert sorted(by_customer) == sorted(by_rank)
        assert by_rank == sorted(by_rank, key=lambda row: (-row[0], row[1]))
        assert 1 < len(by_rank) <= 30


def ranked(here: Facts, run_id: int) -> list[tuple[Any, ...]]:
    r = tables.present_ranks
    with here.database.read() as connection:
        query = select(r.c.churn_probability, r.c.customer_id).where(r.c.run_id == run_id)
        return [tuple(row) for row in connection.execute(query)]


def shown_by_customer(here: Facts, run_id: int) -> list[tuple[Any, ...]]:
    c, p = tables.customers, tables.ledger
    query = select(p.c.churn_probability, c.c.id).select_from(tables.with_scores(c, c.c.id, run_id))
    with here.database.read() as connection:
        return [tuple(row) for row in connection.execute(query.where(p.c.run_id.is_not(None)))]


def test_no_query_changes_or_drops_a_row_of_the_ledger_of_a_finished_run(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(5), here.model()
    first = full_run(here.database, model, dict.fromkeys(ids, 0.2))

    def rows() -> list[Any]:
        with here.database.read() as connection:
            p = tables.ledger
            return [tuple(row) for row in connection.execute(select(p).where(p.c.run_id == first))]

    before = rows()
    sample = full_run(here.database, model, dict.fromkeys(ids[:2], 0.9), kind="sample")
    second = full_run(here.database, model, dict.fromkeys(ids, 0.4))
    with here.database.write() as connection:
        ranks.refresh(connection, second, sample, after_id=0, limit=10)
        apply_import.hide_gone(connection, second, 0, 10**9)
        while ranks.drop_stale(connection, 2):
            pass
    drop_unfinished(here.database, 1)
    assert rows() == before
    assert len(before) == 5


# --- outcomes -------------------------------------------------------------------------------------------------------


def test_runs_wait_for_outcomes_and_the_newest_of_a_prediction_counts(facts_of: Make) -> None:
    here = facts_of()
    ids, model = here.people(2), here.model()
    old = full_run(here.database, model, dict.fromkeys(ids, 0.2), as_of="2026-01-01", kind="past")
    new = full_run(here.database, model, dict.fromkeys(ids, 0.2), as_of="2026-06-01")
    full_run(here.database, model, dict.fromkeys(ids, 0.2), as_of="2026-01-01", publish=False)
    with here.database.write() as connection:
        assert [tuple(row) for row in runs.dates_scored(connection)] == [(old, "2026-01-01"), (new, "2026-06-01")]
        assert runs.some_without_outcome(connection, old)
        runs.add_outcomes(connection, old, [(key, 1) for key in runs.without_outcome(connection, old)], NOW)
        assert not runs.some_without_outcome(connection, old)
        runs.add_outcomes(connection, old, [(ids[0], 0)], NOW)
        assert runs.outcomes(connection, old, ids) == {ids[0]: 0, ids[1]: 1}
        assert sorted(connection.execute(runs.leavers_told(old)).scalars()) == ids
