"""The suite of kills sees what it looks for: made data in which a promise is broken."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import update

from database.tables import tables
from gateway.services.scoring import keeping
from tests.crash import short_lane, truths
from tests.crash.__main__ import Kills
from tests.crash.operations import UnderWay
from tests.crash.receiver import Receiver
from tests.stack import Stack
from tests.world import World


class Data:
    """A stack of which the suite sees a database alone."""

    def __init__(self, script: str, folder: Path = Path()) -> None:
        self.folder, self.database_path = folder, folder / "retainstream.db"
        self._raw = sqlite3.connect(":memory:")
        self._raw.row_factory = sqlite3.Row
        self._raw.executescript(script)

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self._raw.execute(sql, values).fetchall()

    def value(self, sql: str, *values: Any) -> Any:
        return self.rows(sql, *values)[0][0]

    def many(self, sql: str, values: Sequence[Any]) -> None:
        self._raw.executemany(sql, [(each,) for each in values])


def made(script: str, folder: Path = Path()) -> Stack:
    return cast("Stack", Data(script, folder))


@pytest.mark.parametrize(("there", "found"), [(500, 0), (499, 1), (0, 1)])
def test_contacts_that_are_gone_are_seen_also_where_none_is_left(there: int, found: int) -> None:
    told = json.dumps({"campaigns": [{"campaign_id": 7, "new": 500}]})
    data = Data(f"""
        CREATE TABLE jobs (id, kind, state, result_json, created_at, finished_at);
        CREATE TABLE do_not_contact (since);
        CREATE TABLE campaigns (id, name);
        CREATE TABLE campaign_contacts (campaign_id);
        CREATE TABLE audit_log (action);
        INSERT INTO jobs VALUES (1, 'import-contacts', 'done', '{told}', 'a', 'b');
        INSERT INTO campaigns VALUES (7, 'crash 1'), (8, 'crash 2'), (9, 'of the demo');
        INSERT INTO campaign_contacts VALUES (9);
        INSERT INTO audit_log VALUES ('campaign.contacts');
    """)
    data.many("INSERT INTO campaign_contacts VALUES (?)", [7] * there)
    said = list(truths._of_lists(cast("Stack", data)))
    assert len(said) == found, said


@pytest.mark.parametrize(("shown", "found"), [("(1)", 0), ("(NULL)", 1)])
def test_a_published_run_that_is_not_shown_is_seen(shown: str, found: int) -> None:
    data = made(f"""
        CREATE TABLE scoring_runs (id, state, customers, job_id);
        CREATE TABLE ledger (run_id);
        CREATE TABLE jobs (id, state);
        CREATE TABLE published_run (run_id);
        CREATE TABLE present_ranks (run_id);
        CREATE TABLE score_bins (run_id, customers);
        INSERT INTO scoring_runs VALUES (1, 'published', 1, 1);
        INSERT INTO ledger VALUES (1);
        INSERT INTO jobs VALUES (1, 'done');
        INSERT INTO present_ranks VALUES (1);
        INSERT INTO score_bins VALUES (1, 1);
        INSERT INTO published_run SELECT * FROM (VALUES {shown}) WHERE column1 IS NOT NULL;
    """)
    assert len(list(truths._of_runs(data))) == found


@pytest.mark.parametrize(("held", "found"), [(b"whole", 0), (b"half", 1), (b"other", 1), (None, 1)])
def test_an_exports_file_that_is_not_the_one_told_of_is_seen(tmp_path: Path, held: bytes | None, found: int) -> None:
    told = json.dumps({"bytes": 5, "sha256": hashlib.sha256(b"whole").hexdigest()})
    data = made(
        f"""
        CREATE TABLE jobs (id, kind, state, result_json);
        INSERT INTO jobs VALUES (3, 'export', 'done', '{told}'), (4, 'export', 'failed', NULL);
        """,
        tmp_path,
    )
    (tmp_path / "exports").mkdir()
    if held is not None:
        (tmp_path / "exports" / "export-3.parquet").write_bytes(held)
    assert len(list(truths._of_exports(data))) == found


class Served:
    """A stack whose gateway is the one of a world."""

    def __init__(self, world: World) -> None:
        self._world, self.database_path = world, world.settings.database_path

    def rows(self, sql: str) -> list[Any]:
        with self._world.database.read() as connection:
            return connection.exec_driver_sql(sql).fetchall()

    def analyst(self) -> Served:
        return self

    def data(self, path: str) -> Any:
        return self._world.ask("GET", path, "admin").get_json()["data"]


def test_a_kept_figure_that_the_data_do_not_give_is_seen(demo_world: World) -> None:
    served = cast("Stack", Served(demo_world))
    assert keeping.renew(demo_world.database, demo_world.settings.cut)
    assert truths.stale(served) == []
    kept = tables.kept_figures
    with demo_world.database.write() as connection:
        of_plans = kept.c.name.like("%plan%")
        connection.execute(update(kept).where(of_plans).values(value_json="[]"))
    assert [each.split(" is stale")[0] for each in truths.stale(served)] == ["GET /api/segments/summary?by=plan"]


def test_each_file_of_objections_is_new_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data("CREATE TABLE customers (id INTEGER PRIMARY KEY, user_id); CREATE TABLE do_not_contact (customer_id);")
    data.folder = tmp_path
    data.person = lambda _: SimpleNamespace(ended=lambda _: {"state": "done"})  # type: ignore[attr-defined]

    def sent(stack: Stack, path: str, file: Path, **_: str) -> UnderWay:
        users = [line.split(",")[0] for line in file.read_text().splitlines()[1:]]
        if path == "/api/customers/import":
            data.many("INSERT INTO customers (user_id) VALUES (?)", users)
        else:
            data.many("INSERT INTO do_not_contact SELECT id FROM customers WHERE user_id = ?", users)
        return UnderWay(job_id=1)

    monkeypatch.setattr(short_lane, "_sent", sent)
    data.rows("CREATE UNIQUE INDEX once ON customers (user_id)")
    data.rows("CREATE UNIQUE INDEX listed ON do_not_contact (customer_id)")  # twice the same would be refused
    for turn in range(1, 6):
        short_lane._objections(cast("Stack", data), random.Random(turn))
        assert data.value("SELECT count(*) FROM do_not_contact") == turn * short_lane.OBJECTIONS


def test_only_a_kill_of_work_that_goes_on_counts_as_one(tmp_path: Path) -> None:
    data = made(
        """
        CREATE TABLE jobs (id, state);
        CREATE TABLE webhook_deliveries (state);
        INSERT INTO jobs VALUES (1, 'running'), (2, 'done');
        """
    )
    assert UnderWay(job_id=1).is_under_way(data, "worker")
    assert not UnderWay(job_id=2).is_under_way(data, "worker")
    data.rows("INSERT INTO webhook_deliveries VALUES ('waiting')")
    assert UnderWay(job_id=2).is_under_way(data, "receiver")
    assert not UnderWay(job_id=2).is_under_way(data, "worker")
    kills = Kills(data, Receiver(tmp_path), seed=1)
    assert kills.status == 1  # no turn is no proof
    kills.counts.update({("import", "worker killed"): 2, ("import", "worker killed afterwards"): 5})
    assert (kills.killed, kills.status) == (2, 0)
    kills.faults.append("a run is half there")
    assert kills.status == 1
