"""Queues the jobs of the schedule when they are due.

Law: what was due while no worker ran is done once, not once for each time; no task is queued while a job of its kind
waits or runs; a task is claimed in the transaction that queues its job, so two workers queue one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from database.accounts import audit
from database.engine.bulk_insert import AnyRow
from database.engine.session import Connection
from database.jobs import jobs, schedule
from gateway.cron import Cron
from gateway.environment import Environment
from gateway.services import kinds
from gateway.services.jobs.params import NoParams, ScoreParams, TrainingParams
from gateway.services.jobs.work import JobKind
from gateway.services.scheduling import import_folder
from gateway.setting_rules import Task
from gateway.settings import Settings
from shared.clock import iso
from shared.errors import NoCustomers

STILL_RUNS = "Skipped: a job of this kind was still waiting or running."
NOTHING_NEW = "The folder had no new file."
FAILED = "The job failed; administrators can see why."
Wanted = tuple[JobKind[Any], Any, str | None]


def tick(environment: Environment) -> list[int]:
    """Queue what is due; return the ids of the jobs."""
    lines = environment.settings.schedule
    if not lines:
        return []
    now = environment.clock()
    with environment.database.read() as connection:
        known = {row.task: row for row in schedule.rows(connection)}
    made: list[int] = []
    for task, cron in lines.items():
        row = known.get(task)
        if row is None or row.cron != cron.text:
            with environment.database.write() as connection:
                schedule.plan(connection, task, cron=cron.text, next_at=iso(cron.after(now)))
        elif row.next_at <= iso(now):
            with environment.database.write() as connection:
                made += _queue(connection, environment.settings, task, cron, row, now)
    return made


def _queue(connection: Connection, settings: Settings, task: Task, cron: Cron, row: AnyRow, now: datetime) -> list[int]:
    at = iso(now)
    if not schedule.claim(connection, task, due_at=row.next_at, next_at=iso(cron.after(now)), now=at):
        return []
    try:
        wanted = list(_wanted(connection, settings, task))
    except NoCustomers as error:
        schedule.note(connection, task, text=error.message)
        return []
    if not wanted:
        schedule.note(connection, task, text=NOTHING_NEW)
        return []
    made = []
    for kind, params, question in wanted:
        if task != "import" and schedule.is_running(connection, kind.name):
            schedule.note(connection, task, text=STILL_RUNS)
            return []
        stored = kind.store(params)
        made.append(jobs.create(connection, kind=kind.name, params=stored, now=at, question=question))
        schedule.note(connection, task, job_id=made[-1])
        audit.record(connection, "schedule.due", at=at, actor=audit.WORKER, subject=f"{task} job:{made[-1]}")
    return made


def _wanted(connection: Connection, settings: Settings, task: Task) -> Iterator[Wanted]:
    """Yield the jobs of a task: kind, parameters, and the text that tells one from another."""
    if task == "import":
        assert settings.import_folder is not None
        yield from import_folder.new_files(connection, settings.import_folder)
    elif task == "score":
        yield kinds.SCORE, ScoreParams(), None
    elif task == "train":
        yield kinds.TRAIN, TrainingParams(promote=settings.promotion == "promoted"), None
    elif task == "mature":
        yield kinds.MATURE, NoParams(), None
    elif task == "backup":
        yield kinds.BACKUP, NoParams(), None
    else:
        yield kinds.DIGEST, NoParams(), None


def planned(environment: Environment, *, with_reasons: bool) -> list[dict[str, Any]]:
    """Return the lines of the schedule with their last and next times, in the order of the setting.

    Parameters
    ----------
    with_reasons
        Say why the last jobs failed, which can quote cells of a file.
    """
    with environment.database.read() as connection:
        known = {row.task: row for row in schedule.rows(connection)}
    return [
        _planned(task, cron, known.get(task), environment.clock(), with_reasons)
        for task, cron in environment.settings.schedule.items()
    ]


def _planned(task: Task, cron: Cron, row: AnyRow | None, now: datetime, with_reasons: bool) -> dict[str, Any]:
    is_planned = row is not None and row.cron == cron.text
    failure = row.error_message if row is not None else None
    return {
        "task": task,
        "cron": cron.text,
        "next_at": row.next_at if row is not None and is_planned else iso(cron.after(now)),
        "last_at": row.last_at if row is not None else None,
        "last_job": row.job_id if row is not None else None,
        "last_state": row.state if row is not None else None,
        "note": (row.note if row is not None else None) or (failure if with_reasons or failure is None else FAILED),
    }
