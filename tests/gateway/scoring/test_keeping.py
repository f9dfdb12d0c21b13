"""Figures that are kept are those that a pass over all customers gives, and only in the state they were measured in."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from sqlalchemy import select, update

from database.customers import customer_base, listing
from database.customers.filters import Filters
from database.customers.listing import Position, Sort
from database.engine import interruption, kept_figures, once
from database.engine.bulk_insert import insert_rows
from database.engine.session import Database
from database.importing import apply_import, chunks, erase_customer
from database.jobs import retention
from database.scoring import movers, ranks
from database.scoring.movers import Place, Question
from database.segments import group_totals, movement
from database.tables import tables
from gateway.services.scoring import keeping
from shared.lifetime import payment_weights
from shared.schema.features import schema_from_dict
from tests.database.conftest import database as database  # a fixture
from tests.database.facts import Facts, full_run
from tests.prefork import ROOT
from tests.stack import wait_until

SCHEMA = schema_from_dict(
    {
        "features": {
            "last_login_days": {"kind": "number", "missing": True},
            "tenure_months": {"kind": "number", "whole": True, "unit": "months", "missing": True},
            "plan": {"kind": "category", "missing": True},
            "country": {"kind": "category", "missing": True},
            "channel": {"kind": "category", "missing": True},
        }
    }
)
CUT = 0.7
EVERYBODY = Filters(is_scored=True)
#: The runs of `here`.
BEFORE, SHOWN = 1, 2
k = tables.kept_figures


@pytest.fixture
def here(database: Database) -> Facts:
    """Customers with every kind of gap, scored twice a month apart."""
    base, rng = Facts(database, SCHEMA), random.Random(11)
    ids, model = base.people(90), base.model()
    c = customer_base.customers_table(SCHEMA)
    with database.write() as connection:
        for each in ids:
            values = {
                "plan": rng.choice(("A", "B", None)), "currency": rng.choice(("USD", "EUR", None)),
                "monthly_price": rng.choice((7.0, 12.5, None)), "tenure_months": rng.choice((0, 5, 40, None)),
                "last_login_days": rng.choice((0, 1, 7, None)), "country": rng.choice(("x", "y")), "channel": rng.choice("pqr"),
            }  # fmt: skip
            connection.execute(update(c).where(c.c.id == each).values({k: v for k, v in values.items() if k in c.c}))
    prices = {each: rng.choice((7.0, 12.5)) for each in ids}
    for day in ("2026-05-30", "2026-06-30"):
        full_run(database, model, {each: rng.random() for each in ids[10:]}, prices=prices, as_of=day)
    return base


def figures(database: Database) -> dict[str, Any]:
    """Everything that can be kept, as readers ask for it."""
    weights = payment_weights([0.04, 0.03], 0.01, 1)
    with database.read() as connection:
        pair = movers.compared(connection, since=None, until=None)
        assert pair is not None
        found: dict[str, Any] = {"reason": movement.unsummable(connection)}
        for direction in get_args(movers.Direction):
            asked = Question(*pair, direction, CUT)
            first = movers.movers(connection, SCHEMA, asked, limit=20)
            place = Place(first[-1]["place_value"], first[-1]["id"]) if first else None
            found[direction] = first + movers.movers(connection, SCHEMA, asked, limit=20, after=place)
        for sort in (Sort(key, falls) for key in listing.UNINDEXED for falls in (True, False)):
            first = listing.page(connection, SCHEMA, EVERYBODY, sort, limit=20)
            after = Position(first[-1]["sort_value"], first[-1]["id"])
            found[f"{sort}"] = first + listing.page(connection, SCHEMA, EVERYBODY, sort, limit=20, after=after)
        found["value"] = group_totals.by_plan(connection, pair[0].run_id, weights)
        for name in group_totals.names(SCHEMA):
            found[f"by {name}"] = group_totals.by(connection, SCHEMA, name, Filters(), weights)
    return found


def test_kept_figures_are_those_of_a_pass_over_everybody_to_the_last_digit(
    here: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (listing, movers):
        monkeypatch.setattr(module, "KEPT", 30)
    by_pass = figures(here.database)
    assert keeping.renew(here.database, CUT)
    kept = figures(here.database)
    assert kept == by_pass
    with here.database.write() as connection:
        for name, text in connection.execute(select(k.c.name, k.c.value_json)).all():
            told = json.loads(text)
            other = told[1:] if isinstance(told, list) and len(told) > 1 else ["another"]
            connection.execute(update(k).where(k.c.name == name).values(value_json=json.dumps(other)))
    seen = figures(here.database)
    assert [name for name in kept if seen[name] == kept[name]] == [], "these do not read what is kept"


def test_they_are_measured_once_in_each_state(here: Facts) -> None:
    assert [keeping.renew(here.database, CUT) for _ in range(2)] == [True, False]


def test_an_empty_database_has_nothing_to_keep(database: Database) -> None:
    assert [keeping.renew(database, CUT) for _ in range(2)] == [True, False]


def _sample(here: Facts, ids: list[int]) -> None:
    sample = full_run(here.database, 1, {ids[20]: 0.99}, kind="sample")
    with here.database.write() as connection:
        ranks.refresh(connection, SHOWN, sample, after_id=0, limit=10)


def _left(here: Facts, ids: list[int]) -> None:
    with here.database.write() as connection:
        connection.execute(update(tables.customers).where(tables.customers.c.id == ids[20]).values(churn=1))
        apply_import.hide_gone(connection, SHOWN, 0, 10**9)


def _imported(here: Facts, ids: list[int]) -> None:
    def change(connection: Any, after: int, until: int) -> None:
        connection.execute(update(tables.customers).values(monthly_price=99.0))

    list(chunks.change_by_customers(here.database, chunks.AdaptiveBatchSize(), change))


def _scored(here: Facts, ids: list[int]) -> None:
    full_run(here.database, 1, dict.fromkeys(ids, 0.5), prices=dict.fromkeys(ids, 9.0))


def _dropped(here: Facts, ids: list[int]) -> None:
    with here.database.write() as connection:
        retention.drop_ledger(connection, BEFORE, 40)


@pytest.mark.parametrize("change", [_sample, _left, _imported, _scored, _dropped])
def test_what_changes_the_present_state_is_seen_at_once(
    here: Facts, change: Callable[[Facts, list[int]], None]
) -> None:
    keeping.renew(here.database, CUT)
    before = figures(here.database)
    with here.database.read() as connection:
        ids = list(connection.execute(select(tables.customers.c.id).order_by(tables.customers.c.id)).scalars())
    change(here, ids)
    after = figures(here.database)
    assert after != before
    with here.database.read() as connection:
        assert kept_figures.version_to_measure(connection) is not None
    assert keeping.renew(here.database, CUT)
    assert figures(here.database) == after


def test_a_costly_figure_stands_for_a_minute_while_rows_change_and_an_erased_customer_is_in_none(
    here: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(once, "COSTLY_S", 0.0)

    def by_plan() -> int:
        with here.database.read() as connection:
            found = group_totals.by(connection, SCHEMA, "plan", Filters(), payment_weights([0.04], 0.01, 1))
            return sum(each.members for each in found)

    def drop(number: int) -> None:
        with here.database.write() as connection:
            connection.execute(update(tables.customers).where(tables.customers.c.id <= number).values(churn=1))
            kept_figures.changed(connection)

    assert by_plan() == 90
    drop(5)
    assert by_plan() == 90
    now_s = time.monotonic() + 61
    monkeypatch.setattr(once, "time", SimpleNamespace(monotonic=lambda: now_s, thread_time=time.thread_time))
    assert by_plan() == 85
    drop(6)
    assert by_plan() == 85
    with here.database.write() as connection:
        erase_customer.erase(connection, 10, ["2026-05-30", "2026-06-30"])
    assert by_plan() == 83


def test_figures_of_an_earlier_state_are_neither_stored_nor_shown(here: Facts) -> None:
    keeping.renew(here.database, CUT)
    with here.database.write() as connection:
        kept_figures.changed(connection)
        version = kept_figures.version_to_measure(connection)
        assert version is not None
        assert not kept_figures.store(connection, version - 1, {"a figure": 1})
        assert kept_figures.get(connection, "a figure") is None
        assert kept_figures.get(connection, movement.UNSUMMABLE) is None


def _store(database: Database, figures: dict[str, Any]) -> None:
    with database.write() as connection:
        kept_figures.store(connection, kept_figures.version_to_measure(connection) or 0, figures)


def test_figures_that_can_not_all_be_stored_are_none(here: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_figures, "insert_rows", _half)
    with pytest.raises(OSError, match="full"):
        _store(here.database, {"one": 1, "two": 2})
    assert _rows(here.database) == []


def _half(connection: Any, table: Any, columns: Any, rows: Any) -> None:
    insert_rows(connection, table, columns, rows[:1])
    raise OSError("full")


KILLED = """
import os, signal, sys
from database.engine import interruption, kept_figures
from database.engine.session import Database
with Database(sys.argv[1], pooled=False).write() as connection:
    kept_figures.changed(connection)
    kept_figures.store(connection, kept_figures.version_to_measure(connection), {"new": 1})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_is_killed_while_it_stores_leaves_what_was_kept_before(here: Facts) -> None:
    keeping.renew(here.database, CUT)
    before = _rows(here.database)
    done = subprocess.run([sys.executable, "-c", KILLED, str(here.database.path)], cwd=ROOT, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert _rows(here.database) == before
    with here.database.read() as connection:
        assert kept_figures.version_to_measure(connection) is None


def _rows(database: Database) -> list[Any]:
    with database.read() as connection:
        return list(connection.execute(select(k).order_by(k.c.name)))


def test_a_measurement_that_is_stopped_keeps_nothing_and_a_later_one_does(
    here: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interruption, "STEPS", 100)
    assert not keeping.renew(here.database, CUT, lambda: True)
    assert _rows(here.database) == []
    assert keeping.renew(here.database, CUT)


class Keeper:
    """Keeps the figures of a database renewed, in a thread."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, pause_share: float) -> None:
        monkeypatch.setattr(keeping, "LOOK_S", 0.01)
        self.stops, self.is_busy = threading.Event(), False
        how: dict[str, Any] = {"stops": self.stops, "is_busy": lambda: self.is_busy, "pause_share": pause_share}
        self._thread = threading.Thread(target=keeping.keep_renewed, args=(database, CUT), kwargs=how)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stops.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def _are_kept_within(database: Database, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with database.read() as connection:
            if kept_figures.version_to_measure(connection) is None:
                return True
        time.sleep(0.01)
    return False


def test_another_release_does_not_leave_its_figures_to_this_one(here: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    with here.database.write() as connection:
        kept_figures.store(connection, kept_figures.version(connection), {"of another meaning": 1})
    with Keeper(here.database, monkeypatch, pause_share=0.0):
        wait_until(lambda: "of another meaning" not in {row.name for row in _rows(here.database)}, "it is dropped", 10)
        assert _are_kept_within(here.database, 10)


def test_they_are_renewed_after_a_change_but_not_before_a_pause_is_over(
    here: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Keeper(here.database, monkeypatch, pause_share=1e6):
        assert _are_kept_within(here.database, 10)
        _dropped(here, [])
        assert not _are_kept_within(here.database, 0.5)
    with Keeper(here.database, monkeypatch, pause_share=0.0):
        assert _are_kept_within(here.database, 10)
        _dropped(here, [])
        assert _are_kept_within(here.database, 10)


def test_none_is_measured_while_a_job_runs(here: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(here.database, monkeypatch, pause_share=0.0)
    keeper.is_busy = True
    with keeper:
        assert not _are_kept_within(here.database, 0.5)
        keeper.is_busy = False
        assert _are_kept_within(here.database, 10)
