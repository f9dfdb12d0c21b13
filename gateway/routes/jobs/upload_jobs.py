"""Answers of routes that take a file: it is stored for the worker, and read by a job.

Law: an upload is stored; its contents are not parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from flask import Response
from flask_openapi import FileStorage
from pydantic import BaseModel, ConfigDict

from gateway.openapi import ok
from gateway.routes.jobs.job_responses import answer_queued, idempotency_key, queue
from gateway.services.importing import uploads
from gateway.services.jobs import work
from gateway.services.jobs.params import FileParams
from gateway.services.jobs.work import JobKind
from gateway.web_environment import environment

F = TypeVar("F", bound=FileParams)
WAIT_S = 60.0
MEGABYTE = 1024 * 1024
FAILURES = (409, 413, 422, 429, 503)


class FileForm(BaseModel):
    """A file, as multipart."""

    model_config = ConfigDict(extra="forbid")

    file: FileStorage


def answer_upload(kind: JobKind[F], file: FileStorage, params: Callable[[str, str], F]) -> Response:
    """Store an upload for the worker, queue a job, and answer with its result.

    Parameters
    ----------
    params
        Makes the job's parameters from the file's path and name.
    """
    env = environment()
    work.require_worker(env.database, env.clock)
    most = env.settings.max_spool_mb * MEGABYTE
    path = uploads.keep(env.settings.data_folder, lambda to: file.save(to), most_bytes=most).resolve()
    name = re.sub(r"[\x00-\x1f]", "", Path(file.filename or "upload").name)[:200]
    try:
        made = params(str(path), name)
        # A repeated request is the same if its bytes are the same, whatever path they are stored at.
        question = repr(replace(made, path=uploads.sha256(path))) if idempotency_key() else None
        job_id = queue(kind, made, question=question)
    except BaseException:
        uploads.discard(str(path))
        raise
    if kind.read(work.read(env.database, job_id).params).path != str(path):
        uploads.discard(str(path))  # a repeated request: its first upload is used
    return answer_queued(job_id, default_wait_s=WAIT_S, done=lambda result: ok(result))
