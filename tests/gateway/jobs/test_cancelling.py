"""A job that is cancelled ends within seconds, whatever it is doing: reading, asking the database, waiting for another."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from database.customers import customers
from database.engine import files, interruption
from gateway.clients.ml_client import MLClient
from gateway.services import kinds
from gateway.services.importing import preview
from gateway.services.jobs import running, work
from gateway.services.jobs.cancellable_calls import cancellable_call, cancellable_items
from gateway.services.jobs.work import Work
from gateway.services.maintenance import backups
from gateway.services.scoring import scoring_run
from shared.errors import Cancelled
from tests.world import TOKEN, World

SOON_S = 5.0


@pytest.fixture
def hung() -> Iterator[str]:
    """An ML service that takes a connection and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def cancelled_in(world: World, begun: Work, handler: Any, params: dict[str, Any] | None = None) -> float:
    """Seconds from asking a job to stop, once it is under way, until it has ended."""
    under_way, asked = threading.Event(), [0.0]

    def do(given: Work, typed: Any) -> Any:
        under_way.set()
        return handler(given, typed)

    def cancel() -> None:
        assert under_way.wait(5)
        asked[0] = time.monotonic()
        work.cancel(world.database, world.clock, begun.job.id)

    thread = threading.Thread(target=cancel)
    thread.start()
    ended = running.run(begun, replace(kinds.KINDS[begun.job.kind], run=do))
    thread.join()
    assert (ended.state, ended.error["code"]) == ("cancelled", "cancelled"), ended  # type: ignore[index]
    return time.monotonic() - asked[0]


def test_a_call_of_an_ml_service_that_hangs_is_left(world: World, hung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    begun = replace(world.work("score"), environment=replace(world.environment, ml=MLClient(hung, TOKEN)))
    batch = scoring_run.Batch(None, None, None, b"")  # type: ignore[arg-type]
    assert cancelled_in(world, begun, lambda given, _: scoring_run.score(given, "1.0.0", "2026-01-01", batch)) < SOON_S


def test_a_training_whose_service_hangs_is_left(world: World, hung: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    begun = replace(world.work("train"), environment=replace(world.environment, ml=MLClient(hung, TOKEN)))

    def train(given: Work, _: Any) -> Any:
        def lines() -> Generator[dict[str, Any], None, None]:
            yield from given.ml.train(iter([b"rows"]))

        return {"lines": list(cancellable_items(given, lines))}

    assert cancelled_in(world, begun, train) < SOON_S


def test_a_long_statement_is_broken_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEARTBEAT_S", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    def count(given: Work, _: Any) -> Any:
        with given.database.read() as connection:
            return {"n": connection.exec_driver_sql(endless).scalar_one()}

    assert cancelled_in(world, world.work("export"), count) < SOON_S
    with world.database.write() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1


@pytest.mark.parametrize("handler", [preview.preview, preview.propose])
def test_looking_at_a_file_stops_between_its_pieces(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handler: Any
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 100, encoding="utf-8")
    begun = world.work("preview", {"path": str(path), "file_name": "a.csv"})
    real, seen = Work.check, []

    def check(given: Work) -> None:
        seen.append(1)
        given.stops.set() if len(seen) > 1 else None
        real(given)

    monkeypatch.setattr(Work, "check", check)
    ended = running.run(begun, replace(kinds.PREVIEW, run=handler))
    assert ended.state == "cancelled"


def test_what_a_call_apart_raises_reaches_the_caller(world: World) -> None:
    begun = world.work("score")

    def fails() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        cancellable_call(begun, fails)

    def some() -> Generator[int, None, None]:
        yield 1
        raise ValueError("broken")

    found = cancellable_items(begun, some)
    assert next(found) == 1
    with pytest.raises(ValueError, match="broken"):
        next(found)


def test_items_apart_are_closed_in_their_own_thread_when_nobody_reads_on(world: World) -> None:
    closed = threading.Event()

    def endless() -> Generator[int, None, None]:
        try:
            while True:
                yield 1
                time.sleep(0.01)
        finally:
            closed.set()

    found = cancellable_items(world.work("score"), endless)
    next(found)
    found.close()
    assert closed.wait(5)


def test_a_job_that_was_cancelled_raises_before_it_asks(world: World) -> None:
    begun = world.work("score")
    begun.stops.set()
    with pytest.raises(Cancelled):
        cancellable_call(begun, lambda: time.sleep(10))


def test_a_check_of_a_whole_file_is_broken_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "STEPS", 1)
    begun = world.work("backup")
    begun.stops.set()
    with interruption.interruptible(begun.stops.is_set):
        with pytest.raises(Cancelled):
            files.read_content(world.database.path, check=True)
        with pytest.raises(Cancelled):
            backups.sha256(world.database.path)
    assert files.read_content(world.database.path, check=True).counts["jobs"] == 1


def test_looking_up_many_customers_is_broken_off_between_parts(world: World) -> None:
    with interruption.interruptible(lambda: True), world.database.read() as connection, pytest.raises(Cancelled):
        customers.ids_by_user_id(connection, ["u0001"])
