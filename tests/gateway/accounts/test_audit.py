"""The audit log: written by routes, commands and the worker, read by administrators, changed by nobody."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import insert

import gateway.cli.main as cli
from database.accounts import audit
from database.accounts.audit import COMMAND_LINE, Actor
from database.customers import customer_base
from database.jobs import jobs, workers
from database.models import models
from database.tables import tables
from gateway.cli import auditing
from gateway.clients.ml_client import MLClient
from gateway.services.accounts import accounts, api_keys
from gateway.services.jobs import work
from gateway.services.models import promotions
from shared.clock import iso
from shared.schema.features import schema_from_dict
from tests.gateway.accounts.test_api_keys import PREDICT, Shop, build
from tests.world import PASSWORD


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    built = build(tmp_path)
    yield built
    built.database.close()


def entries(shop: Shop, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    sent = shop.client.get("/api/audit", query_string=query, headers=headers or shop.bearer("admin"))
    assert sent.status_code == 200, sent.text
    return list(sent.get_json()["data"]["entries"])


def a_worker_is_there(shop: Shop) -> None:
    with shop.database.write() as connection:
        workers.seen(connection, "w", iso(shop.watch()))


def test_a_job_submitted_and_cancelled_with_a_key_tells_of_key_owner_and_request(shop: Shop) -> None:
    a_worker_is_there(shop)
    headers = shop.bearer("analyst")
    made = shop.make(headers, "score")
    how = {"X-API-Key": made["key"], "Prefer": "respond-async", "X-Request-ID": "nightly-1", "Idempotency-Key": "k"}
    for _ in range(2):
        assert shop.client.post(PREDICT, headers=how).status_code == 202
    shop.client.delete("/api/jobs/1", headers={"X-API-Key": made["key"]})
    shop.client.delete("/api/jobs/1", headers={"X-API-Key": made["key"]})
    cancelled, submitted = entries(shop, action="job")
    told = {name: submitted[name] for name in ("actor", "user_id", "key_id", "action", "subject", "request_id")}
    assert told == {
        "actor": "key", "user_id": shop.id_of(headers), "key_id": made["id"], "action": "job.submitted.score",
        "subject": "job:1", "request_id": "nightly-1",
    }  # fmt: skip
    assert (cancelled["action"], cancelled["actor"], cancelled["key_id"]) == ("job.cancelled", "key", made["id"])


def test_a_job_of_a_person_and_one_of_the_command_line_tell_so(shop: Shop) -> None:
    a_worker_is_there(shop)
    shop.client.post("/api/model/train", headers={**shop.bearer("analyst"), "Prefer": "respond-async"})
    with shop.database.write() as connection:
        jobs.create(connection, kind="import", params={}, now=iso(shop.watch()))
    work.cancel(shop.database, shop.watch, 2)
    told = [(entry["action"], entry["actor"]) for entry in entries(shop, action="job")]
    assert told == [
        ("job.cancelled", "command line"),
        ("job.submitted.import", "command line"),
        ("job.submitted.train", "user"),
    ]


def test_accounts_passwords_and_keys_are_told_of_by_number(shop: Shop) -> None:
    admin, analyst = shop.bearer("admin"), shop.bearer("analyst")
    who = shop.id_of(analyst)
    key = shop.make(analyst)
    shop.client.delete(f"/api/auth/keys/{key['id']}", headers=admin)
    for change in ({"role": "viewer"}, {"disabled": True}, {"disabled": False}, {"new_password": "another long one"}):
        assert shop.client.patch(f"/api/users/{who}", json=change, headers=admin).status_code == 200
    body = {"current_password": PASSWORD, "new_password": "yet another one"}
    assert shop.client.post("/api/auth/password", json=body, headers=admin).status_code == 200
    new = {"email": "New@example.com", "password": PASSWORD, "name": "New"}
    assert shop.client.post("/api/auth/register", json=new).status_code == 201
    sent = shop.client.post("/api/auth/login", json={"email": "admin@example.com", "password": "yet another one"})
    told = entries(shop, {"Authorization": f"Bearer {sent.get_json()['data']['token']}"})
    assert [(entry["action"], entry["subject"], entry["actor"]) for entry in reversed(told)] == [
        ("user.created", "user:1 admin", "command line"),
        ("user.created", "user:2 analyst", "command line"),
        ("key.created", "key:1 user:2 read", "user"),
        ("key.revoked", "key:1 user:2", "user"),
        ("user.role_changed", "user:2 analyst -> viewer", "user"),
        ("user.disabled", "user:2", "user"),
        ("user.enabled", "user:2", "user"),
        ("user.password_reset", "user:2", "user"),
        ("user.password_changed", "user:1", "user"),
        ("user.registered", "user:3 analyst", "nobody"),
    ]
    assert "@" not in str(told)


def test_sign_in_failures_beyond_the_limit_are_told_once_a_window_without_address_or_e_mail(tmp_path: Path) -> None:
    shop = build(tmp_path, CREDENTIALS_LIMIT="3 per minute")
    headers = shop.bearer("admin")
    where = {"REMOTE_ADDR": "203.0.113.7"}
    for _ in range(9):
        shop.client.post(
            "/api/auth/login", json={"email": "ann@example.com", "password": "wrong"}, environ_overrides=where
        )
    (told,) = entries(shop, headers, action="credentials.limited")
    assert told["actor"] == "nobody"
    assert told["subject"].startswith("POST /api/auth/login client:")
    assert told["request_id"]
    assert "ann" not in told["subject"]
    assert "203.0.113" not in str(told)


def test_models_going_live_and_back_are_told_of(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MLClient, "require_intact", lambda *_: None)
    schema = schema_from_dict({"features": {"x": {"kind": "number"}}})
    with shop.database.write() as connection:
        customer_base.adopt(connection, schema, is_demo=True, clock=shop.watch)
        for version in ("1.0.0", "1.0.1"):
            values = {"version": version, "state": "ready", "schema_checksum": schema.checksum(), "report_json": "{}"}
            connection.execute(insert(tables.models).values(**values, trained_on="2026-01-01", created_at="2026-01-01"))
        models.promote(connection, 1, reason="first", live_from="2026-01-01")
    admin = shop.bearer("admin")
    by = shop.id_of(admin)
    sent = shop.client.post("/api/model/promote", json={"version": "1.0.1", "reason": "better"}, headers=admin)
    assert sent.status_code == 200, sent.text
    assert shop.client.post("/api/model/rollback", json={"reason": "worse"}, headers=admin).status_code == 200
    promotions.promote(
        shop.database, shop.watch, lambda _: None, version="1.0.1", reason="x", force=True, actor=Actor(by)
    )
    told = [(entry["action"], entry["subject"], entry["user_id"]) for entry in entries(shop, admin, action="model")]
    assert told == [
        ("model.promoted.forced", "model:1.0.1", by),
        ("model.rolled_back", "model:1.0.1 -> 1.0.0", by),
        ("model.promoted", "model:1.0.1", by),
    ]


def test_taking_the_demo_out_is_told_of(shop: Shop) -> None:
    from gateway.services import demo

    with shop.database.write() as connection:
        customer_base.adopt(
            connection, schema_from_dict({"features": {"x": {"kind": "number"}}}), is_demo=True, clock=shop.watch
        )
    assert demo.remove(shop.database, shop.watch)
    assert [entry["actor"] for entry in entries(shop, action="demo.removed")] == ["command line"]


def test_what_a_demo_account_did_stays_when_it_and_its_keys_go(shop: Shop) -> None:
    a_worker_is_there(shop)
    demo = accounts.create_demo_account(shop.database, clock=shop.watch, cost=4, app_env="test")
    _, secret = api_keys.create(
        shop.database, clock=shop.watch, user_id=demo.id, name="x", scopes=["score"], actor=Actor(demo.id)
    )
    shop.client.post(PREDICT, headers={"X-API-Key": secret, "Prefer": "respond-async"})
    assert accounts.remove_demo_account(shop.database)
    (told,) = entries(shop, action="job.submitted.score")
    assert (told["actor"], told["user_id"], told["key_id"]) == ("key", None, None)


# --- reading it -----------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_newest_first_while_rows_are_added(shop: Shop) -> None:
    headers = shop.bearer("admin")
    for number in range(7):
        with shop.database.write() as connection:
            audit.record(connection, "a.b", at=iso(shop.watch()), actor=COMMAND_LINE, subject=str(number))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3, "action": "a"}
    while query.get("after", "") is not None:
        data = shop.client.get("/api/audit", query_string=query, headers=headers).get_json()["data"]
        seen += [entry["subject"] for entry in data["entries"]]
        query["after"] = data["next"]
        with shop.database.write() as connection:
            audit.record(connection, "a.b", at=iso(shop.watch()), actor=COMMAND_LINE, subject="later")
    assert seen == [str(number) for number in reversed(range(7))]


def test_filters_find_by_action_person_and_time(shop: Shop) -> None:
    admin = shop.bearer("admin")
    with shop.database.write() as connection:
        for days, action, by in ((3, "user.renamed", 1), (2, "user_x.y", 1), (1, "user.disabled", None)):
            at = iso(shop.watch() - timedelta(days=days))
            audit.record(connection, action, at=at, actor=Actor(by))
    assert {entry["action"] for entry in entries(shop, admin, action="user")} == {
        "user.created", "user.renamed", "user.disabled",
    }  # fmt: skip
    assert entries(shop, admin, action="use") == entries(shop, admin, action="%") == []
    assert {entry["action"] for entry in entries(shop, admin, user=1)} == {"user.renamed", "user_x.y"}
    since = (shop.watch() - timedelta(days=1, hours=1)).isoformat()
    assert [entry["action"] for entry in entries(shop, admin, since=since)] == ["user.disabled", "user.created"]
    tomorrow = (shop.watch() + timedelta(days=1)).date().isoformat()
    assert entries(shop, admin, since=tomorrow) == []


@pytest.mark.parametrize(
    "query",
    [{"since": "yesterday"}, {"since": "2026-13-01"}, {"user": "ann"}, {"user": 0}, {"after": "x"}, {"limit": 0}],
)
def test_an_odd_filter_is_422(shop: Shop, query: dict[str, Any]) -> None:
    assert shop.client.get("/api/audit", query_string=query, headers=shop.bearer("admin")).status_code == 422


def test_only_an_administrator_reads_it(shop: Shop) -> None:
    assert shop.client.get("/api/audit", headers=shop.bearer("analyst")).status_code == 403
    assert shop.client.get("/api/audit").status_code == 401


def test_no_row_of_it_can_be_changed_and_no_young_one_deleted(shop: Shop) -> None:
    shop.bearer("admin")
    with closing(sqlite3.connect(shop.database.path)) as raw:
        for statement in (
            "UPDATE audit_log SET action = 'x'",
            "UPDATE audit_log SET at = '2000-01-01'",
            "UPDATE audit_log SET user_id = 1",
            "UPDATE audit_log SET actor = 'worker'",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                raw.execute(statement)
        with pytest.raises(sqlite3.IntegrityError, match="kept for a month"):
            raw.execute("DELETE FROM audit_log")


# --- by command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def told(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`retainstream audit ...`: its status, the lines it printed, what it said beside."""
    context = SimpleNamespace(database=shop.database, clock=shop.watch)
    monkeypatch.setattr(auditing, "prepare", lambda: context)

    def run(*words: str) -> tuple[int | None, list[str], str]:
        monkeypatch.setattr(sys, "argv", ["retainstream", "audit", *words])
        status = None
        capsys.readouterr()  # what the app logged
        try:
            cli.main()
        except SystemExit as left:
            status = left.code  # type: ignore[assignment]
        shown = capsys.readouterr()
        return status, shown.out.splitlines(), shown.err

    return run


def test_the_command_prints_what_the_route_answers(shop: Shop, told: Any) -> None:
    shop.make(shop.bearer("analyst"))
    answered = entries(shop, limit=100)
    assert [json.loads(line) for line in told("--json")[1]] == answered
    assert len(told()[1]) == len(answered)
    assert any("user:1" in text and "key.created" in text for text in told()[1])


def test_the_command_filters_and_pages_as_the_route_does(shop: Shop, told: Any) -> None:
    shop.make(shop.bearer("analyst"))
    everything = [json.loads(line) for line in told("--json")[1]]
    seen: list[dict[str, Any]] = []
    after: list[str] = []
    while True:
        _, lines, more = told("--json", "--limit", "1", *after)
        seen += [json.loads(line) for line in lines]
        if not more:
            break
        after = ["--after", more.split()[-1]]
    assert seen == everything
    assert [json.loads(line)["action"] for line in told("--json", "--action", "key")[1]] == ["key.created"]
    for who in ("analyst@example.com", "1"):
        assert [json.loads(line)["action"] for line in told("--json", "--user", who)[1]] == ["key.created"]
    assert told("--since", "2999-01-01") == (None, [], "")


@pytest.mark.parametrize(
    "words", [("--since", "soon"), ("--user", "nobody@example.com"), ("--limit", "0"), ("--after", "x")]
)
def test_what_the_command_can_not_read_is_said_with_status_two(told: Any, words: tuple[str, str]) -> None:
    status, lines, beside = told(*words)
    assert (status, lines) == (2, [])
    assert "Error" in beside
