"""Migrations: they make what `database.tables` says, once, and touch nobody else's file."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, select

from database import tables
from database.migrate import config, migrate
from database.session import Database, NotOurDatabase, require_migrated
from shared.errors import InvalidInput, ServiceUnavailable


def _schema_of(path: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(path) as raw:
        found = set(raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    raw.close()
    return found


def test_the_migrations_make_exactly_the_tables_of_the_metadata(migrated_file: Path) -> None:
    made: Config = config(migrated_file)
    command.check(made)  # raises where autogenerate would add an operation


def test_every_table_of_the_metadata_is_there(database: Database) -> None:
    assert set(tables.metadata.tables) | {"alembic_version"} == set(inspect(database.engine).get_table_names())


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate(path)
    before = _schema_of(path)
    migrate(path)
    assert _schema_of(path) == before


def test_what_the_tables_hold_survives_a_further_migration(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate(path)
    with sqlite3.connect(path) as raw:
        raw.execute("INSERT INTO workers (name, seen_at) VALUES ('w', 'now')")
    raw.close()
    migrate(path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT name FROM workers").fetchall() == [("w",)]
    raw.close()


LEDGER_OF_0007 = """
INSERT INTO models (id, version, state, schema_checksum, trained_on, report_json, created_at)
  VALUES (1, '1.0.0', 'ready', 'c', '2026-01-01', '{}', 'm');
INSERT INTO scoring_runs (id, kind, state, model_id, as_of, horizon_days, started_at)
  VALUES (1, 'past', 'done', 1, '2026-01-31', 30, 'january'), (2, 'past', 'done', 1, '2026-02-28', 30, 'february'),
         (3, 'full', 'failed', 1, '2026-02-28', 30, 'march');
INSERT INTO customers (id, user_id, churn, as_of, created_at, updated_at)
  VALUES (1, 'a', 0, '2026-01-31', 'm', 'm'), (2, 'b', 0, '2026-01-31', 'm', 'm');
INSERT INTO predictions (id, customer_id, run_id, churn_probability, confidence, out_of_fold, reason_1, points_1,
                         reason_2, points_2, reason_3, points_3, prediction_date)
  VALUES (1, 1, 1, .1, .9, 0, 0, .1, 1, .1, 2, .1, 'january'), (2, 2, 1, .2, .8, 0, 0, .1, 1, .1, 2, .1, 'january'),
         (3, 1, 2, .3, .7, 0, 0, .1, 1, .1, 2, .1, 'february');
"""


def test_a_ledger_that_had_a_moment_for_each_score_keeps_its_rows_and_moments_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate(path)
    command.downgrade(config(path), "0007")
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(LEDGER_OF_0007)
        before = raw.execute("SELECT * FROM predictions ORDER BY id").fetchall()
    migrate(path)
    with closing(Database(path, pooled=False)) as database, database.read() as connection:
        p = tables.predictions.c
        rows = connection.execute(select(p.id, p.run_id, p.prediction_date).order_by("id")).all()
    assert [tuple(row) for row in rows] == [(1, 1, "january"), (2, 1, "january"), (3, 2, "february")]
    command.downgrade(config(path), "0007")
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT * FROM predictions ORDER BY id").fetchall() == before


SHOWN_BY_0008 = """
INSERT INTO models (id, version, state, schema_checksum, trained_on, report_json, created_at)
  VALUES (1, '1.0.0', 'ready', 'c', '2026-01-01', '{}', 'm');
INSERT INTO scoring_runs (id, kind, state, model_id, as_of, horizon_days, started_at, first_prediction_id,
                          last_prediction_id)
  VALUES (4, 'past', 'done', 1, '2026-01-31', 30, 'january', 1, 2),
         (7, 'full', 'published', 1, '2026-02-28', 30, 'february', 3, 6),
         (8, 'sample', 'done', 1, '2026-02-28', 30, 'later', 7, 8);
INSERT INTO published_run (id, run_id, published_at) VALUES (1, 7, 'february');
INSERT INTO customers (id, user_id, churn, as_of, created_at, updated_at)
  VALUES (1, 'a', 0, 'd', 'm', 'm'), (2, 'b', 0, 'd', 'm', 'm'), (3, 'left', 1, 'd', 'm', 'm'),
         (4, 'd', 0, 'd', 'm', 'm'), (9, 'new', 0, 'd', 'm', 'm');
INSERT INTO predictions (id, customer_id, run_id, churn_probability, confidence, out_of_fold, reason_1, points_1,
                         reason_2, points_2, reason_3, points_3)
  VALUES (1, 1, 4, .1, .9, 0, 0, .1, 1, .1, 2, .1), (2, 2, 4, .2, .8, 0, 0, .1, 1, .1, 2, .1),
         (3, 1, 7, .3, .7, 0, 0, .1, 1, .1, 2, .1), (4, 2, 7, .4, .6, 1, 1, .1, 0, .1, 2, .1),
         (5, 3, 7, .5, .5, 0, 0, .1, 1, .1, 2, .1), (6, 4, 7, .4, .6, 0, 0, .1, 1, .1, 2, .1),
         (7, 2, 8, .9, .9, 0, 0, .1, 1, .1, 2, .1), (8, 9, 8, .8, .8, 0, 0, .1, 1, .1, 2, .1);
INSERT INTO outcomes (id, prediction_id, churned, known_at) VALUES (1, 1, 0, 'm'), (2, 2, 1, 'm'), (3, 2, 0, 'n');
INSERT INTO present_scores (run_id, customer_id, churn_probability, prediction_id, monthly_price)
  VALUES (7, 1, .3, 3, 7.5), (7, 2, .9, 7, NULL), (7, 4, .4, 6, 9), (7, 9, .8, 8, 5);
INSERT INTO present_ranks (run_id, customer_id, churn_probability, prediction_id, monthly_price)
  SELECT * FROM present_scores;
"""


def test_what_was_shown_ranked_and_came_of_it_survives_the_ledger_by_run_and_customer_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate(path)
    command.downgrade(config(path), "0008")
    kept = {
        "outcomes": "SELECT o.id, run_id, customer_id, churned, known_at FROM outcomes o "
        "JOIN predictions p ON p.id = prediction_id ORDER BY 1",
        "predictions": "SELECT run_id, customer_id, churn_probability, confidence, out_of_fold, reason_1, points_3 "
        "FROM predictions ORDER BY id",
        "present_scores": "SELECT run_id, customer_id, churn_probability, monthly_price, "
        "(SELECT run_id FROM predictions WHERE id = prediction_id) FROM present_scores",
        "present_ranks": "SELECT run_id, churn_probability, customer_id, monthly_price FROM present_ranks",
        "numbers": "SELECT min(first_prediction_id) > 0, max(last_prediction_id) = (SELECT max(id) FROM predictions) "
        "FROM scoring_runs",
    }
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(SHOWN_BY_0008)
        before = {name: raw.execute(sql).fetchall() for name, sql in kept.items()}
    migrate(path)
    c, p, o = tables.customers.c, tables.ledger.c, tables.outcomes.c
    shown = select(c.user_id, p.run_id, p.churn_probability, p.monthly_price)
    with closing(Database(path, pooled=False)) as database, database.read() as connection:
        here = tables.with_scores(tables.customers, c.id, 7)
        rows = connection.execute(shown.select_from(here).order_by(c.id)).all()
        came = connection.execute(select(o.run_id, o.customer_id, o.churned).order_by(o.id)).all()
        ranked = connection.execute(select(tables.present_ranks.c.customer_id)).scalars().all()
    assert [tuple(row) for row in rows] == [
        ("a", 7, 0.3, 7.5),
        ("b", 8, 0.9, None),
        ("left", None, None, None),
        ("d", 7, 0.4, 9.0),
        ("new", 8, 0.8, 5.0),
    ]
    assert [tuple(row) for row in came] == [(4, 1, 0), (4, 2, 1), (4, 2, 0)]
    assert list(ranked) == [2, 9, 4, 1]
    command.downgrade(config(path), "0008")
    with closing(sqlite3.connect(path)) as raw:
        assert {name: raw.execute(sql).fetchall() for name, sql in kept.items()} == before


def test_a_sqlite_that_is_too_old_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 35, 5))
    with pytest.raises(ServiceUnavailable, match=r"3\.36 or newer"):
        migrate(tmp_path / "deep" / "a.db")
    assert list(tmp_path.iterdir()) == []


def test_four_processes_that_migrate_one_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "a.db"
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=migrate, args=(path,)) for _ in range(4)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0, 0, 0]
    assert Database(path, pooled=False).is_reachable()


@pytest.mark.parametrize("name", ["with space.db", "100%20.db", "a#b.db", "what?.db", "größe-名.db"])
def test_a_file_may_be_called_anything(tmp_path: Path, name: str) -> None:
    path = tmp_path / "ordner #1 100% ?" / name
    migrate(path)
    migrate(path)
    assert path.exists()
    assert Database(path, pooled=False).is_reachable()


def _old_backend(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, user_id TEXT)")
        raw.execute("INSERT INTO customers (user_id) VALUES ('usr_1')")
    raw.close()


def test_a_database_of_the_old_backend_is_refused_and_left_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    _old_backend(path)
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match=r"DATABASE_PATH.*retainstream import"):
        migrate(path)
    assert path.read_bytes() == before


def test_a_foreign_database_in_wal_mode_is_left_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    _old_backend(path)
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA journal_mode=WAL")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase):
        migrate(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"user_id,plan\nusr_1,Standard\n" * 100)
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match="no SQLite database"):
        migrate(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    migrate(path)
    assert Database(path, pooled=False).is_reachable()


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InvalidInput, match="DATABASE_PATH"):
        migrate(tmp_path / "file" / "a.db")


def test_a_database_without_migrations_is_not_ready(tmp_path: Path) -> None:
    database = Database(tmp_path / "none.db", pooled=False)
    assert not database.is_reachable()
    with pytest.raises(ServiceUnavailable, match="retainstream migrate"):
        require_migrated(database)


def test_a_thread_may_migrate_while_another_reads(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate(path)
    reader = Database(path, pooled=False)
    failures: list[BaseException] = []

    def look() -> None:
        for _ in range(20):
            if not reader.is_reachable():
                failures.append(AssertionError("unreachable during a migration"))

    thread = threading.Thread(target=look)
    thread.start()
    migrate(path)
    thread.join()
    assert failures == []
