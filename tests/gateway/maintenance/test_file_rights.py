"""Files are readable by their owner alone; where none can be written, a sentence says so."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import gateway.cli.main as cli
import ml_service.__main__ as ml
from database.engine.migrate import migrate
from database.engine.session import Database
from database.tables import tables
from gateway.cli.main import retainstream
from shared.errors import ServiceError
from tests.stack import free_port


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """The umask that lets everybody read."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


def test_the_database_its_log_and_its_folder_are_the_owners_alone(tmp_path: Path) -> None:
    migrate(tmp_path / "data" / "a.db")
    database = Database(tmp_path / "data" / "a.db")
    with database.write() as connection:
        connection.execute(tables.revoked_tokens.insert().values(jti="x", expires_at="2020"))
    found = modes(tmp_path)
    database.close()
    assert found.pop("data") == 0o700
    assert {"data/a.db", "data/a.db-wal", "data/a.db-shm"} <= set(found)
    assert set(found.values()) == {0o600}


def test_a_database_that_everybody_could_read_is_closed_to_them(tmp_path: Path) -> None:
    migrate(tmp_path / "a.db")
    (tmp_path / "a.db").chmod(0o644)
    migrate(tmp_path / "a.db")
    assert stat.S_IMODE((tmp_path / "a.db").stat().st_mode) == 0o600


START: dict[str, Callable[[], object]] = {"retainstream": cli.main, "ml_service": ml.main}


@pytest.mark.parametrize("program", START)
def test_what_a_program_writes_is_its_owners_alone(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--nonsense"])
    with pytest.raises(SystemExit):
        START[program]()
    (tmp_path / "written").touch()
    (tmp_path / "folder").mkdir()
    assert modes(tmp_path) == {"written": 0o600, "folder": 0o700}


WORDS = [
    ("gateway",), ("worker",), ("migrate",), ("user", "list"), ("score",), ("retention",), ("audit",), ("train",),
    ("export", "customers"),
]  # fmt: skip


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_database_folder_that_can_not_be_written_is_told_in_one_sentence(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_ENV", "test")
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("DATABASE_PATH", str(tmp_path / "file" / "a.db"))
    result = CliRunner().invoke(retainstream, list(words))
    assert isinstance(result.exception, ServiceError), result.output
    assert "can't be written" in result.exception.message
