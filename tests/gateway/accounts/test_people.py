"""Accounts and keys at the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from limits import parse

from database.engine.session import Database
from gateway.cli.main import retainstream
from gateway.services.accounts import api_keys, sessions
from gateway.services.accounts.guesses import Guesses
from shared.clock import utc_now
from shared.errors import ServiceError, Unauthenticated

PASSWORD = "correct horse battery"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `retainstream WORDS` on a database of this test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APP_ENV", "test")
    monkeypatch.setenv("DATABASE_PATH", str(tmp_path / "people.db"))
    monkeypatch.setenv("BCRYPT_COST", "4")
    monkeypatch.setenv("RETAINSTREAM_PASSWORD", PASSWORD)

    def go(*words: str) -> Result:
        done = CliRunner().invoke(retainstream, list(words))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    go("user", "create", "root@example.com", "--name", "Root", "--role", "admin")
    return go


@pytest.fixture
def database(run: Run, tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "people.db", pooled=False)
    yield made
    made.close()


def test_an_account_is_listed_changed_disabled_and_enabled_by_number_or_address(run: Run) -> None:
    run("user", "create", "ann@example.com", "--name", "Ann")
    assert run("user", "role", "ANN@example.com", "viewer").output == "ann@example.com is viewer.\n"
    assert run("user", "disable", "2").output == "ann@example.com is disabled.\n"
    assert run("user", "list").output.split() == [
        "1", "admin", "enabled", "root@example.com", "Root", "2", "viewer", "disabled", "ann@example.com", "Ann",
    ]  # fmt: skip
    assert run("user", "enable", "2").output == "ann@example.com is enabled.\n"


def test_a_password_is_reset_from_the_environment_and_never_printed(
    run: Run, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETAINSTREAM_PASSWORD", "quite another one")
    assert "quite another" not in run("user", "reset-password", "root@example.com").output
    guesses = Guesses(database, parse("10 per hour"), b"a secret", "here")
    how: dict[str, Any] = {"cost": 4, "demo_allowed": True, "guesses": guesses}
    sessions.authenticate(database, email="root@example.com", password="quite another one", **how)
    with pytest.raises(Unauthenticated):
        sessions.authenticate(database, email="root@example.com", password=PASSWORD, **how)


@pytest.mark.parametrize("words", [("role", "1", "viewer"), ("disable", "1")])
def test_the_last_administrator_stays_at_the_command_line_too(run: Run, words: tuple[str, ...]) -> None:
    with pytest.raises(ServiceError, match="last administrator"):
        run("user", *words)


def test_nobody_by_that_name_is_said_in_a_sentence(run: Run) -> None:
    with pytest.raises(ServiceError, match="There is no account bob@"):
        run("user", "disable", "bob@example.com")


def test_a_key_is_made_used_listed_and_revoked(run: Run, database: Database) -> None:
    made = run("key", "create", "root@example.com", "--name", "cron", "--scope", "score", "--scope", "read")
    secret = made.stdout.strip()
    found = api_keys.authenticate_key(database, secret, clock=utc_now, demo_allowed=True)
    assert found is not None
    assert (found.role, found.key.scopes, found.key.made_by) == ("admin", ("read", "score"), None)
    listed = run("key", "list", "--user", "root@example.com").output
    assert found.key.prefix in listed
    assert secret not in listed
    assert "live" in listed
    run("key", "revoke", "1")
    assert api_keys.authenticate_key(database, secret, clock=utc_now, demo_allowed=True) is None
    assert "revoked" in run("key", "list").output
