"""The changes since a cursor add up to the displayed scores of whom may be contacted, whatever happened meanwhile."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from database.campaigns import campaigns
from database.customers import contacting, maturity
from database.customers.contacting import Holdout
from database.engine.session import Database
from database.scoring import changes as queries
from database.scoring import ranks, runs
from database.tables import tables
from gateway.services.scoring import changes
from gateway.settings import Role
from shared.clock import days_later, utc_now
from tests.database.facts import Facts, full_run, plain_schema
from tests.world import SECRET, World

PEOPLE = 7
Scores = dict[str, tuple[float, str, str]]


@dataclass
class Reader:
    """Keeps what it was told, in order."""

    database: Database
    contact: changes.Contact = "allowed"
    known: Scores = field(default_factory=dict)
    cursor: str | None = None
    begun_anew: int = 0

    def read(self, limit: int = 3) -> bool:
        """One page; whether there are more."""
        with self.database.read() as connection:
            page = changes.page_of(connection, self.cursor, contact=self.contact, limit=limit, secret=SECRET)
        if page.begins_anew:
            self.known, self.begun_anew = {}, self.begun_anew + 1
        for row in page.rows:
            if row.churn_probability is None:
                self.known.pop(row.user_id, None)
            else:
                self.known[row.user_id] = (row.churn_probability, row.model_version, row.contact)
        self.cursor = page.cursor
        return page.has_more

    def read_all(self) -> Scores:
        while self.read():
            pass
        return self.known


class Base:
    """Customers whose scores are published, sampled and hidden."""

    def __init__(self, database: Database) -> None:
        self.facts = Facts(database, plain_schema())
        self.database = database
        self.ids = self.facts.people(PEOPLE)
        self.models = [self.facts.model("1.0.0"), self.facts.model("1.0.1")]

    def publish(self, scores: dict[int, float], model: int) -> int:
        run_id = full_run(self.database, self.models[model], scores)
        with self.database.write() as connection:
            # As it is in use: no two runs begin at the same moment.
            at = f"2026-06-30T12:00:00.{run_id:03}Z"
            connection.execute(
                update(tables.scoring_runs).where(tables.scoring_runs.c.id == run_id).values(started_at=at)
            )
            while ranks.drop_stale(connection, 100):
                pass
        return run_id

    def sample(self, scores: dict[int, float], model: int) -> None:
        with self.database.read() as connection:
            shown = runs.published(connection)
        if shown is not None and scores and shown.model_id == self.models[model]:
            made = full_run(self.database, self.models[model], scores, kind="sample")
            with self.database.write() as connection:
                ranks.refresh(connection, shown.run_id, made, after_id=0, limit=100)

    def hide(self, ids: list[int]) -> None:
        c = tables.customers
        with self.database.write() as connection:
            shown = runs.published(connection)
            if shown is not None:
                ranks.drop(connection, shown.run_id, select(c.c.id).where(c.c.id.in_(ids)))

    def suppress(self, ids: list[int]) -> None:
        with self.database.write() as connection:
            contacting.suppress(connection, ids, "objected", "2026-06-30")

    def allow(self, key: int) -> None:
        with self.database.write() as connection:
            contacting.allow(connection, key)

    def hold_out(self, share: float) -> None:
        with self.database.write() as connection:
            contacting.set_holdout(connection, Holdout("seed", share, "2026-06-30"))

    def draw(self, control: list[int], days: int) -> None:
        day = days_later("2026-06-30", days)
        with self.database.write() as connection:
            made = campaigns.begin(connection, {**CAMPAIGN, "name": uuid4().hex, "matures_on": day})
            campaigns.append(connection, made, CAMPAIGN["seed"], [(made, key, 1, 0.5) for key in control])
            campaigns.finish(connection, made, CAMPAIGN["seed"])

    def know(self, days: int) -> None:
        with self.database.write() as connection:
            connection.execute(delete(tables.known_ends))  # a later import can take back what an earlier one knew
            maturity.tell(connection, days_later("2026-06-30", days), "told", "2026-06-30T12:00:00.000Z")

    def displayed(self, contact: changes.Contact = "allowed") -> Scores:
        with self.database.read() as connection:
            now = queries.present(connection)
            if now is None:
                return {}
            rows = queries.between(
                connection, None, now, only_allowed=False, after_id=0, up_to_id=10**6, limit=10**6
            )  # fmt: skip
            ranked = connection.execute(
                select(tables.present_ranks.c.customer_id).where(tables.present_ranks.c.run_id == now.run_id)
            ).scalars()
            assert sorted(row.id for row in rows) == sorted(ranked), "what is displayed is what is ranked"
        return {
            row.user_id: (row.churn_probability, row.model_version, row.contact)
            for row in rows
            if contact == "any" or row.contact == "allowed"
        }


CAMPAIGN = {
    "filters": [], "left_out": {}, "seed": "seed", "control_share": 0.5, "starts_on": "2026-06-30", "clv": 1.0,
    "expected_rate": 0.1, "assumed_reduction": 0.1, "offer": 1.0, "contact_cost": 1.0, "contact": 0, "control": 1,
    "created_at": "2026-06-30T12:00:00.000Z",
}  # fmt: skip
PROBABILITIES = st.sampled_from([0.1, 0.5, 0.9])
SOME = st.dictionaries(st.integers(1, PEOPLE), PROBABILITIES, max_size=PEOPLE)
MODEL = st.integers(0, 1)
SOME_OF_THEM = st.lists(st.integers(1, PEOPLE), unique=True)
STEP = st.one_of(
    st.tuples(st.just("publish"), SOME.filter(bool), MODEL),
    st.tuples(st.just("sample"), SOME, MODEL),
    st.tuples(st.just("hide"), SOME_OF_THEM),
    st.tuples(st.just("suppress"), SOME_OF_THEM),
    st.tuples(st.just("allow"), st.integers(1, PEOPLE)),
    st.tuples(st.just("hold_out"), st.sampled_from([0.0, 0.2, 0.5])),
    st.tuples(st.just("draw"), SOME_OF_THEM, st.integers(0, 3)),
    st.tuples(st.just("know"), st.integers(0, 3)),
    st.tuples(st.just("one page"), st.integers(1, 3)),
    st.tuples(st.just("all pages")),
)


@pytest.fixture
def base(world: World) -> Base:
    return Base(world.database)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=14))
def test_changes_add_up_to_the_present_list_of_whom_may_be_contacted_and_to_that_of_everybody(
    base: Base, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[Any, ...]]
) -> None:
    """One base for all examples: each begins with what the one before it left."""
    monkeypatch.setattr(changes, "COMPARED", 4)
    readers = [Reader(base.database), Reader(base.database, "any")]
    for what, *how in steps:
        if what == "one page":
            for reader in readers:
                reader.read(*how)
        elif what == "all pages":
            assert [reader.read_all() for reader in readers] == [base.displayed(), base.displayed("any")]
        else:
            getattr(base, what)(*how)
    assert [reader.read_all() for reader in readers] == [base.displayed(), base.displayed("any")]
    before = [reader.cursor for reader in readers]
    assert [reader.read_all() for reader in readers] == [base.displayed(), base.displayed("any")]
    assert [reader.cursor for reader in readers] == before, "nothing happened: the cursor stays"


def test_a_score_that_was_read_on_the_way_and_is_as_before_again_is_told_again(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "COMPARED", 4)
    low, high = ({key: 0.1 + key / 100 for key in base.ids}, dict.fromkeys(base.ids, 0.9))
    base.publish(low, 0)
    reader = Reader(base.database)
    reader.read()
    base.publish(high, 0)
    reader.read()
    base.publish(low, 0)
    assert reader.read_all() == base.displayed()
    assert reader.begun_anew == 1


def test_a_pass_that_saw_more_runs_than_a_cursor_can_hold_begins_anew(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_SEEN", 2)
    reader = Reader(base.database)
    for at in range(3):
        base.publish(dict.fromkeys(base.ids, 0.1 + at / 10), 0)
        reader.read(1)
    assert reader.read_all() == base.displayed()
    assert reader.begun_anew == 2


def test_a_cursor_of_one_list_begins_the_other_anew(base: Base) -> None:
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    base.suppress(base.ids[:2])
    reader = Reader(base.database, "any")
    assert len(reader.read_all()) == PEOPLE
    reader.contact = "allowed"
    assert len(reader.read_all()) == PEOPLE - 2
    assert reader.begun_anew == 2


def test_a_run_that_says_the_same_changes_nothing_and_another_model_everybody(base: Base) -> None:
    scores = dict.fromkeys(base.ids, 0.5)
    base.publish(scores, 0)
    reader = Reader(base.database)
    reader.read_all()
    base.publish({**scores, base.ids[2]: 0.6}, 0)
    with base.database.read() as connection:
        page = changes.page_of(connection, reader.cursor, limit=100, secret=SECRET)
    assert [(row.id, row.churn_probability) for row in page.rows] == [(base.ids[2], 0.6)]
    assert not page.begins_anew
    base.publish(scores, 1)
    with base.database.read() as connection:
        assert len(changes.page_of(connection, page.cursor, limit=100, secret=SECRET).rows) == PEOPLE


def test_the_same_cursor_gives_the_same_changes(base: Base) -> None:
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    reader = Reader(base.database)
    reader.read_all()
    base.publish(dict.fromkeys(base.ids, 0.7), 0)
    with base.database.read() as connection:
        pages = [changes.page_of(connection, reader.cursor, limit=3, secret=SECRET) for _ in range(2)]
    assert pages[0] == pages[1]
    assert len(pages[0].rows) == 3
    assert pages[0].has_more


def test_a_cursor_whose_scores_are_gone_begins_anew(base: Base) -> None:
    first = base.publish(dict.fromkeys(base.ids, 0.5), 0)
    reader = Reader(base.database)
    reader.read_all()
    base.publish({base.ids[0]: 0.7}, 0)
    with base.database.write() as connection:
        connection.execute(delete(tables.ledger).where(tables.ledger.c.run_id == first))
    assert reader.read_all() == {"u0000": (0.7, "1.0.0", "allowed")}
    assert reader.begun_anew == 2


def test_what_came_above_the_cut_is_counted_against_what_was_shown(base: Base) -> None:
    def above(scores: dict[int, float]) -> tuple[Any, ...]:
        run_id = full_run(base.database, base.models[0], scores, publish=False)
        with base.database.read() as connection:
            found = queries.above(connection, run_id, 0.7)
        return found.now, found.before, found.newly, found.no_longer

    a, b, c, d = base.ids[:4]
    assert above({a: 0.9, b: 0.1}) == (1, None, None, None)
    base.publish({a: 0.9, b: 0.9, c: 0.7}, 0)
    assert above({a: 0.9, b: 0.7, c: 0.8, d: 0.9}) == (3, 2, 2, 1)
    base.hide([a])
    assert above({a: 0.9, b: 0.9}) == (2, 1, 1, 0)


def test_over_rest_changes_are_paged_and_odd_cursors_refused(world: World) -> None:
    path = "/api/predictions/changes"
    empty = world.ask("GET", path).get_json()["data"]
    assert empty == {"changes": [], "cursor": None, "has_more": False, "begins_anew": True}
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    page = world.ask("GET", f"{path}?limit=5").get_json()["data"]
    assert (len(page["changes"]), page["has_more"], page["begins_anew"]) == (5, True, True)
    assert page["changes"][0] == {
        "customer_id": "u0000", "churn_probability": 0.5, "confidence": 0.5, "model_version": "1.0.0", "contact": "allowed",
    }  # fmt: skip
    rest = world.ask("GET", f"{path}?limit=5&since={page['cursor']}").get_json()["data"]
    assert (len(rest["changes"]), rest["has_more"], rest["begins_anew"]) == (2, False, False)
    for odd in ("x", "W10", "WzEsMiwzXQ", "W251bGwsbnVsbCwtMV0", "bnVsbA", "e30"):
        assert world.ask("GET", f"{path}?since={odd}").status_code == 422, odd
    assert world.ask("GET", path, "viewer").status_code == 403


def test_reading_everything_is_recorded(world: World) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    page = world.ask("GET", "/api/predictions/changes?limit=5").get_json()["data"]
    world.ask("GET", f"/api/predictions/changes?since={page['cursor']}")
    with world.database.read() as connection:
        a = tables.audit_log
        told = connection.execute(select(a.c.action, a.c.subject).where(a.c.action.startswith("export"))).all()
    assert [tuple(row) for row in told] == [("export.changes", "from the beginning, contact allowed")]


def exports(world: World) -> int:
    """How many reads from the beginning are in the audit log."""
    with world.database.read() as connection:
        query = select(tables.audit_log.c.id).where(tables.audit_log.c.action == "export.changes")
        return len(connection.execute(query).all())


def all_of(world: World, cursor: str, role: Role = "analyst") -> int:
    """How many changes somebody reads from a cursor to the end."""
    told, more = 0, True
    while more:
        page = world.ask("GET", f"/api/predictions/changes?limit=2&since={cursor}", role).get_json()["data"]
        cursor, more, told = page["cursor"], page["has_more"], told + len(page["changes"])
    return told


def test_a_cursor_of_somebody_else_is_read_on_with_a_row_of_who_reads(world: World) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    cursor = world.ask("GET", "/api/predictions/changes?limit=1").get_json()["data"]["cursor"]
    assert all_of(world, cursor) == PEOPLE - 1
    assert exports(world) == 1, "one read of one person is one row"
    for count in (2, 3):
        assert all_of(world, cursor, "admin") == PEOPLE - 1
        assert exports(world) == count
    with world.database.read() as connection:
        a = tables.audit_log
        query = select(a.c.user_id, a.c.subject).where(a.c.action == "export.changes").order_by(a.c.id)
        rows = connection.execute(query).all()
    assert rows[1].user_id == rows[2].user_id != rows[0].user_id
    assert [row.subject for row in rows] == [
        "from the beginning, contact allowed", *["on from a cursor, contact allowed"] * 2,
    ]  # fmt: skip


def read_later(monkeypatch: pytest.MonkeyPatch, after: timedelta) -> None:
    read, at = changes.read, utc_now() + after
    monkeypatch.setattr(changes, "read", lambda database, clock, *how, **more: read(database, lambda: at, *how, **more))


def test_an_old_cursor_is_read_on_with_a_row_each_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    cursor = world.ask("GET", "/api/predictions/changes?limit=1").get_json()["data"]["cursor"]
    read_later(monkeypatch, timedelta(hours=1, minutes=1))
    for count in (2, 3):
        assert all_of(world, cursor) == PEOPLE - 1
        assert exports(world) == count


def test_asking_again_and_again_whether_anything_changed_leaves_no_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    page = world.ask("GET", "/api/predictions/changes").get_json()["data"]
    read_later(monkeypatch, timedelta(days=1))
    for _ in range(3):
        again = world.ask("GET", f"/api/predictions/changes?since={page['cursor']}").get_json()["data"]
        assert again["cursor"] == page["cursor"]
    assert exports(world) == 1
    base.publish(dict.fromkeys(base.ids, 0.7), 0)
    assert all_of(world, page["cursor"]) == PEOPLE
    assert exports(world) == 2


def test_nobody_reads_everything_by_a_cursor_that_they_wrote(world: World) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    base.publish(dict.fromkeys(base.ids, 0.7), 0)
    page = world.ask("GET", "/api/predictions/changes?limit=5").get_json()["data"]
    told, _, signature = page["cursor"].partition(".")
    after_the_first = base64.urlsafe_b64encode(json.dumps(["allowed", [[None, None]], 1]).encode()).decode().rstrip("=")
    with world.database.read() as connection:
        foreign = changes.cursor_at(connection, "another secret")
    forged = (after_the_first, f"{after_the_first}.{signature}", told, f"{told}.", f"{told}.{signature[:-1]}", foreign)
    for count, cursor in enumerate(forged, start=2):
        page = world.ask("GET", f"/api/predictions/changes?since={cursor}").get_json()["data"]
        assert (page["begins_anew"], len(page["changes"])) == (True, PEOPLE), cursor
        assert exports(world) == count, cursor


def test_a_read_whose_first_page_is_empty_is_recorded_too(world: World) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    base.suppress(base.ids)
    page = world.ask("GET", "/api/predictions/changes").get_json()["data"]
    assert (page["changes"], page["begins_anew"], exports(world)) == ([], True, 1)


def test_whoever_may_not_be_contacted_any_more_is_taken_off_the_list_and_comes_back_when_that_ends(
    world: World,
) -> None:
    base = Base(world.database)
    base.publish(dict.fromkeys(base.ids, 0.5), 0)
    base.suppress([base.ids[1]])
    path = "/api/predictions/changes"
    everybody = world.ask("GET", f"{path}?contact=any").get_json()["data"]["changes"]
    assert {each["customer_id"]: each["contact"] for each in everybody}["u0001"] == "do not contact"
    page = world.ask("GET", path).get_json()["data"]
    assert [each["customer_id"] for each in page["changes"]] == ["u0000", *(f"u000{k}" for k in range(2, PEOPLE))]
    told = []
    for change in (lambda: base.suppress([base.ids[0]]), lambda: base.allow(base.ids[0])):
        change()
        page = world.ask("GET", f"{path}?since={page['cursor']}").get_json()["data"]
        told += [(each["customer_id"], each["churn_probability"], each["contact"]) for each in page["changes"]]
    assert told == [("u0000", None, "do not contact"), ("u0000", 0.5, "allowed")]
