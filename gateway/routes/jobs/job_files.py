"""Sends the files that jobs left.

Law: nothing of a file leaves before it is in the audit log who fetches it; what is answered without a byte is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import Response, request, send_file

from gateway.security.authentication import current_user
from gateway.services.jobs import fetching
from gateway.services.jobs.fetching import Fetched
from gateway.web_environment import environment
from shared.clock import iso


def sent(file: Path, action: Fetched, job_id: int, **how: Any) -> Response:
    """Answer with a file as an attachment; `how` as `send_file` takes it."""
    env = environment()
    answer = send_file(file.resolve(), as_attachment=True, **how)
    answer.headers["Cache-Control"] = "no-store"
    try:
        if request.method == "GET" and answer.status_code != 304:
            fetching.record(env.database, action, job_id, at=iso(env.clock()), actor=current_user().actor)
    except BaseException:
        answer.close()
        raise
    return answer
