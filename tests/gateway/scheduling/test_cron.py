"""Cron lines, held against a plain search minute by minute."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from gateway.cron import Cron

START = datetime(2026, 2, 27, 22, 58, 30, tzinfo=UTC)


def comes(line: str, at: datetime) -> bool:
    """Whether a line of plain numbers and stars comes at a minute, by the words of the manual."""

    def has(word: str, value: int) -> bool:
        return word == "*" or str(value) in word.split(",")

    minute, hour, day, month, weekday = line.split()
    in_month, in_week = has(day, at.day), has(weekday, at.isoweekday() % 7)
    days = in_month or in_week if day != "*" and weekday != "*" else in_month and in_week
    return has(minute, at.minute) and has(hour, at.hour) and has(month, at.month) and days


def test_the_next_time_is_the_first_minute_that_the_line_allows() -> None:
    chance = random.Random(3)

    def word(values: list[int], stars: float) -> str:
        return "*" if chance.random() < stars else ",".join(map(str, sorted(chance.sample(values, 2))))

    for _ in range(25):
        line = " ".join(
            (word([0, 13, 59], 0.2), word([0, 7, 23], 0.4), word([1, 2, 28, 30], 0.6), "*", word([0, 3, 6], 0.6))
        )
        wanted = START.replace(second=0) + timedelta(minutes=1)
        while not comes(line, wanted):
            wanted += timedelta(minutes=1)
        assert Cron.parse(line).after(START) == wanted, line


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("*/20 * * * *", "2026-02-27T23:00"), ("5-10/5 * * * *", "2026-02-27T23:05"), ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 3 * * 7", "2026-03-01T03:00"), ("0 3 * * 0", "2026-03-01T03:00"), ("59 22 27 2 *", "2026-02-27T22:59"),
        ("30/15 22 * * *", "2026-02-28T22:30"), ("0 12 31 * *", "2026-03-31T12:00"),
    ],
)  # fmt: skip
def test_steps_ranges_and_rare_days(line: str, wanted: str) -> None:
    assert Cron.parse(line).after(START) == datetime.fromisoformat(wanted).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
     "5-1 * * * *", "a * * * *", "* * 31 2 *", "0 0 30 2 *", "-1 * * * *", "1,, * * * *", "@daily"],
)  # fmt: skip
def test_what_is_no_cron_line_or_never_comes_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"expected five fields|can't be read|must be within|never comes"):
        Cron.parse(line)
