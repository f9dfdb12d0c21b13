"""Releases: people decide, the timeline remembers."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from database.accounts.audit import Actor
from database.customers import customer_base
from database.models import models
from database.tables import tables
from gateway.services.models import promotions
from shared.errors import Conflict, ModelUnavailable, NotFound
from shared.schema.features import built_in_schema
from tests.world import World, clock

CHECKSUM = built_in_schema().checksum()


@pytest.fixture
def user(world: World) -> int:
    """Three whole models, of which 1.0.0 is live; a fourth of another base, a fifth in training, a refused sixth."""
    kinds = {
        "1.0.0": ("ready", CHECKSUM, "Promoted: first."), "1.0.1": ("ready", CHECKSUM, "Promoted: better."),
        "1.0.2": ("ready", CHECKSUM, None), "2.0.0": ("ready", "another", None),
        "3.0.0": ("training", CHECKSUM, None), "4.0.0": ("ready", CHECKSUM, "Not promoted: worse."),
    }  # fmt: skip
    with world.database.write() as connection:
        customer_base.adopt(connection, built_in_schema(), is_demo=False, clock=clock)
        for version, (state, checksum, decision) in kinds.items():
            row = {"version": version, "state": state, "schema_checksum": checksum, "decision": decision}
            connection.execute(insert(tables.models).values({**row, "trained_on": "2026-01-01", "created_at": "t"}))
        first = models.get(connection, "1.0.0")
        assert first is not None
        models.promote(connection, first.id, reason="first", live_from="t")
        person = {"email": "a@example.com", "password_hash": "x", "name": "A", "role": "admin"}
        query = insert(tables.users).values({**person, "created_at": "t", "updated_at": "t"})
        return connection.execute(query.returning(tables.users.c.id)).scalar_one()


def live(world: World) -> str:
    with world.database.read() as connection:
        found = models.live_version(connection)
    assert found is not None
    return found[1]


def intact(_: str) -> None:
    pass


def gone(version: str) -> None:
    raise ModelUnavailable(f"There is no model {version} on disk.")


def promote(world: World, user: int, version: str, *, force: bool = False) -> None:
    promotions.promote(
        world.database, clock, intact, version=version, reason="because", force=force, actor=Actor(user_id=user)
    )


def test_a_promotion_is_a_row_of_the_timeline_with_its_reason_and_who_said_so(world: World, user: int) -> None:
    promote(world, user, "1.0.1")
    with world.database.read() as connection:
        newest = models.timeline(connection)[0]
    assert (newest.version, newest.user_id, newest.live_from) == ("1.0.1", user, "2026-06-30T12:00:00.000Z")
    assert newest.reason == "By hand: because"
    assert live(world) == "1.0.1"


@pytest.mark.parametrize(
    ("version", "kind", "words"),
    [
        ("9.9.9", NotFound, "no model version 9.9.9"),
        ("1.0.0", Conflict, "already live"),
        ("2.0.0", Conflict, "another customer base"),
        ("3.0.0", Conflict, "training"),
        ("4.0.0", Conflict, "force"),
    ],
)
def test_what_cannot_go_live_is_refused_and_nothing_changes(
    world: World, user: int, version: str, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        promote(world, user, version)
    assert live(world) == "1.0.0"
    with world.database.read() as connection:
        assert len(models.timeline(connection)) == 1


def test_force_overrides_the_gate_and_says_so_and_nothing_else(world: World, user: int) -> None:
    promote(world, user, "4.0.0", force=True)
    with world.database.read() as connection:
        assert models.timeline(connection)[0].reason == "Forced: because"
    for version in ("2.0.0", "3.0.0"):
        with pytest.raises(Conflict):
            promote(world, user, version, force=True)


def test_rolling_back_goes_one_back_each_time_until_there_is_nothing_before(world: World, user: int) -> None:
    for version in ("1.0.1", "1.0.2"):
        promote(world, user, version)
    for expected in ("1.0.1", "1.0.0"):
        found = promotions.roll_back(world.database, clock, intact, reason="worse", actor=Actor(user_id=user))
        assert (found.version, live(world)) == (expected, expected)
    with pytest.raises(Conflict, match="no earlier"):
        promotions.roll_back(world.database, clock, intact, reason="worse", actor=Actor(user_id=user))
    with world.database.read() as connection:
        told = models.timeline(connection)
    assert [row.version for row in told] == ["1.0.0", "1.0.1", "1.0.2", "1.0.1", "1.0.0"]
    assert told[0].reason == "Rolled back from 1.0.1: worse"


def test_there_is_nothing_to_roll_back_to_before_the_first(world: World) -> None:
    with pytest.raises(Conflict):
        promotions.roll_back(world.database, clock, intact, reason="x", actor=Actor(user_id=1))


def test_a_version_whose_files_are_gone_does_not_go_live(world: World, user: int) -> None:
    promote(world, user, "1.0.1")
    by = Actor(user_id=user)
    with pytest.raises(ModelUnavailable, match=r"1\.0\.2"):
        promotions.promote(world.database, clock, gone, version="1.0.2", reason="x", force=True, actor=by)
    with pytest.raises(ModelUnavailable, match=r"1\.0\.0"):
        promotions.roll_back(world.database, clock, gone, reason="x", actor=by)
    assert live(world) == "1.0.1"
    with world.database.read() as connection:
        assert len(models.timeline(connection)) == 2


def test_who_asks_the_ml_service_holds_no_lock_of_the_database(world: World, user: int) -> None:
    def asks(_: str) -> None:
        promote(world, user, "1.0.1")

    with pytest.raises(Conflict, match="already live"):
        promotions.promote(
            world.database, clock, asks, version="1.0.1", reason="x", force=True, actor=Actor(user_id=user)
        )
