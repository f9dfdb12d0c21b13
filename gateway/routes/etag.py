"""Reads whose data change only with a run or an import: a browser asks whether they changed instead of reading anew.

Law: the tag is of the body itself, so what is called unchanged is unchanged, whoever changed what. What is given again
from memory was computed from the very database that stands now (`gateway.query_cache`).
"""

from __future__ import annotations

from flask import Response, g, request

from gateway.openapi import APIBlueprint
from gateway.web_environment import environment


def install(bp: APIBlueprint) -> None:
    """Remember and tag a blueprint's GETs: for answers that depend on the database and the question alone."""
    bp.before_request(_recalled)
    bp.after_request(_revalidated)


def _recalled() -> Response | None:
    if request.method != "GET":
        return None
    g.asked = request.full_path
    g.version, body = environment().query_cache.get(g.asked)
    g.recalled = body is not None
    return None if body is None else Response(body, mimetype="application/json")


def _revalidated(response: Response) -> Response:
    """Tag a successful GET; 304 without a body where the caller has it already."""
    if request.method != "GET" or response.status_code != 200 or response.is_streamed:
        return response
    if not g.get("recalled", True):
        environment().query_cache.put(g.asked, g.version, response.get_data())
    response.cache_control.private = True
    response.cache_control.no_cache = True
    response.vary.update(("Authorization", "Cookie"))
    response.add_etag()
    response.make_conditional(request)
    return response
