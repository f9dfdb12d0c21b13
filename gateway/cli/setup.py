"""Opens the environment of a command, and runs jobs for it with their progress shown.

Law: a job started here is a row of the jobs table like any other; this process claims it and reports its end.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from database.accounts.audit import COMMAND_LINE
from database.engine import files
from database.engine.migrate import migrate
from database.jobs import jobs
from database.jobs.jobs import Job
from gateway.environment import Environment, open_environment
from gateway.services.customers.filtering import Pair
from gateway.services.jobs import running, work
from gateway.services.jobs.work import JobKind, P, Work
from gateway.settings import load_settings
from shared.clock import iso
from shared.commands.printing import echo, redraw
from shared.errors import InvalidInput, ServiceUnavailable
from shared.web.logs import configure_logs

START_TIMEOUT_S = 90.0


def prepare() -> Environment:
    """Read the settings, migrate the database, open it. Until the command ends, no backup can be restored into it."""
    settings = load_settings()
    configure_logs(service="cli", level="error", json_lines=False, is_command=True)
    click.get_current_context().with_resource(files.shared_use(settings.database_path))
    migrate(settings.database_path)
    return open_environment(settings, pooled=False)


def run_here(environment: Environment, kind: JobKind[P], params: P) -> dict[str, Any]:
    """Run a job in this process, drawing its progress; its failure is raised."""
    with environment.database.write() as connection:
        now = iso(environment.clock())
        job_id = jobs.create(connection, kind=kind.name, params=kind.store(params), now=now)
        # Claimed in the same transaction, or the worker would claim it.
        job = jobs.claim_one(connection, job_id, worker=f"cli-{socket.gethostname()}-{os.getpid()}", now=now)
    assert job is not None
    line = ProgressLine()
    ended = running.run(Work(environment, job, report=line.show, without_request=COMMAND_LINE), kind)
    line.end()
    return work.result_or_raise(ended)


def follow(environment: Environment, job_id: int) -> Job:
    """Draw the progress of a job that the worker runs, until it ends."""
    line = ProgressLine()
    while True:
        job = work.read(environment.database, job_id)
        line.show(job.progress, job.stage or "Waiting for the worker")
        if job.is_final:
            line.end()
            return job
        time.sleep(0.3)


def until_available(check: Callable[[], None]) -> None:
    """Call `check` until it no longer raises ServiceUnavailable; after 90 seconds its error is raised."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            check()
        except ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


class ProgressLine:
    """A progress line: redrawn in place on a terminal; a line per stage elsewhere."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown = ""
        self._at = 0.0

    def show(self, progress: float, stage: str) -> None:
        """Draw, at most five times a second on a terminal, once per stage and two seconds elsewhere."""
        text = f"{progress * 100:3.0f} %  {stage}"
        pause = 0.2 if self._is_terminal else 2.0
        if text == self._shown or time.monotonic() - self._at < pause:
            return
        self._at, self._shown = time.monotonic(), text
        redraw(text) if self._is_terminal else echo(text, err=True)

    def end(self) -> None:
        """End the line."""
        if self._is_terminal and self._shown:
            echo(err=True)


def filter_pair(text: str) -> Pair:
    """Read a filter given as NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InvalidInput(f"--where {text!r}: expected NAME=VALUE.")
    return name, value
