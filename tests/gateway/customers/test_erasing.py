"""Erasing a customer: nothing of them stays, everything of the others does, and it is done whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import func, select, update

from database.accounts import audit
from database.importing import erase_customer, erase_filters
from database.jobs import jobs
from database.scoring import runs
from database.tables import tables
from gateway.services import kinds
from gateway.services.customers.erasing import BUSY
from gateway.services.importing import uploads
from gateway.services.jobs import locks
from gateway.services.jobs.params import ExportParams
from shared.clock import Clock, iso
from tests.gateway.conftest import Run
from tests.world import World

THEIRS = [table for table in tables.metadata.sorted_tables if "customer_id" in table.columns]
NOTE = "calls back on Tuesday"


@pytest.fixture
def base(make_world: Callable[..., World], demo_file: Path, demo_clock: Clock) -> World:
    """A copy of the demo."""
    return make_world(demo_file, at=demo_clock)


def somebody(world: World) -> tuple[int, str]:
    """A customer of a campaign with something in nearly every table; the key and the user_id."""
    c, m, x = tables.customers.c, tables.campaign_members.c, tables.campaign_contacts.c
    with world.database.read() as connection:
        query = select(c.id, c.user_id).join(tables.campaign_members, m.customer_id == c.id)
        query = query.join(tables.campaign_contacts, x.customer_id == c.id).where(c.churn == 0).order_by(c.id).limit(1)
        key, name = connection.execute(query).one()
    assert world.ask("PATCH", f"/api/customers/{name}/work", json={"note": NOTE}).status_code == 200
    listed = {"customers": [name], "reason": "objected"}
    assert world.ask("POST", "/api/do-not-contact", json=listed).status_code == 200
    with world.database.write() as connection:
        job = connection.execute(select(func.min(tables.jobs.c.id))).scalar_one()
        details = json.dumps([{"row": 3, "field": "id", "value": name, "message": f"'{name}' is there twice"}])
        told = {"error_details_json": details, "error_message": f"line 3, id: '{name}' is there twice"}
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == job).values(told))
    return key, name


def rows(world: World, key: int | None = None) -> dict[str, int]:
    """How many rows each table has, of one customer or of everybody."""
    with world.database.read() as connection:
        return {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(*([] if key is None else [table.c.customer_id == key]))
            ).scalar_one()
            for table in THEIRS
        }


def score_figures_of(world: World, run_id: int) -> list[tuple[float, ...]]:
    """The stored roll-up of a run, in the columns of `runs.measure_bins`."""
    b = tables.score_bins
    with world.database.read() as connection:
        query = select(b.c.bin, b.c.customers, b.c.probability_sum, b.c.revenue_at_risk, b.c.unpriced)
        return [tuple(row) for row in connection.execute(query.where(b.c.run_id == run_id).order_by(b.c.bin))]


def test_nothing_of_the_customer_stays_and_everything_of_the_others_does(base: World) -> None:
    key, name = somebody(base)
    before, own = rows(base), rows(base, key)
    for table in ("ledger", "outcomes", "customer_snapshots", "subscriptions", "worklist_history", "do_not_contact"):
        assert own[table], table
    total = base.ask("GET", "/api/customers").get_json()["data"]["total"]
    answer = base.ask("DELETE", f"/api/customers/{name}", "admin")
    assert answer.status_code == 200, answer.get_json()
    found = answer.get_json()["data"]["rows"]
    assert set(rows(base, key).values()) == {0}
    after = rows(base)
    after["contact_changes"] -= 1  # that somebody was erased, without a name
    assert {table: before[table] - left for table, left in after.items()} == own
    assert {table: found.get(table, 0) for table in own} == own
    assert (found["customers"], found["job results"]) == (1, 1)
    assert base.ask("GET", f"/api/customers/{name}").status_code == 404
    assert base.ask("GET", "/api/customers").get_json()["data"]["total"] == total - 1
    assert base.ask("DELETE", f"/api/customers/{name}", "admin").status_code == 404
    with base.database.read() as connection:
        run = runs.published(connection)
        assert run is not None
        counted, again = score_figures_of(base, run.run_id), runs.measure_bins(connection, run.run_id)
    assert [row[:2] for row in counted] == [tuple(row[:2]) for row in again]
    assert [row[2:] for row in counted] == [pytest.approx(tuple(row[2:])) for row in again]
    base.database.close()
    with base.database.read() as connection:
        kept = connection.execute(select(tables.jobs.c.error_message, tables.jobs.c.error_details_json)).all()
        logged = connection.execute(select(tables.audit_log.c.action, tables.audit_log.c.subject)).all()
    assert (erase_customer.ERASED, None) in {tuple(row) for row in kept}
    assert ("customer.erased", f"customer:{key} {sum(found.values()):,} rows") in {tuple(row) for row in logged}
    assert not [row for row in logged if name in (row.subject or "")]


def test_the_name_is_in_no_table_any_more(base: World) -> None:
    _, name = somebody(base)
    email = f"{name}@"
    assert base.ask("DELETE", f"/api/customers/{name}", "admin").status_code == 200
    with base.database.read() as connection:
        for table in tables.metadata.sorted_tables:
            for row in connection.execute(select(table)):
                told = " ".join(str(cell) for cell in row)
                assert f"'{name}'" not in told and f'"{name}"' not in told and name not in row, table.name
                assert email not in told and NOTE not in told, table.name


@pytest.mark.parametrize("kind", [kinds.PREVIEW, kinds.PROPOSE_SCHEMA])
def test_what_is_told_of_a_file_goes_however_the_id_stands_there(base: World, kind: kinds.JobKind[Any]) -> None:
    _, name = somebody(base)
    file = uploads.folder(base.settings.data_folder) / "upload-1"
    lines = [f" {name} ,{name} private@example.com,1", *(f"c{k},c{k}@example.com,{k}" for k in range(20))]
    file.write_text("\n".join(["who,mail,x", *lines]) + "\n")
    base.do(kind.name, kind.run, {"path": str(file), "file_name": "a.csv"})
    assert name in results(base)
    assert base.ask("DELETE", f"/api/customers/{name}", "admin").status_code == 200
    assert name not in results(base)


def results(world: World) -> str:
    """The results of all jobs, one after another."""
    with world.database.read() as connection:
        found = connection.execute(select(tables.jobs.c.result_json)).scalars()
        return " ".join(each for each in found if each)


def test_stored_filters_that_find_the_customer_alone_go_and_others_stay(base: World) -> None:
    key, name = somebody(base)
    c, t, j = tables.customers.c, tables.campaigns, tables.jobs
    with base.database.read() as connection:
        email = connection.execute(select(c.email).where(c.id == key)).scalar_one()
        others = connection.execute(select(c.user_id).where(c.id != key).limit(1)).scalar_one()
    assert email
    queries = {
        "id": f"q={name.upper()}&sort=-tenure_months", "address": f"q={quote(email)}", "nearly": f"q={quote(email[:-1])}",
        "first letter": f"q={name[0]}", "somebody else": f"q={others}", "plan": "plan=Standard",
    }  # fmt: skip
    for title, query in queries.items():
        saved = base.ask("POST", "/api/segments", json={"name": title, "query": query})
        assert saved.status_code == 201, saved.get_json()
    asked = kinds.EXPORT.store(ExportParams("predictions", (("customer_id", name), ("contact", "any"))))
    with base.database.write() as connection:
        campaign, first = connection.execute(select(t.c.id, t.c.filters_json).order_by(t.c.id).limit(1)).one()
        told = json.dumps([["q", email], *json.loads(first)])
        connection.execute(update(t).where(t.c.id == campaign).values(filters_json=told))
        job = jobs.create(connection, kind="export", params=asked, now=iso(base.clock()))
        result = json.dumps({"rows": 1, "filters": [["q", email[:-1]]]})
        connection.execute(update(j).where(j.c.id == job).values(result_json=result))
    answer = base.ask("DELETE", f"/api/customers/{name}", "admin")
    rows = answer.get_json()["data"]["rows"]
    assert (rows["segments"], rows["filters of campaigns"], rows["filters of jobs"]) == (3, 1, 2)
    left = base.ask("GET", "/api/segments").get_json()["data"]["segments"]
    assert {each["name"] for each in left} == {"first letter", "somebody else", "plan"}
    with base.database.read() as connection:
        kept = str(connection.execute(select(j.c.params_json, j.c.result_json).where(j.c.id == job)).one())
        assert name not in kept and email[:-1] not in kept
        stored = connection.execute(select(t.c.filters_json).where(t.c.id == campaign)).scalar_one()
        logged = connection.execute(select(tables.audit_log.c.action)).scalars().all()
    assert json.loads(stored) == [["q", erase_filters.ERASED], *json.loads(first)]
    assert logged.count("segment.deleted") == 3


def test_who_keeps_the_list_by_its_changes_no_longer_has_the_customer(base: World) -> None:
    before, cursor = read_changes(base, None)
    name = next(iter(before))
    assert base.ask("DELETE", f"/api/customers/{name}", "admin").status_code == 200
    first = base.ask("GET", f"/api/predictions/changes?since={cursor}&contact=any").get_json()["data"]
    assert first["begins_anew"]
    after, cursor = read_changes(base, cursor)
    assert set(after) == set(before) - {name}
    assert not base.ask("GET", f"/api/predictions/changes?since={cursor}&contact=any").get_json()["data"]["begins_anew"]


def read_changes(world: World, cursor: str | None) -> tuple[dict[str, float | None], str]:
    """The list that all pages since a cursor make, and the last cursor."""
    found: dict[str, float | None] = {}
    more = True
    while more:
        since = "" if cursor is None else f"&since={cursor}"
        page = world.ask("GET", f"/api/predictions/changes?contact=any{since}").get_json()["data"]
        found |= {each["customer_id"]: each["churn_probability"] for each in page["changes"]}
        cursor, more = page["cursor"], page["has_more"]
    assert cursor is not None
    return found, cursor


def test_it_is_done_whole_or_not_at_all(base: World, monkeypatch: pytest.MonkeyPatch) -> None:
    key, name = somebody(base)
    own = rows(base, key)

    def fails(*_: object, **__: object) -> None:
        raise OSError("the disk broke")

    base.signed_in("admin")
    monkeypatch.setattr(audit, "record", fails)
    assert base.ask("DELETE", f"/api/customers/{name}", "admin").status_code == 500
    assert rows(base, key) == own
    assert base.ask("GET", f"/api/customers/{name}").status_code == 200


@pytest.mark.parametrize("what", [locks.IMPORTS, locks.FACTS, locks.LISTS])
def test_it_waits_for_no_job_but_says_so(base: World, what: str) -> None:
    key, name = somebody(base)
    own = rows(base, key)
    with locks.held_or_refused(base.settings, what, "busy"):
        answer = base.ask("DELETE", f"/api/customers/{name}", "admin")
    assert (answer.status_code, answer.get_json()["message"]) == (409, BUSY)
    assert rows(base, key) == own


def test_a_file_of_contacts_that_is_half_written_is_finished_first(base: World) -> None:
    key, name = somebody(base)
    own = rows(base, key)
    job = base.job("import-contacts")
    with base.database.write() as connection:
        jobs.note_result(connection, job, {"written": {}})
    answer = base.ask("DELETE", f"/api/customers/{name}", "admin")
    assert (answer.status_code, answer.get_json()["message"]) == (409, BUSY)
    assert rows(base, key) == own
    with base.database.write() as connection:
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(state="failed"))
    assert base.ask("DELETE", f"/api/customers/{name}", "admin").status_code == 200


def test_only_administrators_erase(base: World) -> None:
    _, name = somebody(base)
    for role in ("viewer", "analyst"):
        assert base.ask("DELETE", f"/api/customers/{name}", role).status_code == 403  # type: ignore[arg-type]
    assert base.ask("GET", f"/api/customers/{name}").status_code == 200


def test_the_command_asks_first_and_counts_what_it_erased(
    base: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, name = somebody(base)
    from gateway.cli import keep

    monkeypatch.setattr(keep, "prepare", lambda: base.environment)
    monkeypatch.setattr("click.confirm", lambda *_, **__: (_ for _ in ()).throw(keep.click.exceptions.Abort()))
    status, _, _ = run(base, "erase", name)
    assert status == 130
    assert rows(base, key)["ledger"] > 0
    status, out, err = run(base, "erase", name, "--yes")
    assert (status, err) == (None, "")
    assert set(rows(base, key).values()) == {0}
    assert "ledger" in out and "Backups" in out
