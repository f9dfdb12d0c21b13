"""How often a client may ask."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from pydantic import ValidationError
from sqlalchemy import event, select

from database.tables import tables
from gateway.security.limits import Counter, LocalCounter, SharedCounter
from tests.gateway.auth_conftest import build
from tests.world import World

METRICS = "/api/dashboard/metrics"


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def world(tmp_path: Path) -> World:
    return build(tmp_path, CREDENTIALS_LIMIT="3 per minute", REQUEST_LIMIT="5 per minute")


def test_credential_routes_refuse_beyond_their_limit_in_the_one_body(world: World) -> None:
    statuses = [world.login(password="wrong password").status_code for _ in range(3)]
    response = world.login(password="wrong password")
    assert statuses == [401, 401, 401]
    assert response.status_code == 429
    assert response.get_json()["error"]["code"] == "rate_limited"
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert response.headers["X-RateLimit-Remaining"] == "0"


def test_each_credential_route_has_its_own_count(world: World) -> None:
    for _ in range(4):
        world.login()
    assert world.client.post("/api/auth/register", json={}).status_code == 422
    assert world.client.post("/api/auth/refresh").status_code == 401


def test_requests_that_are_refused_for_another_reason_count_too(world: World) -> None:
    for _ in range(3):
        world.client.post("/api/auth/login", data=b"{", content_type="application/json")
    assert world.login().status_code == 429


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_a_window_that_began_before_the_clock_was_put_back_does_not_last_an_hour_longer(
    world: World, kind: str
) -> None:
    now = [10_000.0]
    counter: Counter = (
        LocalCounter(lambda: now[0]) if kind == "local" else SharedCounter(world.database, lambda: now[0])
    )
    assert [counter.hit("a", limit=1, window_s=60).hits for _ in range(3)] == [1, 2, 3 if kind == "shared" else 2]
    now[0] -= 3600
    window = counter.hit("a", limit=1, window_s=60)
    assert window == (1, now[0] + 60)


def test_two_processes_share_the_strict_count(tmp_path: Path) -> None:
    one, two = (build(tmp_path, CREDENTIALS_LIMIT="4 per minute") for _ in range(2))
    statuses = [world.login().status_code for world in (one, two, one, two, one, two)]
    assert statuses == [401, 401, 401, 401, 429, 429]


def test_the_general_limit_is_one_for_all_other_routes(world: World) -> None:
    statuses = [
        world.client.get(path).status_code for path in (METRICS, "/api/nothing", METRICS, METRICS, "/api/users")
    ]
    assert statuses == [401, 404, 401, 401, 401]
    assert world.client.get(METRICS).status_code == 429


def test_who_is_signed_in_is_counted_apart_from_the_address(world: World) -> None:
    headers = world.bearer("viewer")
    for _ in range(6):
        world.client.get(METRICS)
    assert world.client.get(METRICS).status_code == 429
    assert world.client.get(METRICS, headers=headers).headers["X-RateLimit-Remaining"] == "4"


def test_every_answer_says_what_is_left(world: World) -> None:
    headers = world.bearer("viewer")
    responses = [
        world.client.get(METRICS),
        world.client.get(METRICS, headers=headers),
        world.client.get("/api/nothing"),
        world.client.put(METRICS),
        world.client.post("/api/dashboard/predict", headers=headers),
        world.client.post("/api/auth/login", json={}),
    ]
    for response in responses:
        assert int(response.headers["X-RateLimit-Limit"]) in (3, 5)
        assert int(response.headers["X-RateLimit-Remaining"]) >= 0
        assert int(response.headers["X-RateLimit-Reset"]) > 1_700_000_000
        assert "Retry-After" not in response.headers


def test_health_is_never_refused(world: World) -> None:
    assert {world.client.get("/api/health").status_code for _ in range(20)} == {200}


def test_preflights_do_not_count(world: World) -> None:
    assert {world.client.options(METRICS).status_code for _ in range(20)} == {200}


def test_the_general_limit_asks_the_database_nothing(world: World) -> None:
    asked: list[str] = []
    event.listen(world.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    world.client.get("/api/nothing")
    world.client.get(METRICS)
    assert asked == []
    headers = world.bearer("viewer")
    asked.clear()
    world.client.get(METRICS, headers=headers)
    assert [each.split()[0] for each in asked] == ["SELECT"]  # who the token is of
    asked.clear()
    world.client.get(METRICS, headers=headers)
    assert asked == []  # nothing has changed since


def test_no_address_stands_in_the_database(world: World) -> None:
    world.login()
    with world.database.read() as connection:
        keys = connection.execute(select(tables.rate_limits.c.key)).scalars().all()
    assert len(keys) == 2  # the route's and the account's
    assert not any("127.0.0.1" in key or "ann" in key for key in keys)
    # A bare hash of an address is soon found by trying all there are.
    bare = hashlib.blake2b(b"address:127.0.0.1 /api/auth/login", digest_size=16).hexdigest()
    assert not any(bare in key for key in keys)


def test_addresses_of_one_ipv6_household_count_together(world: World) -> None:
    def left(address: str) -> str:
        answer = world.client.get(METRICS, environ_base={"REMOTE_ADDR": address})
        return answer.headers["X-RateLimit-Remaining"]

    assert [left("2001:db8:1:2::1"), left("2001:db8:1:2:ffff::9"), left("2001:db8:1:3::1")] == ["4", "3", "4"]
    assert [left("198.51.100.1"), left("::ffff:198.51.100.1"), left("198.51.100.2"), left("")] == ["4", "3", "4", "4"]


def test_a_limit_that_can_not_be_read_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="REQUEST_LIMIT"):
        build(tmp_path, REQUEST_LIMIT="plenty")


# --- the counters themselves ----------------------------------------------------------------------------------------


def both(world: World, watch: Watch) -> list[Counter]:
    return [LocalCounter(watch), SharedCounter(world.database, watch)]


def test_a_window_ends_and_the_count_begins_anew(world: World) -> None:
    watch = Watch()
    for counter in both(world, watch):
        watch.now_s = 1000.0
        assert [counter.hit("a", limit=1, window_s=60).hits for _ in range(2)] == [1, 2]
        watch.now_s = 1059.0
        assert counter.hit("a", limit=1, window_s=60).hits >= 2
        watch.now_s = 1060.0
        assert counter.hit("a", limit=1, window_s=60) == (1, 1120.0)


def test_windows_that_have_ended_are_forgotten(world: World) -> None:
    watch = Watch()
    local, shared = LocalCounter(watch), SharedCounter(world.database, watch)
    for number in range(50):
        for counter in (local, shared):
            counter.hit(f"client {number}", limit=1, window_s=60)
    watch.now_s += 61
    for counter in (local, shared):
        counter.hit("another", limit=1, window_s=60)
    with world.database.read() as connection:
        assert connection.execute(select(tables.rate_limits.c.key)).scalars().all() == ["another"]
    assert list(local._windows) == ["another"]


def test_a_flood_beyond_the_limit_writes_nothing(world: World) -> None:
    counter = SharedCounter(world.database)
    for _ in range(50):
        counter.hit("a", limit=2, window_s=60)
    with world.database.read() as connection:
        assert connection.execute(select(tables.rate_limits.c.count)).scalar_one() == 3


@pytest.mark.parametrize("kind", ["local", "shared", "two processes"])
def test_of_many_threads_exactly_the_limit_passes(world: World, kind: str) -> None:
    local = LocalCounter()
    shared = [SharedCounter(world.database) for _ in range(2)]
    counters: dict[str, list[Counter]] = {"local": [local], "shared": [shared[0]], "two processes": [*shared]}
    chosen, start, limit = counters[kind], Barrier(8), 20

    def ask(thread: int) -> int:
        start.wait()
        counter = chosen[thread % len(chosen)]
        return sum(counter.hit("a", limit=limit, window_s=600).hits <= limit for _ in range(10))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == limit


def test_of_many_sign_ins_at_once_no_more_than_the_limit_are_tried(tmp_path: Path) -> None:
    world = build(tmp_path, CREDENTIALS_LIMIT="5 per minute")
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(lambda _: world.login().status_code, range(24)))
    assert statuses == [401] * 5 + [429] * 19
