"""Migrations: they make what `database.tables` says, once, and touch nobody else's file."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect

from database.engine import kept_figures
from database.engine.migrate import migrate
from database.engine.once import State
from database.engine.session import Database, require_migrated
from database.engine.sqlite.foreign_file import NotOurDatabase
from database.jobs import jobs
from database.jobs.jobs import Lane
from database.tables import tables
from shared.errors import InvalidInput, ServiceUnavailable
from shared.schema.features import schema_from_dict
from tests.once.migrated import migrated


def _schema_of(path: Path) -> set[tuple[str, str]]:
    with sqlite3.connect(path) as raw:
        found = set(raw.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    raw.close()
    return found


def test_the_baseline_makes_the_tables_with_their_checks_and_what_only_sqlite_can_say(tmp_path: Path) -> None:
    migrate(tmp_path / "a.db")
    made = dict(_schema_of(tmp_path / "a.db"))
    assert "CHECK (state IN ('running', 'published', 'done', 'failed'))" in made["scoring_runs"]
    assert "PRIMARY KEY (run_id, churn_probability DESC, customer_id)" in made["present_ranks"]
    assert made["ix_customers_email_nocase"].endswith("(email COLLATE NOCASE)")
    assert {"predictions", "audit_log_is_never_changed", "subscriptions_remember_ends"} <= set(made)


def test_a_value_that_a_check_excludes_is_refused(tmp_path: Path) -> None:
    migrate(tmp_path / "a.db")
    with (
        closing(sqlite3.connect(tmp_path / "a.db")) as raw,
        pytest.raises(sqlite3.IntegrityError, match="ck_users_role"),
    ):
        raw.execute(
            "INSERT INTO users (email, password_hash, name, role, created_at, updated_at) VALUES ('e', 'h', 'n', 'king', 't', 't')"
        )


def test_every_table_of_the_metadata_is_there(database: Database) -> None:
    assert set(tables.metadata.tables) | {"alembic_version"} == set(inspect(database.engine).get_table_names())


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    migrate(path)
    before = _schema_of(path)
    migrate(path)
    assert _schema_of(path) == before


def test_the_copy_that_tests_begin_with_is_what_migrating_makes(tmp_path: Path) -> None:
    made, copied = tmp_path / "made.db", migrated(tmp_path / "copied.db")
    migrate(made)
    with closing(sqlite3.connect(made)) as one, closing(sqlite3.connect(copied)) as other:
        assert list(one.iterdump()) == list(other.iterdump())
        for pragma in ("journal_mode", "user_version", "application_id", "auto_vacuum", "page_size"):
            assert one.execute(f"PRAGMA {pragma}").fetchall() == other.execute(f"PRAGMA {pragma}").fetchall()
    assert made.stat().st_mode == copied.stat().st_mode


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


BEFORE_KNOWN_ENDS = """
DROP TABLE known_ends; DROP INDEX ix_outcomes_left; DROP VIEW predictions; DROP TRIGGER subscriptions_remember_ends;
ALTER TABLE subscriptions DROP COLUMN seen_until; ALTER TABLE subscriptions DROP COLUMN absent_from;
ALTER TABLE ledger DROP COLUMN facts_age;
ALTER TABLE scoring_runs DROP COLUMN older_facts; ALTER TABLE scoring_runs DROP COLUMN facts_from;
UPDATE alembic_version SET version_num = '0010';
INSERT INTO base VALUES (1, '{}', '', 'ready', 1, '');
INSERT INTO imports (id, file_name, sha256, schema_checksum, rows, customers_new, customers_updated, created_at)
VALUES (1, '', '', '', 1, 1, 0, '');
INSERT INTO customers (id, user_id, churn, as_of, created_at, updated_at) VALUES (1, 'a', 1, '2026-01-01', '', '');
INSERT INTO customer_snapshots (customer_id, as_of, known_at, import_id) VALUES (1, '2026-02-01', '', 1);
INSERT INTO subscriptions (customer_id, started_at, ended_at, end_reason, known_at)
VALUES (1, '2025-01-01', '2026-02-01', 'absent', '2026-02-01T00:00:00.000Z');
"""


def _columns_of(path: Path) -> dict[str, set[str]]:
    database = Database(path, pooled=False)
    seen = inspect(database.engine)
    return {name: {column["name"] for column in seen.get_columns(name)} for name in seen.get_table_names()}


def test_a_database_of_the_baseline_gets_what_a_new_one_has_and_its_absences_are_dated_anew(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    for path in (old, new):
        migrate(path)
    with closing(sqlite3.connect(old)) as raw:
        raw.executescript(BEFORE_KNOWN_ENDS)
        raw.commit()
    migrate(old)
    assert _columns_of(old) == _columns_of(new)
    assert dict(_schema_of(old)).keys() == dict(_schema_of(new)).keys()
    for name in ("predictions", "subscriptions_remember_ends", "known_ends", "ix_outcomes_left"):
        assert dict(_schema_of(old))[name] == dict(_schema_of(new))[name]
    with closing(sqlite3.connect(old)) as raw:
        ends = raw.execute("SELECT seen_until, ended_at, absent_from FROM subscriptions").fetchall()
        assert ends == [("2026-01-01", "2026-01-17", "2026-02-01")]
        known = raw.execute("SELECT day, source FROM known_ends ORDER BY source").fetchall()
        assert known == [("2026-02-01", "full"), ("2026-02-01", "told")]
        assert raw.execute("SELECT count(*) FROM withdrawn_ends").fetchall() == [(0,)]


def test_features_that_were_found_by_their_names_are_roles_of_the_schema_after_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migrate(path)
    number = {"kind": "number"}
    features = {"Auto Renew": {"kind": "category"}, "contract_months_left": number, "x": number}
    old = json.dumps({"subscription": {"plan": "plan"}, "features": features})
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("ALTER TABLE customers DROP COLUMN contract_runs_until")
        raw.execute("UPDATE alembic_version SET version_num = '0022'")
        raw.execute("INSERT INTO base VALUES (1, ?, '', 'ready', 0, '')", (old,))
        raw.commit()
    migrate(path)
    with closing(sqlite3.connect(path)) as raw:
        schema = schema_from_dict(json.loads(raw.execute("SELECT schema_json FROM base").fetchone()[0]))
    assert schema.subscription.columns() == {
        "plan": "plan", "auto_renew": "Auto Renew", "contract_end": "contract_months_left",
    }  # fmt: skip
    assert schema.features["contract_months_left"].unit == "months"


def test_a_database_from_before_kept_figures_gets_their_tables_and_keeps_none_yet(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    for path in (old, new):
        migrate(path)
    with closing(sqlite3.connect(old)) as raw:
        raw.executescript("DROP TABLE kept_figures; DROP TABLE present_state;")
        raw.execute("UPDATE alembic_version SET version_num = '0023'")
        raw.commit()
    migrate(old)
    assert _schema_of(old) == _schema_of(new)
    with Database(old, pooled=False).read() as connection:
        assert kept_figures.version_to_measure(connection) == 0


def test_the_present_state_of_before_costly_figures_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migrate(path)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("ALTER TABLE present_state DROP COLUMN replaced")
        raw.execute("INSERT INTO present_state VALUES (1, 7)")
        raw.execute("UPDATE alembic_version SET version_num = '0025'")
        raw.commit()
    migrate(path)
    database, found = Database(path, pooled=False), []
    for change in (kept_figures.changed, kept_figures.replaced, kept_figures.changed):
        with database.write() as connection:
            change(connection)
            found.append(kept_figures.state_of(connection))
    assert found == [State(8, 0), State(9, 9), State(10, 9)]


def test_jobs_that_wait_stay_when_their_lane_is_no_longer_stored(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    for path in (old, new):
        migrate(path)
    with closing(sqlite3.connect(old)) as raw:
        lane = "lane TEXT CONSTRAINT ck_jobs_lane CHECK (lane IN ('training', 'rest')) NOT NULL DEFAULT 'rest'"
        raw.executescript(
            f"DROP INDEX ix_jobs_state; ALTER TABLE jobs ADD COLUMN {lane};"
            "CREATE INDEX ix_jobs_state_lane ON jobs (state, lane, id);"
            "INSERT INTO jobs (kind, state, params_json, created_at) VALUES ('preview', 'queued', '{}', 't');"
            "UPDATE alembic_version SET version_num = '0024'"
        )
    migrate(old)
    assert _schema_of(old) == _schema_of(new)
    with Database(old, pooled=False).write() as connection:
        job = jobs.claim(connection, lane=Lane(frozenset({"preview"})), worker="w", now="t")
    assert job is not None
    assert job.kind == "preview"


@pytest.mark.parametrize(
    ("revision", "told"),
    [("0001", "RetainStream 1.0.0"), ("0009", "RetainStream 1.0.0"), ("9999", "newer version")],
)
def test_a_database_of_another_version_is_refused_with_a_sentence_and_left_byte_for_byte(
    tmp_path: Path, revision: str, told: str
) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE alembic_version (version_num TEXT)")
        raw.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        raw.commit()
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match=rf"{told}.*not changed"):
        migrate(path)
    assert path.read_bytes() == before


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
    with pytest.raises(NotOurDatabase, match="not a SQLite database"):
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


def test_who_looks_for_a_new_database_leaves_an_empty_file_to_its_migration(tmp_path: Path) -> None:
    missing, empty = tmp_path / "missing.db", tmp_path / "empty.db"
    empty.touch()
    for path in (missing, empty):
        assert not Database(path, pooled=False).is_reachable()
    assert not missing.exists() and empty.stat().st_size == 0
