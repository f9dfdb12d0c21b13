"""The calendar: what the worker does by itself, when it did it last, and when it will again.

Law: why a job failed is for administrators, as everything that jobs of the system tell.
"""

from __future__ import annotations

from typing import Literal

from flask import Response
from pydantic import BaseModel, Field

from gateway.openapi import answers, blueprint, ok
from gateway.security.authentication import caller
from gateway.security.job_access import sees_jobs_of_the_system
from gateway.services.scheduling import calendar
from gateway.setting_rules import Task
from gateway.web_environment import environment

bp = blueprint("schedule", __name__, prefix="/api/schedule")


class ScheduledTask(BaseModel):
    """One line of the schedule."""

    task: Task
    cron: str = Field(description="Minute, hour, day of the month, month, weekday; UTC", examples=["30 3 * * *"])
    next_at: str = Field(description="When it comes next; what is missed while no worker runs is done once")
    last_at: str | None = Field(description="When it came last; null if it never has")
    last_job: int | None = Field(description="The last job it made")
    last_state: str | None = Field(description="State of that job; null where the job is no longer kept")
    note: str | None = Field(description="Why it made no job the last time; for administrators, why that job failed")


class Schedule(BaseModel):
    tasks: list[ScheduledTask]
    promotion: Literal["proposed", "promoted"] = Field(
        description="A scheduled challenger that passes the gate is proposed to an administrator, or goes live"
    )


@bp.get("", summary="The calendar", responses=answers(Schedule))
def list_tasks() -> Response:
    """The lines of SCHEDULE with their last and next times; empty where nothing is scheduled."""
    env, with_reasons = environment(), sees_jobs_of_the_system(caller())
    tasks = [ScheduledTask(**each) for each in calendar.planned(env, with_reasons=with_reasons)]
    return ok(Schedule(tasks=tasks, promotion=env.settings.promotion))
