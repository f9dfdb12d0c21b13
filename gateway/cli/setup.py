"""What a command needs before it can do anything: settings, an up-to-date database, a way to run a job and show it.

Law: a job started here is a row of the jobs table like any other; this process claims it and reports its end.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, TextIO

import click

from database.engine.migrate import migrate
from database.engine.session import Database
from database.engine.sqlite import file_lock
from database.jobs import jobs
from database.jobs.jobs import Job
from gateway.clients.ml_client import MLClient
from gateway.services.jobs import work
from gateway.services.jobs.work import JobKind, P, Work
from gateway.settings import Settings, load_settings
from shared.clock import Clock, iso, utc_now
from shared.web.logs import configure_logs


@dataclass(frozen=True)
class Context:
    """What every command has at hand."""

    settings: Settings
    database: Database
    ml: MLClient
    clock: Clock
    using: TextIO


def prepare() -> Context:
    """Read the settings, migrate the database, open it. No backup is restored into it while a command runs."""
    settings = load_settings()
    configure_logs(service="cli", level="error", json_lines=False)
    using = file_lock.share(settings.database_path)
    migrate(settings.database_path)
    database = Database(settings.database_path, pooled=False)
    ml = MLClient(settings.python_service_url, settings.ml_service_token.get_secret_value())
    return Context(settings, database, ml, utc_now, using)


def run_here(context: Context, kind: JobKind[P], params: P) -> dict[str, Any]:
    """Run a job in this process, drawing its progress; its failure is raised."""
    database, clock = context.database, context.clock
    with database.write() as connection:
        now = iso(clock())
        job_id = jobs.create(connection, kind=kind.name, lane=kind.lane, params=kind.store(params), now=now)
        # Claimed in the same transaction, or the worker would take it.
        job = jobs.claim_one(connection, job_id, worker=f"cli-{socket.gethostname()}-{os.getpid()}", now=now)
    assert job is not None
    line = ProgressLine()
    ended = work.run(Work(database, context.ml, context.settings, clock, job, report=line.show), kind)
    line.end()
    return work.result_or_raise(ended)


def follow(context: Context, job_id: int) -> Job:
    """Draw the progress of a job that the worker runs, until it ends."""
    line = ProgressLine()
    while True:
        job = work.read(context.database, job_id)
        line.show(job.progress, job.stage or "Waiting for the worker")
        if job.is_final:
            line.end()
            return job
        time.sleep(0.3)


class ProgressLine:
    """One line that moves on a terminal; a line per stage elsewhere."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty()
        self._shown = ""
        self._at = 0.0

    def show(self, progress: float, stage: str) -> None:
        """Draw, at most five times a second on a terminal, once per stage and two seconds elsewhere."""
        text = f"{progress * 100:3.0f} %  {stage}"
        pause = 0.2 if self._moves else 2.0
        if text == self._shown or time.monotonic() - self._at < pause:
            return
        self._at, self._shown = time.monotonic(), text
        click.echo(f"\r\x1b[2K{text}" if self._moves else text, nl=not self._moves, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._moves and self._shown:
            click.echo("", err=True)
