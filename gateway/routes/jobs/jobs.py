"""Routes to follow jobs and to cancel them."""

from __future__ import annotations

from typing import Literal

from flask import Response
from pydantic import BaseModel, Field

from database.jobs import job_lists
from gateway.openapi import Keyset, answers, blueprint, ok
from gateway.routes.jobs.job_responses import JobOut, job_out
from gateway.security.authentication import caller, current_user
from gateway.security.job_access import visible_kinds
from gateway.services.jobs import work
from gateway.web_environment import environment
from shared.errors import invalid
from shared.parsing_limits import MAX_INT64

bp = blueprint("jobs", __name__, prefix="/api/jobs")


class JobPath(BaseModel):
    """A job, by its number."""

    job_id: int = Field(ge=1, le=MAX_INT64)


class JobsQuery(Keyset):
    """Filters of the list."""

    after: str | None = Field(None, pattern=r"^[0-9]{1,19}$", description="`next` of the previous page")
    state: Literal["queued", "running", "done", "failed", "cancelled"] | None = None
    kind: str | None = Field(None, max_length=40)


class JobPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobOut]
    next: str | None


@bp.get("", summary="Jobs, newest first", responses=answers(JobPage))
def list_jobs(query: JobsQuery) -> Response:
    """Keyset paging by id; without results. A key sees the kinds of its scopes."""
    before = None
    if query.after is not None:
        if not query.after.isdecimal() or int(query.after) > MAX_INT64:
            raise invalid("after", "expected the `next` of the previous page")
        before = int(query.after)
    with environment().database.read() as connection:
        found = job_lists.page(
            connection, limit=query.limit + 1, before_id=before, state=query.state, kinds=_kinds(query.kind)
        )
    page = found[: query.limit]
    more = str(page[-1].id) if len(found) > query.limit else None
    return ok(JobPage(jobs=[job_out(job, in_list=True) for job in page], next=more))


def _kinds(wanted: str | None) -> frozenset[str] | None:
    seen = visible_kinds(caller())
    if wanted is None:
        return seen
    return frozenset({wanted}) if seen is None else seen & {wanted}


@bp.get("/<int:job_id>", summary="One job", responses=answers(JobOut, also=(404,)))
def get_job(path: JobPath) -> Response:
    """State and progress in [0, 1]; the result or error only for its owner and administrators."""
    return ok(job_out(work.read(environment().database, path.job_id)))


@bp.delete("/<int:job_id>", summary="Ask a job to stop", responses=answers(JobOut, also=(403, 404)))
def cancel_job(path: JobPath) -> Response:
    """A queued job ends immediately, a running one within seconds; a finished job, or one past cancelling, stays."""
    env = environment()
    return ok(job_out(work.cancel(env.database, env.clock, path.job_id, actor=current_user().actor)))
