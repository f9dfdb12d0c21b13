"""Request ids, for answers and for the logs of all processes."""

from __future__ import annotations

import re
import secrets

from flask import g, request

from shared.contracts.api import RIDES_ALONG

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id() -> str:
    """Return the id of the current request: the caller's if it sent a valid one, else a new one."""
    if "request_id" not in g:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    return str(g.request_id)


def coalesced_request_ids() -> dict[str, list[str]]:
    """Return the ids of the other requests coalesced into this one, as a field of the log line."""
    given = request.headers.get(RIDES_ALONG, "").split(",")
    others = [each for each in given if _REQUEST_ID.fullmatch(each)]
    return {"rides_along": others} if others else {}
