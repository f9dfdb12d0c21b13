"""Accounts, without the web."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from limits import parse
from sqlalchemy import insert, select

from database.accounts.audit import Actor
from database.accounts.users import User
from database.engine.session import Database
from database.tables import tables
from gateway.services.accounts import accounts, sessions
from gateway.services.accounts.credentials import accepted_password, hash_of, matches
from gateway.services.accounts.guesses import Guesses
from shared.errors import Conflict, Detail, Forbidden, InvalidInput, NotFound, Unauthenticated
from tests.once.migrated import migrated

PASSWORD = "correct horse battery"


def clock() -> datetime:
    return datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


HOW: dict[str, Any] = {"clock": clock, "cost": 4}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrated(tmp_path / "accounts.db")
    made = Database(tmp_path / "accounts.db", pooled=False)
    yield made
    made.close()


def person(database: Database, **changed: Any) -> User:
    given = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann", "role": "viewer", **changed}
    return accounts.create_user(database, **HOW, **given)


def authenticate(database: Database, email: str, password: str) -> User:
    return sessions.authenticate(
        database, email=email, password=password, cost=4, demo_allowed=True, guesses=guesses(database)
    )


def guesses(database: Database) -> Guesses:
    return Guesses(database, parse("1000 per hour"), b"a secret", "somewhere")


def faults(error: InvalidInput) -> list[str]:
    return [detail["field"] for detail in error.details]


def audit(database: Database) -> list[tuple[Any, ...]]:
    a = tables.audit_log.c
    with database.read() as connection:
        return [
            tuple(row)
            for row in connection.execute(select(a.action, a.subject, a.user_id, a.request_id).order_by(a.id))
        ]


# --- what is accepted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "x" * 7,
        "x" * 201,
        "",
        "ann@example.com",
        " ANN@example.com ",
        "password",
        "PASSWORD",
        "qwertyuiop",
        "12345678",
        " " * 8,
        "aaaaaaaa",
        "🐎" * 8,
        "\ud800" * 8,
        "x" * 200,
        "netflix1",
        "retainstream",
        "RetainStream1",
        "password!",
        "P@ssw0rd1",
        "ann@example.com1",
        "abcdefgh",
        "19901991",
    ],
)
def test_a_weak_or_over_long_password_is_refused(database: Database, password: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        person(database, password=password)
    assert faults(refused.value) == ["password"]


def test_each_of_the_common_passwords_is_refused() -> None:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    common = [each for each in FREQUENCY_LISTS["passwords"] if len(each) >= 8]
    assert len(common) > 3000
    for password in (*common[:3000:25], common[-1]):
        faults: list[Detail] = []
        accepted_password(password, "password", faults, about=())
        assert faults, password


def test_a_password_is_looked_at_in_bounded_time_and_its_owners_words_count() -> None:
    faults: list[Detail] = []
    began = time.process_time()
    accepted_password("@4{<3i1!|0$5+7%2" * 12, "password", faults, about=("@4{<3i1!|0$5+7%2" * 15, "x" * 100))
    assert time.process_time() - began < 2
    accepted_password("Wolkenbruch", "password", faults, about=("ann@example.com",))
    assert len(faults) <= 1
    accepted_password("Wolkenbruch", "password", faults, about=("ann@wolkenbruch.example",))
    assert faults[-1]["field"] == "password"
    assert "Wolkenbruch" not in faults[-1]["message"]


@pytest.mark.parametrize(
    "password", ["tr0ub4dor&3x", "x" * 8 + "correct horse" * 14, "пароль-и-ещё", "with\x00nul in it"]
)
def test_any_other_password_is_accepted_and_compared_to_its_end(database: Database, password: str) -> None:
    person(database, password=password)
    authenticate(database, "ann@example.com", password)
    for other in (password[:-1], f"{password}x", f"{password[:-1]}y"):
        with pytest.raises(Unauthenticated):
            authenticate(database, "ann@example.com", other)


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ann",
        "ann@",
        "@example.com",
        "a b@example.com",
        "ann@example",
        f"ann@{'x' * 250}.com",
        "a@b.c\x00",
        "\u0430nn@example.com",
        "ann\u200b@example.com",
        "\u0430\u0441\u0435@example.com",
        "ann@ex\u202eample.com",
        "ann\u0301@example.com",
    ],
)
def test_what_is_no_address_is_refused(database: Database, email: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        person(database, email=email)
    assert faults(refused.value) == ["email"]


@pytest.mark.parametrize(
    "name",
    [
        "", "   ", "x" * 101, "a\nb", "a\x00b", "a\u2028b", "\u202e", "\u200b", "\u3164", "\u2800", "Ann\u200bB",
        "Ann\u202eB", "\ue000", "\ud800", "A\u00a0B", "\u0301", "'-'", "\u0410nn", "Ann \u0410\u0441\u0435", "\u039fto",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(database: Database, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        person(database, name=name)
    assert faults(refused.value) == ["name"]


@pytest.mark.parametrize(
    "name",
    ["José María", "Анна-Мария", "Ελένη", "山田 太郎 Taro", "김민수 Kim", "O'Neil (3)", "فاطمة", "Søren 🚀", "4711"],
)
def test_a_name_in_one_alphabet_is_taken(database: Database, name: str) -> None:
    assert person(database, name=f" {name} ").name == name


def test_an_address_of_an_international_domain_is_kept_in_ascii(database: Database) -> None:
    assert person(database, email="ann@b\u00fccher.example").email == "ann@xn--bcher-kva.example"
    assert authenticate(database, "ann@xn--bcher-kva.example", PASSWORD).id == 1


def test_all_that_is_wrong_is_told_at_once(database: Database) -> None:
    with pytest.raises(InvalidInput) as refused:
        person(database, email="x", name="", password="x")
    assert faults(refused.value) == ["email", "name", "password"]


def test_addresses_are_kept_in_one_form(database: Database) -> None:
    assert person(database, email="  Ann@EXAMPLE.com ").email == "ann@example.com"
    with pytest.raises(Conflict):
        person(database, email="ANN@example.com")


# --- how it is kept -------------------------------------------------------------------------------------------------


def test_a_hash_has_the_cost_asked_for_and_is_salted() -> None:
    one, two = hash_of(PASSWORD, 4), hash_of(PASSWORD, 4)
    assert one != two
    assert one.startswith("$2b$04$")
    assert matches(PASSWORD, one)
    assert matches(PASSWORD, two)


def test_passwords_that_agree_in_72_bytes_differ() -> None:
    assert not matches("x" * 72 + "a", hash_of("x" * 72 + "b", 4))


def test_a_user_shows_no_hash_when_printed(database: Database) -> None:
    assert "$2b$" not in repr(person(database))


@pytest.mark.parametrize("email", ["nobody@example.com", "no address", "off@example.com", "alex.chen@netflix.com"])
def test_a_hash_is_compared_whoever_is_named(database: Database, email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    user = person(database, email="off@example.com")
    accounts.change_user(database, user.id, **HOW, disabled=True)
    accounts.create_demo_account(database, **HOW, app_env="test")
    compared: list[bytes] = []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        compared.append(hashed)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    with pytest.raises(Unauthenticated, match="Invalid email or password"):
        sessions.authenticate(
            database, email=email, password=PASSWORD, cost=4, demo_allowed=False, guesses=guesses(database)
        )
    assert [hashed[:7] for hashed in compared] == [b"$2b$04$"]


def test_bcrypt_runs_outside_of_write_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    user = person(database)
    real = bcrypt.hashpw

    def while_somebody_writes(password: bytes, salt: bytes) -> bytes:
        with database.write():  # would wait for the lock until it gives up
            return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", while_somebody_writes)
    person(database, email="bob@example.com")
    accounts.change_user(database, user.id, **HOW, new_password="another long one")
    accounts.change_password(
        database,
        **HOW,
        user_id=user.id,
        current_password="another long one",
        new_password="yet another one",
        actor=Actor(user.id),
        guesses=guesses(database),
    )


# --- changes --------------------------------------------------------------------------------------------------------


def test_registration_that_is_closed_says_so(database: Database) -> None:
    with pytest.raises(Forbidden, match="closed"):
        accounts.register(
            database, **HOW, email="ann@example.com", password=PASSWORD, name="Ann", role="viewer", is_open=False
        )


def test_all_of_a_change_happens_or_nothing(database: Database) -> None:
    user = person(database, role="admin")
    with pytest.raises(Conflict):
        accounts.change_user(database, user.id, **HOW, name="Other", role="viewer", new_password="another long one")
    assert authenticate(database, "ann@example.com", PASSWORD).name == "Ann"


def test_one_of_two_administrators_may_be_demoted_and_disabled_at_once(database: Database) -> None:
    first = person(database, role="admin")
    second = person(database, role="admin", email="bob@example.com")
    changed = accounts.change_user(database, second.id, **HOW, role="viewer", disabled=True)
    assert (changed.role, changed.is_disabled) == ("viewer", True)
    with pytest.raises(Conflict):
        accounts.change_user(database, first.id, **HOW, disabled=True)


def test_an_administrator_who_is_disabled_does_not_count(database: Database) -> None:
    first = person(database, role="admin")
    second = person(database, role="admin", email="bob@example.com")
    accounts.change_user(database, first.id, **HOW, disabled=True)
    accounts.change_user(database, first.id, **HOW, role="viewer")
    with pytest.raises(Conflict):
        accounts.change_user(database, second.id, **HOW, role="analyst")


def test_an_account_that_is_enabled_again_keeps_its_password_and_no_session(database: Database) -> None:
    user = person(database)
    off = accounts.change_user(database, user.id, **HOW, disabled=True)
    on = accounts.change_user(database, user.id, **HOW, disabled=False)
    assert user.token_version < off.token_version
    assert not authenticate(database, "ann@example.com", PASSWORD).is_disabled
    assert on.token_version >= off.token_version


def test_a_change_of_nobody_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        accounts.change_user(database, 5, **HOW, name="A")


def test_a_change_that_changes_nothing_is_not_told(database: Database) -> None:
    user = person(database)
    before = audit(database)
    accounts.change_user(database, user.id, **HOW, role="viewer", disabled=False, name="Ann")
    assert audit(database) == before


def test_the_audit_log_tells_who_did_what_to_whom_by_number(database: Database) -> None:
    admin = person(database, role="admin", email="root@example.com")
    actor = Actor(admin.id, "request-1")
    user = person(database, actor=actor)
    accounts.change_user(
        database, user.id, **HOW, actor=actor, role="analyst", disabled=True, name="Anna", new_password="another one"
    )
    sessions.sign_out_everywhere(database, clock=clock, user_id=user.id, actor=actor)
    accounts.register(
        database,
        **HOW,
        email="new@example.com",
        password=PASSWORD,
        name="New",
        role="viewer",
        is_open=True,
        request_id="request-2",
    )
    told = audit(database)
    assert told[0] == ("user.created", "user:1 admin", None, None)
    assert told[1:] == [
        ("user.created", "user:2 viewer", 1, "request-1"),
        ("user.renamed", "user:2", 1, "request-1"),
        ("user.role_changed", "user:2 viewer -> analyst", 1, "request-1"),
        ("user.disabled", "user:2", 1, "request-1"),
        ("user.password_reset", "user:2", 1, "request-1"),
        ("user.signed_out_everywhere", "user:2", 1, "request-1"),
        ("user.registered", "user:3 viewer", None, "request-2"),
    ]


# --- the demo account -----------------------------------------------------------------------------------------------


def test_the_demo_account_is_the_documented_one(database: Database) -> None:
    accounts.create_demo_account(database, **HOW, app_env="development")
    again = accounts.create_demo_account(database, **HOW, app_env="development")
    user = authenticate(database, "alex.chen@netflix.com", "password")
    assert user == again
    assert (user.name, user.role, user.is_demo) == ("Alex Chen", "analyst", True)


def test_the_demo_account_is_never_made_in_production(database: Database) -> None:
    with pytest.raises(Forbidden):
        accounts.create_demo_account(database, **HOW, app_env="production")


def test_the_demo_account_can_be_removed_and_its_work_stays(database: Database) -> None:
    demo = accounts.create_demo_account(database, **HOW, app_env="test")
    person(database)
    with database.write() as connection:
        connection.execute(insert(tables.audit_log).values(at="2026-01-01", user_id=demo.id, action="job.started"))
    assert accounts.remove_demo_account(database)
    assert not accounts.remove_demo_account(database)
    assert ("job.started", None, None, None) in audit(database)
    assert authenticate(database, "ann@example.com", PASSWORD).id != demo.id
