"""Readers and writers: one moment seen, one lock held, everything or nothing."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, insert, select, text, update

from database.engine.session import Database
from database.tables.tables import rate_limits, users

USER = {"password_hash": "x", "name": "A", "role": "viewer", "created_at": "t", "updated_at": "t"}


def test_four_hundred_read_modify_writes_of_eight_threads_lose_none_and_fail_never(database: Database) -> None:
    with database.write() as connection:
        connection.execute(insert(rate_limits).values(key="k", count=0, expires_at_s=0.0))

    def add(_: int) -> None:
        with database.write() as connection:
            now = connection.execute(select(rate_limits.c.count)).scalar_one()
            connection.execute(update(rate_limits).values(count=now + 1))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(400)))
    with database.read() as connection:
        assert connection.execute(select(rate_limits.c.count)).scalar_one() == 400


def test_what_a_block_wrote_is_gone_when_it_raises(database: Database) -> None:
    class Odd(BaseException):
        pass

    for kind in (ValueError, Odd):
        with pytest.raises(kind), database.write() as connection:  # noqa: PT012
            connection.execute(insert(users).values(email="a@example.com", **USER))
            raise kind
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(users)).scalar_one() == 0


def test_the_same_connection_can_write_after_a_rollback(database: Database) -> None:
    for turn in range(3):
        with pytest.raises(ZeroDivisionError), database.write() as connection:
            _ = turn / 0
        with database.write() as connection:
            connection.execute(insert(users).values(email=f"{turn}@example.com", **USER))
    with database.read() as connection:
        assert connection.execute(select(func.count()).select_from(users)).scalar_one() == 3


def test_a_reader_sees_one_moment_whatever_is_committed_meanwhile(database: Database) -> None:
    count = select(func.count()).select_from(users)
    with database.read() as reader:
        assert reader.execute(count).scalar_one() == 0
        with database.write() as writer:
            writer.execute(insert(users).values(email="a@example.com", **USER))
        assert reader.execute(count).scalar_one() == 0
    with database.read() as reader:
        assert reader.execute(count).scalar_one() == 1


def test_nobody_sees_what_is_not_committed(database: Database) -> None:
    with database.write() as writer:
        writer.execute(insert(users).values(email="a@example.com", **USER))
        with database.read() as reader:
            assert reader.execute(select(func.count()).select_from(users)).scalar_one() == 0


def test_a_second_writer_waits_for_the_first(database: Database) -> None:
    order: list[str] = []
    inside, release = threading.Event(), threading.Event()

    def first() -> None:
        with database.write():
            inside.set()
            release.wait(5)
            order.append("first")

    def second() -> None:
        inside.wait(5)
        with database.write():
            order.append("second")

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    inside.wait(5)
    assert order == []
    release.set()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]


def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY"), database.write() as connection:
        connection.execute(text("INSERT INTO published_run (id, run_id, published_at) VALUES (1, 99, 'now')"))
