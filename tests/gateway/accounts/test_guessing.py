"""Guessing passwords: counted by account too, never at the owner's cost, and never at the cost of everybody's reads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from database.tables import tables
from gateway.services.accounts import credentials
from tests.gateway.auth_conftest import METRICS, build, refused
from tests.world import PASSWORD, World

WRONG = "not the password"
HOME, STRANGER = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    built = build(tmp_path, ACCOUNT_LIMIT="5 per hour")
    yield built
    built.database.close()


def sign_in(world: World, password: str, address: str, email: str = "ann@example.com") -> TestResponse:
    given = {"email": email, "password": password}
    return world.client.post("/api/auth/login", json=given, environ_base={"REMOTE_ADDR": address})


def guess(world: World, times: int, email: str = "ann@example.com") -> list[int]:
    """Statuses of guesses that come from a new address each."""
    return [sign_in(world, WRONG, f"127.0.{n // 250}.{n % 250 + 1}", email).status_code for n in range(times)]


# --- counted by account ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com", " ANN@Example.com "])
def test_guesses_at_one_account_end_from_however_many_addresses(world: World, email: str) -> None:
    world.person()
    assert guess(world, 8, email) == [401] * 5 + [429] * 3
    stopped = sign_in(world, WRONG, STRANGER, email)
    assert refused(stopped)[:2] == (429, "rate_limited")
    assert 1 <= int(stopped.headers["Retry-After"]) <= 3600


def test_another_account_is_not_touched(world: World) -> None:
    world.person()
    world.person(email="bob@example.com")
    guess(world, 6)
    assert sign_in(world, PASSWORD, STRANGER, "bob@example.com").status_code == 200


def test_the_owner_signs_in_where_they_did_before_whoever_else_guesses(world: World) -> None:
    world.person()
    assert sign_in(world, PASSWORD, HOME).status_code == 200
    guess(world, 20)
    assert sign_in(world, PASSWORD, STRANGER).status_code == 429
    assert [sign_in(world, PASSWORD, HOME).status_code for _ in range(8)] == [200] * 8


def test_guesses_from_where_the_owner_signs_in_have_an_end_too(world: World) -> None:
    world.person()
    sign_in(world, PASSWORD, HOME)
    assert [sign_in(world, WRONG, HOME).status_code for _ in range(7)] == [401] * 5 + [429] * 2


def test_right_passwords_are_no_guesses(world: World) -> None:
    world.person()
    assert [sign_in(world, PASSWORD, f"127.0.1.{n + 1}").status_code for n in range(9)] == [200] * 9
    assert guess(world, 6) == [401] * 5 + [429]


def test_nothing_is_compared_once_there_were_too_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.person()
    guess(world, 5)
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: pytest.fail("compared"))
    assert guess(world, 3) == [429] * 3


@pytest.mark.parametrize("path", ["/api/auth/password", "/api/users/1"])
def test_who_holds_a_session_does_not_guess_the_present_password_without_end(world: World, path: str) -> None:
    headers = world.bearer("admin")
    method = "PATCH" if path.endswith("1") else "POST"
    body = {"current_password": WRONG, "new_password": "another long one"}
    found = [world.client.open(path, method=method, json=body, headers=headers).status_code for _ in range(7)]
    assert found == [422] * 5 + [429] * 2
    assert world.login("admin@example.com").status_code == 200


def test_no_address_stands_in_the_counters(world: World) -> None:
    world.person()
    sign_in(world, PASSWORD, HOME)
    guess(world, 2)
    with world.database.read() as connection:
        kept = connection.execute(select(tables.rate_limits.c.key)).scalars().all()
    assert kept
    assert not any("ann" in key or "." in key for key in kept)


# --- two at a time --------------------------------------------------------------------------------------------------


def test_two_passwords_are_compared_at_a_time_few_wait_the_rest_come_again_and_reads_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(12):
        world.person(email=f"p{n}@example.com")
    reader = world.bearer("viewer")
    go_on, lock = threading.Event(), threading.Lock()
    now, most = 0, 0
    real = bcrypt.checkpw

    def slow(*given: Any) -> bool:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        go_on.wait(10)
        found = real(*given)
        with lock:
            now -= 1
        return found

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    with ThreadPoolExecutor(12) as pool:
        sent = [pool.submit(sign_in, world, PASSWORD, HOME, f"p{n}@example.com") for n in range(12)]
        refusals = [each.result() for each in islice(as_completed(sent, 10), 6)]
        assert world.client.get(METRICS, headers=reader).status_code == 200
        go_on.set()
        statuses = sorted(each.result().status_code for each in sent)
    assert most == credentials.AT_ONCE == 2
    assert statuses == [200] * 6 + [503] * 6
    assert [refused(busy)[:2] for busy in refusals] == [(503, "service_unavailable")] * 6
    assert all(int(busy.headers["Retry-After"]) >= 1 for busy in refusals)


def test_a_password_that_could_not_be_compared_is_no_guess(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.person()
    with monkeypatch.context() as busy:
        busy.setattr(credentials, "_admitted", threading.BoundedSemaphore(1))
        credentials._admitted.acquire()
        assert guess(world, 20) == [503] * 20
    assert guess(world, 6) == [401] * 5 + [429]


# --- what it costs, and hashes that are renewed ---------------------------------------------------------------------


def spent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cost of each comparison from now on."""
    found: list[int] = []
    real = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        found.append(2 ** int(hashed[4:6]))
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    return found


@pytest.mark.parametrize(("stored", "now"), [(4, 6), (6, 4), (5, 5)])
def test_known_and_unknown_accounts_cost_the_same_whatever_they_were_stored_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: int, now: int
) -> None:
    build(tmp_path).person()
    world = build(tmp_path, BCRYPT_COST=now)
    with world.database.write() as connection:
        hashed = bcrypt.hashpw(credentials._digest(PASSWORD), bcrypt.gensalt(stored)).decode()
        connection.execute(tables.users.update().values(password_hash=hashed))
    costs = spent(monkeypatch)
    totals = set()
    for email in ("ann@example.com", "nobody@example.com", "no address"):
        costs.clear()
        assert world.login(email, WRONG).status_code == 401
        totals.add(sum(costs))
    assert totals == {2 ** max(stored, now)}


def test_a_hash_of_another_cost_is_made_anew_at_sign_in_and_only_then(tmp_path: Path) -> None:
    build(tmp_path).person()
    world = build(tmp_path, BCRYPT_COST=5)

    def stored() -> str:
        with world.database.read() as connection:
            return str(connection.execute(select(tables.users.c.password_hash)).scalar_one())

    assert stored().startswith("$2b$04$")
    world.login(password=WRONG)
    assert stored().startswith("$2b$04$")
    headers = {"Authorization": f"Bearer {world.login().get_json()['data']['token']}"}
    renewed = stored()
    assert renewed.startswith("$2b$05$")
    assert world.login().status_code == 200
    assert stored() == renewed
    assert world.client.get(METRICS, headers=headers).status_code == 200
