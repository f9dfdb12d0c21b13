"""Truths that have to hold after any kill, read from the database file and asked of the services."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.stack import Stack
from tests.world import open_world

SHOWN = (
    "/api/dashboard/metrics",
    "/api/dashboard/distribution",
    "/api/customers?limit=50",
    "/api/customers/high-risk?limit=50",
    "/api/predictions/results",
    "/api/model/status",
)


def broken(stack: Stack, acknowledged: set[str]) -> list[str]:
    """Return a sentence for each promise that does not hold; nothing is under way meanwhile."""
    return [*_of_file(stack), *_of_runs(stack), *_of_models(stack), *_of_jobs(stack), *_of_people(stack, acknowledged)]


def stale(stack: Stack) -> list[str]:
    """Return the reads of the gateway that differ from those of a gateway that has just begun on the same data."""
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
    shown = stack.rows(
        "SELECT p.run_id, r.customers, r.state, (SELECT count(*) FROM present_ranks WHERE run_id = p.run_id) AS ranked, "
        "(SELECT sum(customers) FROM score_bins WHERE run_id = p.run_id) AS binned "
        "FROM published_run AS p JOIN scoring_runs AS r ON r.id = p.run_id"
    )
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


def _of_people(stack: Stack, acknowledged: set[str]) -> Iterator[str]:
    there = {row["email"] for row in stack.rows("SELECT email FROM users")}
    if acknowledged - there:
        yield f"{len(acknowledged - there)} acknowledged accounts are gone, such as {min(acknowledged - there)}"
