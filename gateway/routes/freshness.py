"""Reads whose data change only with a run or an import: a browser asks whether they changed instead of reading anew.

Law: the tag is of the body itself, so what is called unchanged is unchanged, whoever changed what.
"""

from __future__ import annotations

from flask import Response, request


def revalidated(response: Response) -> Response:
    """Tag a successful GET; 304 without a body where the caller has it already."""
    if request.method != "GET" or response.status_code != 200 or response.is_streamed:
        return response
    response.cache_control.private = True
    response.cache_control.no_cache = True
    response.vary.update(("Authorization", "Cookie"))
    response.add_etag()
    response.make_conditional(request)
    return response
