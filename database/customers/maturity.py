"""Up to which day ends are known, and which dates have therefore matured.

Law: a date has matured when its ends are known, never because somebody has newer facts; decided for the date, for
leavers and stayers alike (docs/definitions.md#matured).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from sqlalchemy import Connection, and_, case, delete, exists, func, or_, select

from database.customers import customer_base
from database.customers.facts import published, snapshot_dates
from database.engine.upsert import upsert
from database.tables import tables
from shared.clock import days_later
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS

Source = Literal["full", "told", "covered"]
s, k, i = tables.subscriptions, tables.known_ends, tables.imports
snap = tables.customer_snapshots

#: Share of those active before whose facts or ends a file with ends has, if it tells all ends.
COVERED = 0.99
#: The newest dates of files with ends that are looked at.
LOOKED_AT = 35
#: The end of a horizon may lie this part of it from the nearest full snapshot, where ends are dated by absence.
NEAR_SHARE = 10
#: Dates nearer than this share ends, so that they are no measure of each other.
APART = HORIZON_DAYS - 3
#: Neighbours on each side that the ends of a date are compared with.
NEIGHBOURS = 3
FEW, IMPROBABLE = 0.5, 1e-6


@dataclass(frozen=True)
class Few:
    """A date with improbably few ends beside its neighbours."""

    day: str
    ends: int
    usual: float


@dataclass(frozen=True)
class Matured:
    """The matured dates, oldest first.

    Attributes
    ----------
    dates
        Dates whose labels are known.
    few
        Those of `dates` with improbably few ends: warned of.
    left_out
        Dates with improbably few ends and none at all on a third of their days: a feed was lost.
    until
        The day up to which ends are known; None if it is not known.
    """

    dates: list[str]
    few: list[Few]
    left_out: list[Few]
    until: str | None


NOTHING = Matured([], [], [], None)


def tell(connection: Connection, day: str, source: Source, now: str) -> None:
    """Record that all ends up to a day are known."""
    connection.execute(upsert(k, {"day": day, "source": source, "known_at": now}, key=["day", "source"]))


def complete_to(connection: Connection) -> str | None:
    """Return the newest day up to which ends are known; None if there is none."""
    return connection.execute(select(func.max(k.c.day))).scalar_one()


def known_by_source(connection: Connection) -> list[tuple[str, int, str]]:
    """Return how each source tells ends: its name, on how many days, and the newest of them."""
    query = select(k.c.source, func.count(), func.max(k.c.day)).group_by(k.c.source).order_by(k.c.source)
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def full_snapshots(connection: Connection) -> list[str]:
    """Return the dates of the full snapshots whose absent customers left, oldest first."""
    return list(connection.execute(select(k.c.day).where(k.c.source == "full").order_by(k.c.day)).scalars())


def newest_covered(connection: Connection, import_id: int | None = None) -> str | None:
    """Return the newest date on which a file with ends accounts for 99 % of those active before; None if none does.

    Accounted for is who has facts of that date, or a known end.

    Parameters
    ----------
    import_id
        An import that counts although it is not published yet.
    """
    days = _dates_with_ends(connection, import_id)
    return next((day for day in days if _is_covered(connection, day, import_id)), None)


def set_covered(connection: Connection, day: str | None, now: str) -> None:
    """Replace what files with ends account for."""
    connection.execute(delete(k).where(k.c.source == "covered"))
    if day is not None:
        tell(connection, day, "covered", now)


def _dates_with_ends(connection: Connection, import_id: int | None) -> list[str]:
    """Return the newest dates of imports whose schema has ends, newest first."""
    schemas = customer_base.versions(connection)
    having = [checksum for checksum, schema in schemas.items() if schema.subscription.start and schema.subscription.end]
    counts = or_(i.c.state == "published", i.c.id == (import_id or 0))
    query = select(i.c.as_of).where(i.c.schema_checksum.in_(having), i.c.as_of.is_not(None), counts)
    return list(connection.execute(query.distinct().order_by(i.c.as_of.desc()).limit(LOOKED_AT)).scalars())


def _is_covered(connection: Connection, day: str, import_id: int | None) -> bool:
    counts = or_(published(snap), snap.c.import_id == (import_id or 0))
    before = connection.execute(select(func.max(snap.c.as_of)).where(snap.c.as_of < day, counts)).scalar_one()
    if before is None:
        return True
    active = and_(s.c.started_at <= before, or_(s.c.ended_at.is_(None), s.c.ended_at > before))
    total = connection.execute(select(func.count()).select_from(s).where(active)).scalar_one()
    ended = select(func.count()).select_from(s).where(active, s.c.ended_at.is_not(None))
    here = select(func.count()).select_from(snap).where(snap.c.as_of == day)
    # Counted first: to look up everybody in a file of a few would take a second per million customers.
    if connection.execute(ended).scalar_one() + connection.execute(here).scalar_one() < COVERED * total:
        return False
    has_facts = exists().where(snap.c.as_of == day, snap.c.customer_id == s.c.customer_id, counts)
    missing = select(func.count()).select_from(s).where(s.c.started_at <= before, s.c.ended_at.is_(None), ~has_facts)
    return bool(connection.execute(missing).scalar_one() <= (1 - COVERED) * total)


def matured(connection: Connection, today: str) -> Matured:
    """Return the snapshot dates whose ends are known up to 30 days and the grace gap after them, as seen on `today`."""
    until = complete_to(connection)
    if until is None:
        return NOTHING
    known = _known(connection, snapshot_dates(connection), today)
    few = _improbable(connection, known)
    left_out = {each.day for each, empty in few if 3 * empty >= HORIZON_DAYS}
    return Matured(
        [day for day in known if day not in left_out],
        [each for each, _ in few if each.day not in left_out],
        [each for each, _ in few if each.day in left_out],
        min(until, today),
    )


def matured_dates(connection: Connection, today: str) -> list[str]:
    """Return the dates of `matured`."""
    return matured(connection, today).dates


def windows_over(connection: Connection, today: str) -> list[str]:
    """Return the snapshot dates whose ends are known up to 30 days after them; of some, the grace gap is missing."""
    return _known(connection, snapshot_dates(connection), today, grace=0)


def matured_within(connection: Connection, found: Matured, today: str, horizon_days: int) -> set[str]:
    """Return those of the matured dates whose ends are known for a longer horizon, as seen on `today`."""
    holes = [(each.day, days_later(each.day, HORIZON_DAYS)) for each in found.left_out]
    return {
        day
        for day in _known(connection, found.dates, today, horizon_days)
        if not any(begin < days_later(day, horizon_days) and end > day for begin, end in holes)
    }


def has_matured(connection: Connection, day: str, today: str) -> bool:
    """Return whether all ends up to 30 days and the grace gap after a day are known, as seen on `today`."""
    return complete_to(connection) is not None and bool(_known(connection, [day], today))


def _known(
    connection: Connection,
    days: Iterable[str],
    today: str,
    horizon_days: int = HORIZON_DAYS,
    grace: int = GRACE_DAYS,
) -> list[str]:
    """Return the days whose ends are known: told exactly, or dated by absence near enough to the horizon's end."""
    by = case((k.c.source == "full", 1), else_=0)
    newest = {row[0]: row[1] for row in connection.execute(select(by, func.max(k.c.day)).group_by(by))}
    exact, absent = (min(newest.get(kind, ""), today) for kind in (0, 1))
    fulls = full_snapshots(connection)

    def is_known(day: str) -> bool:
        needed = days_later(day, horizon_days + grace)
        near = horizon_days // NEAR_SHARE
        return needed <= exact or (needed <= absent and _is_near(days_later(day, horizon_days), fulls, near))

    return [day for day in days if is_known(day)]


def _is_near(day: str, fulls: Sequence[str], near: int) -> bool:
    """Return whether full snapshots lie on both sides of a day, one of them near it."""
    after = bisect_left(fulls, day)
    before = bisect_right(fulls, day) - 1
    if before < 0 or after == len(fulls):
        return False
    return fulls[before] >= days_later(day, -near) or fulls[after] <= days_later(day, near)


def _improbable(connection: Connection, days: Sequence[str]) -> list[tuple[Few, int]]:
    """Return the days with improbably few ends within their horizon, and on how many of its days nobody left."""
    if len(days) < 2:
        return []
    query = select(s.c.ended_at, func.count()).where(s.c.ended_at > days[0]).group_by(s.c.ended_at)
    by_day = {row[0]: row[1] for row in connection.execute(query)}
    ahead = {day: [by_day.get(days_later(day, at + 1), 0) for at in range(HORIZON_DAYS)] for day in days}
    ends = {day: sum(counts) for day, counts in ahead.items()}
    found = []
    for day in days:
        near = _neighbours(day, days)
        usual = median(ends[each] for each in near) if near else 0.0
        if ends[day] < FEW * usual and _at_most(ends[day], usual) < IMPROBABLE:
            found.append((Few(day, ends[day], usual), ahead[day].count(0)))
    return found


def _neighbours(day: str, days: Sequence[str]) -> list[str]:
    """Return the nearest dates on each side that share no ends with a date."""
    earlier = bisect_right(days, days_later(day, -APART))
    later = bisect_left(days, days_later(day, APART))
    return [*days[max(earlier - NEIGHBOURS, 0) : earlier], *days[later : later + NEIGHBOURS]]


def _at_most(count: int, mean: float) -> float:
    """Return the probability of at most `count` events where `mean` are expected (Poisson)."""
    log_mean = math.log(mean)
    return math.fsum(math.exp(each * log_mean - mean - math.lgamma(each + 1)) for each in range(count + 1))
