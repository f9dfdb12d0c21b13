"""Backup and restore, of real files, while somebody writes."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from database.accounts import users
from database.engine.revisions import newest_revision
from database.engine.session import Database
from database.engine.sqlite import file_backup as copies
from database.engine.sqlite import file_lock
from database.jobs import workers
from database.scoring import ranks, runs
from gateway.app import create_app
from gateway.services.accounts import accounts
from gateway.services.exporting import export_files
from gateway.services.importing import uploads
from gateway.services.maintenance import backups, restoring
from gateway.services.maintenance.restoring import Target
from gateway.settings import Settings
from shared.clock import iso, utc_now
from shared.errors import Conflict, CorruptBackup, InvalidInput, NotFound
from tests import prefork
from tests.database import ledger
from tests.database.facts import Facts, full_run, plain_schema
from tests.database.ledger import a_score
from tests.once.migrated import migrated
from tests.stack import free_port

ROOT = Path(__file__).parents[3]
PASSWORD = "correct horse battery"


def quiet(share: float, what: str) -> None:
    """Nobody watches."""


@dataclass
class Place:
    """Database and registry of one system."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "database" / "retainstream.db"

    @property
    def registry(self) -> Path:
        return self.folder / "models"

    @property
    def target(self) -> Target:
        return Target(self.path, self.registry, self.path.parent)

    def backup(self, folder: Path) -> backups.Backup:
        return backups.make(self.path, self.registry, folder, clock=utc_now, progress=quiet)

    def restore(self, folder: Path, *, force: bool = False) -> restoring.Restored:
        return restoring.restore(folder, self.target, force=force, clock=utc_now, progress=quiet)

    def value(self, sql: str) -> Any:
        with closing(sqlite3.connect(self.path)) as raw:
            return raw.execute(sql).fetchone()[0]

    def figures(self) -> list[Any]:
        """Figures of the dashboard and the list, asked of the whole gateway in process."""
        given: dict[str, Any] = {
            "_env_file": None, "APP_ENV": "test", "BCRYPT_COST": 4, "DATABASE_PATH": self.path,
            "PYTHON_SERVICE_URL": "http://127.0.0.1:9", "ML_SERVICE_TOKEN": "x",
        }  # fmt: skip
        with closing(Database(self.path)) as database:
            client = create_app(Settings(**given), database=database).test_client()
            sent = client.post("/api/auth/login", json={"email": "ann@example.com", "password": PASSWORD})
            headers = {"Authorization": f"Bearer {sent.get_json()['data']['token']}"}
            paths = ("dashboard/metrics", "dashboard/distribution", "customers", "predictions/results", "model/status")
            answers = [client.get(f"/api/{path}", headers=headers).get_json() for path in paths]
        assert [answer for answer in answers if not answer["success"]] == []
        return [
            {**answer["data"], "timestamp": None} if isinstance(answer["data"], dict) else answer for answer in answers
        ]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A system with 300 scored customers, a live model on disk and a person; nobody changes it."""
    made = Place(tmp_path_factory.mktemp("made") / "once")
    migrated(made.path)
    with closing(Database(made.path, pooled=False)) as database:
        facts = Facts(database, plain_schema("x"))
        ids = facts.people(300)
        facts.snapshot("u0000", "2026-06-30")
        full_run(database, facts.model("1.0.0"), {key: key / 301 for key in ids}, prices=dict.fromkeys(ids, 9.0))
        accounts.create_user(
            database, clock=utc_now, cost=4, email="ann@example.com", password=PASSWORD, name="Ann", role="admin"
        )
    (made.registry / "1.0.0" / "deep").mkdir(parents=True)
    (made.registry / "1.0.0" / "model.ubj").write_bytes(os.urandom(50_000))
    (made.registry / "1.0.0" / "deep" / "manifest.json").write_text("{}")
    (made.registry / "0.9.9").mkdir()
    return made


@pytest.fixture
def place(made_once: Place, tmp_path: Path) -> Place:
    """A copy of that system, to do with as a test likes."""
    return Place(Path(shutil.copytree(made_once.folder, tmp_path / "here")))


# --- making one -----------------------------------------------------------------------------------------------------


def test_a_backup_is_verified_and_holds_the_database_and_the_models_it_names(place: Place, tmp_path: Path) -> None:
    made = place.backup(tmp_path / "kept")
    assert backups.verify(tmp_path / "kept", progress=quiet) == made
    assert (made.content.counts["customers"], made.content.counts["present_ranks"]) == (300, 300)
    assert (made.content.revision, made.saved_models, made.missing_models) == (newest_revision(), ["1.0.0"], ())
    saved = made.models / "1.0.0" / "model.ubj"
    assert saved.read_bytes() == (place.registry / "1.0.0" / "model.ubj").read_bytes()
    assert len(made.files) == 3
    assert made.database.stat().st_mode & 0o077 == 0


def test_a_backup_can_be_read_from_a_folder_that_cannot_be_written(place: Place, tmp_path: Path) -> None:
    made = place.backup(tmp_path / "kept")
    assert sorted(path.name for path in made.database.parent.iterdir()) == ["models", "retainstream.db"]
    with made.database.open("rb") as file:
        assert file.read(20)[18:20] == b"\x01\x01", "no write-ahead log is needed to read it"


def test_a_backup_taken_while_scores_are_written_is_of_one_moment(place: Place, tmp_path: Path) -> None:
    database = Database(place.path)
    stop, waits = threading.Event(), []
    ids = list(range(1, 301))

    def score() -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            with database.write() as connection:
                run_id = runs.start(
                    connection, kind="full", model_id=1, as_of="2026-06-30", job_id=None, now=iso(utc_now())
                )
            for at in range(0, 300, 50):
                chunk = ids[at : at + 50]
                began = time.monotonic()
                with database.write() as connection:
                    ledger.append(connection, run_id, chunk, [a_score(0.5)] * 50, ranked=True)
                waits.append(time.monotonic() - began)
            with database.write() as connection:
                runs.finish(
                    connection, run_id, state="published", customers=300, average=0.5 + turn * 0, now=iso(utc_now())
                )
                runs.publish(connection, run_id, iso(utc_now()))
            while True:
                with database.write() as connection:
                    if not ranks.drop_stale(connection, 100):
                        break

    thread = threading.Thread(target=score)
    thread.start()
    try:
        made = [place.backup(tmp_path / f"kept{number}") for number in range(5)]
    finally:
        stop.set()
        thread.join()
    database.close()
    assert len({each.content.published_run for each in made}) > 1, "runs were published in between"
    for each in made:
        with closing(sqlite3.connect(each.database)) as raw:
            shown = "FROM present_ranks WHERE run_id = (SELECT run_id FROM published_run)"
            ledger_rows = "FROM ledger WHERE run_id = (SELECT run_id FROM published_run)"
            customers = "SELECT customers FROM scoring_runs WHERE id = (SELECT run_id FROM published_run)"
            found = [
                raw.execute(sql).fetchone()[0]
                for sql in (f"SELECT count(*) {shown}", f"SELECT count(*) {ledger_rows}", customers)
            ]
        assert found == [300, 300, 300]
    assert max(waits) < 2.0, "no writer waits for a backup"


def test_a_copy_does_not_begin_again_because_somebody_wrote(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "PAGES_A_STEP", 4)
    database = Database(place.path, pooled=False)
    shares: list[float] = []

    def write_meanwhile(share: float) -> None:
        shares.append(share)
        with database.write() as connection:
            workers.seen(connection, f"w{len(shares)}", "2026-01-01")

    copies.copy(place.path, tmp_path / "copy.db", progress=write_meanwhile)
    assert shares == sorted(shares)
    assert len(shares) > 10
    assert copies.content(tmp_path / "copy.db", check=True).counts["workers"] == 0


def test_a_new_backup_takes_the_place_of_the_one_before(place: Place, tmp_path: Path) -> None:
    first = place.backup(tmp_path / "kept")
    second = place.backup(tmp_path / "kept")
    assert first.data != second.data
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == [".lock", second.data, "manifest.json"]


def test_a_folder_with_something_else_in_it_is_refused_and_left(place: Place, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InvalidInput, match=r"holds something else \(thesis.txt\)"):
        place.backup(tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_live_model_that_is_not_there_is_an_error_and_another_one_is_named(place: Place, tmp_path: Path) -> None:
    with closing(Database(place.path, pooled=False)) as database, database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO models (version, state, schema_checksum, trained_on, created_at) VALUES ('1.0.1', 'ready', '', '', '')"
        )
    assert place.backup(tmp_path / "kept").missing_models == ("1.0.1",)
    (place.registry / "1.0.0").rename(place.registry / "elsewhere")
    before = (tmp_path / "kept" / "manifest.json").read_bytes()
    with pytest.raises(InvalidInput, match=r"live model 1\.0\.0.*ML_MODEL_PATH"):
        place.backup(tmp_path / "kept")
    assert (tmp_path / "kept" / "manifest.json").read_bytes() == before
    backups.verify(tmp_path / "kept", progress=quiet)


def test_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="DATABASE_PATH"):
        Place(tmp_path).backup(tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_backup_killed_at_any_moment_leaves_the_one_before_whole_and_the_next_one_works(
    place: Place, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(place.path)) as raw:
        raw.executemany(
            "INSERT INTO jobs (kind, state, params_json, created_at) VALUES ('x', 'done', hex(randomblob(10000)), '')",
            [()] * 2000,
        )
        raw.commit()
    kept = tmp_path / "kept"
    old = place.backup(kept)
    variables = {"APP_ENV": "test", "DATABASE_PATH": str(place.path), "ML_MODEL_PATH": str(place.registry)}
    killed = 0
    for delay_s in (0.0, 0.05, 0.1, 0.2, 0.3):
        process = prefork.start(
            "gateway", "backup", str(kept), folder=tmp_path, env={**os.environ, **variables}, out=Path(os.devnull)
        )
        while process.poll() is None and not [
            p for p in kept.glob("data-*/retainstream.db") if old.data not in p.parts
        ]:
            time.sleep(0.002)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        found = backups.verify(kept, progress=quiet)
        assert found.content == old.content
        old = found
    assert killed >= 2
    new = place.backup(kept)
    assert sorted(p.name for p in kept.glob("data-*")) == [new.data]
    assert place.value("PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize("bytes_left", [20_000, 400_000])
def test_a_disk_that_fills_is_said_and_leaves_the_backup_before(place: Place, tmp_path: Path, bytes_left: int) -> None:
    (place.registry / "1.0.0" / "big.ubj").write_bytes(b"x" * 800_000)
    old = place.backup(tmp_path / "kept")
    variables = {"APP_ENV": "test", "DATABASE_PATH": str(place.path), "ML_MODEL_PATH": str(place.registry)}
    limited = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({bytes_left}, {bytes_left})); from gateway.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", limited, "backup", str(tmp_path / "kept")],
        env={**os.environ, **variables, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert backups.verify(tmp_path / "kept", progress=quiet) == old
    assert len(list((tmp_path / "kept").glob("data-*"))) == 1


# --- checking one ---------------------------------------------------------------------------------------------------


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_flipped_byte_is_found_wherever_it_is(place: Place, tmp_path: Path) -> None:
    made = place.backup(tmp_path / "kept")
    for path in (made.database, made.models / "1.0.0" / "model.ubj", made.folder / "manifest.json"):
        for at in (0, path.stat().st_size // 2, path.stat().st_size - 1):
            _flip(path, at)
            with pytest.raises(CorruptBackup, match=path.name):
                backups.verify(made.folder, progress=quiet)
            _flip(path, at)
    backups.verify(made.folder, progress=quiet)


def test_a_missing_file_and_a_missing_backup_are_said(place: Place, tmp_path: Path) -> None:
    made = place.backup(tmp_path / "kept")
    (made.models / "1.0.0" / "deep" / "manifest.json").unlink()
    with pytest.raises(CorruptBackup, match="missing"):
        backups.verify(made.folder, progress=quiet)
    with pytest.raises(NotFound, match="no backup"):
        backups.verify(tmp_path / "nowhere", progress=quiet)


# --- restoring one --------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(place: Place, tmp_path: Path) -> Path:
    place.backup(tmp_path / "kept")
    return tmp_path / "kept"


def test_a_system_restored_onto_a_fresh_folder_answers_the_same_figures(
    place: Place, kept: Path, tmp_path: Path
) -> None:
    fresh = Place(tmp_path / "there")
    done = fresh.restore(kept)
    assert (done.safety_copy, done.overwritten) == (None, ())
    assert fresh.figures() == place.figures()
    assert (fresh.registry / "1.0.0" / "model.ubj").read_bytes() == (
        place.registry / "1.0.0" / "model.ubj"
    ).read_bytes()
    assert (
        fresh.value("SELECT action || ' ' || actor FROM audit_log ORDER BY id DESC") == "backup.restored command line"
    )
    assert fresh.value("PRAGMA journal_mode") == "wal"


def test_nothing_is_overwritten_without_being_told_to(place: Place, kept: Path) -> None:
    (place.registry / "1.0.0" / "model.ubj").write_bytes(b"another")
    before = place.path.read_bytes()
    with pytest.raises(Conflict) as refused:
        place.restore(kept)
    assert str(place.path) in refused.value.message
    assert str(place.registry / "1.0.0") in refused.value.message
    assert "--force" in refused.value.message
    assert place.path.read_bytes() == before
    assert (place.registry / "1.0.0" / "model.ubj").read_bytes() == b"another"


def test_told_to_it_keeps_a_copy_of_what_was_there(place: Place, kept: Path) -> None:
    with closing(Database(place.path)) as database, database.write() as connection:
        workers.seen(connection, "later", "2020-01-01")
    (place.registry / "1.0.0" / "model.ubj").write_bytes(b"another")
    done = place.restore(kept, force=True)
    assert done.safety_copy is not None
    assert place.value("SELECT count(*) FROM workers") == 0
    with closing(sqlite3.connect(done.safety_copy / "retainstream.db")) as raw:
        assert raw.execute("SELECT name FROM workers").fetchall() == [("later",)]
    assert (done.safety_copy / "models" / "1.0.0" / "model.ubj").read_bytes() == b"another"
    assert (place.registry / "1.0.0" / "model.ubj").stat().st_size == 50_000
    assert (place.registry / "0.9.9").is_dir()


def test_a_running_reader_sees_the_restored_rows_at_once(place: Place, kept: Path) -> None:
    database = Database(place.path)
    with database.write() as connection:
        workers.seen(connection, "later", "2020-01-01")
    place.restore(kept, force=True)
    with database.read() as connection:
        assert not workers.any_seen(connection, since="2000-01-01", until="9999")
    database.close()


def test_files_of_jobs_do_not_go_to_the_jobs_that_get_their_numbers(place: Place, kept: Path) -> None:
    data = place.path.parent
    rejects, export = uploads.rejects_path(data, 7), export_files.path(data, 8)
    export.parent.mkdir()
    for file in (rejects, export):
        file.write_bytes(b"of the former job")
    done = place.restore(kept, force=True)
    assert done.safety_copy is not None
    assert not rejects.exists()
    assert not export.exists()
    assert {each.name for each in (done.safety_copy / "files").iterdir()} == {rejects.name, export.name}
    rejects.write_bytes(b"of a database that somebody removed")
    for each in (place.path, *data.glob("retainstream.db-*")):
        each.unlink()
    assert place.restore(kept).safety_copy is None
    assert not rejects.exists()


def test_a_restore_ends_every_session_because_it_may_have_ended_since_the_backup(place: Place, kept: Path) -> None:
    def token_version() -> int:
        with closing(Database(place.path, pooled=False)) as database, database.read() as connection:
            user = users.by_email(connection, "ann@example.com")
        assert user is not None
        return user.token_version

    before = token_version()
    place.restore(kept, force=True)
    assert token_version() != before


def test_a_damaged_database_goes_aside_as_it_is(place: Place, kept: Path) -> None:
    place.path.write_bytes(b"no database" * 1000)
    done = place.restore(kept, force=True)
    assert done.safety_copy is not None
    assert (done.safety_copy / "retainstream.db").read_bytes() == b"no database" * 1000
    assert place.value("SELECT count(*) FROM customers") == 300


def test_a_damaged_backup_touches_nothing(place: Place, kept: Path, tmp_path: Path) -> None:
    _flip(backups.verify_manifest(kept).database, 5000)
    before = place.path.read_bytes()
    with pytest.raises(CorruptBackup):
        place.restore(kept, force=True)
    assert place.path.read_bytes() == before
    with pytest.raises(CorruptBackup):
        Place(tmp_path / "there").restore(kept)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("force", [False, True])
def test_a_system_that_runs_is_never_restored_into(place: Place, kept: Path, force: bool) -> None:
    before = place.path.read_bytes()
    with file_lock.share(place.path), pytest.raises(Conflict, match="The system is running"):
        place.restore(kept, force=force)
    assert place.path.read_bytes() == before
    place.restore(kept, force=True)


def test_nothing_starts_while_a_backup_is_being_restored(place: Place, environment: dict[str, str]) -> None:
    with file_lock.alone(place.path):
        for words in (("gateway",), ("worker",), ("score",)):
            done = prefork.run("gateway", *words, folder=place.folder, env=environment)
            assert done.returncode == 2, words
            assert "being restored" in done.stderr
            assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("revision", "told"), [("0009", "RetainStream 1.0.0"), ("9999", "newer version")])
def test_a_backup_of_another_version_is_refused(
    place: Place, kept: Path, tmp_path: Path, revision: str, told: str
) -> None:
    with closing(sqlite3.connect(place.path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        raw.commit()
    place.backup(kept)
    with pytest.raises(Conflict, match=told):
        Place(tmp_path / "there").restore(kept)
    assert not (tmp_path / "there").exists()


@pytest.fixture
def environment(place: Place) -> dict[str, str]:
    return {
        **os.environ, "PYTHONPATH": str(ROOT), "APP_ENV": "test", "DATABASE_PATH": str(place.path),
        "ML_MODEL_PATH": str(place.registry / "churn_model.pkl"), "PORT": str(free_port()),
    }  # fmt: skip


def test_the_commands_say_what_they_did_and_what_is_wrong(
    place: Place, tmp_path: Path, environment: dict[str, str]
) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return prefork.run("gateway", *words, folder=tmp_path, env=environment)

    made = run("backup", "kept")
    assert made.returncode == 0, made.stderr
    assert "kept is complete" in made.stdout
    assert "300 customers" in made.stdout
    assert run("backup", "--verify", "kept").returncode == 0
    refused = run("restore", "kept")
    assert (refused.returncode, "would overwrite" in refused.stderr) == (2, True)
    assert "The previous state is in" in run("restore", "kept", "--force").stdout
    _flip(backups.verify_manifest(tmp_path / "kept").database, 9000)
    broken = run("backup", "--verify", "kept")
    assert (broken.returncode, "damaged" in broken.stderr, "Traceback" in broken.stderr) == (2, True, False)
    kept_all = run("retention", "--dry-run")
    assert kept_all.stdout.count("kept for ever") == 3
