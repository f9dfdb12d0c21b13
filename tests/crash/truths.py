"""Truths that have to hold after any kill, read from the database file and asked of the services."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from gateway.services.exporting import export_files
from tests.crash.short_lane import NAMED
from tests.stack import Stack
from tests.world import open_world

SHOWN = (
    "/api/dashboard/metrics",
    "/api/dashboard/distribution",
    "/api/customers?limit=50",
    "/api/customers/high-risk?limit=50",
    "/api/predictions/results",
    "/api/model/status",
    "/api/campaigns?limit=10",
    "/api/do-not-contact?limit=10",
    "/api/segments/summary?by=plan",
)


def broken(stack: Stack, acknowledged: set[str]) -> list[str]:
    """Return a sentence for each promise that does not hold; nothing is under way meanwhile."""
    of_data = [*_of_file(stack), *_of_runs(stack), *_of_models(stack), *_of_campaigns(stack), *_of_lists(stack)]
    return [*of_data, *_of_jobs(stack), *_of_exports(stack), *_of_people(stack, acknowledged)]


def stale(stack: Stack) -> list[str]:
    """Return the reads of the gateway that differ from those of one that has just begun on the same data.

    That one has no kept figures: it measures each of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "retainstream.db")
        stack.rows("SELECT 1")
        _copy(stack, copy)
        fresh = open_world(copy, LOG_LEVEL="error")
        found = []
        for path in SHOWN:
            served, reckoned = stack.analyst().data(path), fresh.ask("GET", path).get_json()["data"]
            if _timeless(served) != _timeless(reckoned):
                found.append(f"GET {path} is stale: {_timeless(served)!r:.300} instead of {_timeless(reckoned)!r:.300}")
        fresh.database.close()
        return found


def _copy(stack: Stack, target: Path) -> None:
    for suffix in ("", "-wal"):
        source = stack.database_path.with_name(stack.database_path.name + suffix)
        if source.exists():
            shutil.copyfile(source, target.with_name(target.name + suffix))
    with closing(sqlite3.connect(target, isolation_level=None)) as raw:
        raw.execute("DELETE FROM kept_figures")


def _timeless(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _timeless(value) for name, value in data.items() if name != "timestamp"}
    return [_timeless(each) for each in data] if isinstance(data, list) else data


def _of_file(stack: Stack) -> Iterator[str]:
    found = stack.value("PRAGMA quick_check")
    if found != "ok":
        yield f"the database is damaged: {found}"


def _of_runs(stack: Stack) -> Iterator[str]:
    counted = "(SELECT count(*) FROM ledger WHERE run_id = r.id)"
    for row in stack.rows(f"SELECT id, state, customers, {counted} AS rows FROM scoring_runs AS r"):
        if row["state"] in ("published", "done") and row["customers"] != row["rows"]:
            yield f"run {row['id']} has {row['rows']} rows of {row['customers']}"
        if row["state"] == "running":
            yield f"run {row['id']} is said to be running"
    ended = "JOIN jobs AS j ON j.id = r.job_id AND j.state IN ('failed', 'cancelled')"
    for row in stack.rows(f"SELECT r.id, j.id AS job, j.state FROM scoring_runs AS r {ended}"):
        yield f"job {row['job']} is {row['state']}, and its run {row['id']} is there"
    shown = stack.rows(
        "SELECT p.run_id, r.customers, r.state, (SELECT count(*) FROM present_ranks WHERE run_id = p.run_id) AS ranked, "
        "(SELECT sum(customers) FROM score_bins WHERE run_id = p.run_id) AS binned "
        "FROM published_run AS p JOIN scoring_runs AS r ON r.id = p.run_id"
    )
    published = stack.rows("SELECT id FROM scoring_runs WHERE state = 'published'")
    if published and not shown:
        yield f"{len(published)} runs are published, and none is shown"
    for row in shown:
        if not (row["state"] == "published" and row["customers"] == row["ranked"] == row["binned"]):
            yield f"the published run {row['run_id']} is not whole: {dict(row)}"


def _of_models(stack: Stack) -> Iterator[str]:
    on_disk = {each["model_version"] for each in stack.ml("GET", "/api/models").json()["models"]}
    for row in stack.rows("SELECT version, state FROM models"):
        if row["state"] == "ready" and row["version"] not in on_disk:
            yield f"model {row['version']} is ready and not on disk"
        if row["state"] not in ("ready", "failed"):
            yield f"model {row['version']} is said to be {row['state']}"


def _of_campaigns(stack: Stack) -> Iterator[str]:
    members = "(SELECT count(*) FROM campaign_members WHERE campaign_id = c.id)"
    audited = (
        "(SELECT count(*) FROM audit_log WHERE action = 'campaign.drawn' AND subject LIKE 'campaign:' || c.id || ' %')"
    )
    for row in stack.rows(
        f"SELECT id, state, contact + control AS drawn, {members} AS members, {audited} AS audited FROM campaigns AS c"
    ):
        if row["state"] != "drawn":
            yield f"campaign {row['id']} is half there: {row['members']} of {row['drawn']} members"
        elif row["drawn"] != row["members"] or row["audited"] != 1:
            yield f"campaign {row['id']} is not whole: {dict(row)}"
    drawn = "(SELECT count(*) FROM campaigns WHERE state = 'drawn' AND name = json_extract(j.params_json, '$.name'))"
    for row in stack.rows(f"SELECT id, state, {drawn} AS drawn FROM jobs AS j WHERE kind = 'campaign'"):
        if row["drawn"] != (row["state"] == "done"):
            yield f"campaign job {row['id']} is {row['state']}, and {row['drawn']} campaigns are there"


def _of_lists(stack: Stack) -> Iterator[str]:
    """Contacts and objections of a file are there once, all or none, and the job tells how many were new."""
    objected = "(SELECT count(*) FROM do_not_contact WHERE since BETWEEN j.created_at AND j.finished_at)"
    for row in _jobs(stack, "do-not-contact", objected):
        if row["there"] != (json.loads(row["result_json"])["new"] if row["state"] == "done" else 0):
            yield f"job {row['id']} is {row['state']}, {row['there']} objections are there: {row['result_json']}"
    told: dict[int, int] = {}
    for row in _jobs(stack, "import-contacts", "0"):
        for each in json.loads(row["result_json"])["campaigns"] if row["state"] == "done" else ():
            told[each["campaign_id"]] = told.get(each["campaign_id"], 0) + each["new"]
    counted = "SELECT c.id, count(k.campaign_id) AS there FROM campaigns AS c"  # also where no contact is there
    kept = "LEFT JOIN campaign_contacts AS k ON k.campaign_id = c.id"
    for row in stack.rows(f"{counted} {kept} WHERE c.name LIKE '{NAMED} %' GROUP BY c.id"):
        if row["there"] != told.get(row["id"], 0):
            yield f"campaign {row['id']} has {row['there']} contacts; jobs tell {told.get(row['id'], 0)}"
    for kind, action in (("do-not-contact", "contact.suppressed"), ("import-contacts", "campaign.contacts")):
        done = stack.value("SELECT count(*) FROM jobs WHERE kind = ? AND state = 'done'", kind)
        audited = stack.value("SELECT count(*) FROM audit_log WHERE action = ?", action)
        if done != audited:
            yield f"{done} jobs {kind} are done, and {audited} are audited"


def _jobs(stack: Stack, kind: str, there: str) -> list[sqlite3.Row]:
    return stack.rows(f"SELECT id, state, result_json, {there} AS there FROM jobs AS j WHERE kind = ?", kind)


def _of_jobs(stack: Stack) -> Iterator[str]:
    for row in stack.rows("SELECT id, kind, state FROM jobs WHERE state IN ('queued', 'running')"):
        yield f"job {row['id']} ({row['kind']}) is still {row['state']}"
    published = "SELECT count(*) FROM imports WHERE job_id = j.id AND state = 'published'"
    for row in stack.rows(
        f"SELECT id, state, result_json, ({published}) AS published FROM jobs AS j WHERE kind = 'import'"
    ):
        if row["state"] == "failed" and row["published"]:
            yield f"import job {row['id']} is failed, and its rows are there"
        if row["published"] and '"unchanged": true' in (row["result_json"] or ""):
            yield f"import job {row['id']} says that it changed nothing, and its rows are there"
        if row["state"] == "done" and not row["published"]:
            yield f"import job {row['id']} is done, and nothing of it is there: {row['result_json'] or '':.200}"


def _of_exports(stack: Stack) -> Iterator[str]:
    """The file of each export that is done is the one that its job tells; a day passes until it is removed."""
    for row in stack.rows("SELECT id, result_json FROM jobs WHERE kind = 'export' AND state = 'done'"):
        told = json.loads(row["result_json"])
        file = export_files.path(stack.database_path.parent, row["id"])
        held = file.read_bytes() if file.exists() else b""
        if (len(held), hashlib.sha256(held).hexdigest()) != (told["bytes"], told["sha256"]):
            yield f"export {row['id']} tells of {told['bytes']} bytes, and another file of {len(held)} is there"


def _of_people(stack: Stack, acknowledged: set[str]) -> Iterator[str]:
    there = {row["email"] for row in stack.rows("SELECT email FROM users")}
    if acknowledged - there:
        yield f"{len(acknowledged - there)} acknowledged accounts are gone, such as {min(acknowledged - there)}"
