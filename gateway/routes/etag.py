"""ETags and cached answers for reads whose data change only with a run or an import.

Law: the tag is the body's checksum, so a 304 means an unchanged body. A cached answer was computed from the present
state of the database, but for costly figures, which can be a minute old (`gateway.query_cache`).
"""

from __future__ import annotations

from flask import Response, g, request

from gateway.openapi import APIBlueprint
from gateway.web_environment import environment


def install(bp: APIBlueprint) -> None:
    """Cache and tag a blueprint's GETs, whose answers depend on the database and the request alone."""
    bp.before_request(_from_cache)
    bp.after_request(_tagged)


def _from_cache() -> Response | None:
    if request.method != "GET":
        return None
    # Apart: joined by `?`, the path of a customer whose id holds one would be the path and query of another.
    g.cache_key = (request.path, request.query_string)
    g.cache_version, body = environment().query_cache.get(g.cache_key)
    g.is_cached = body is not None
    return None if body is None else Response(body, mimetype="application/json")


def _tagged(response: Response) -> Response:
    """Tag a successful GET; answer 304 without a body if the caller has it already."""
    if request.method != "GET" or response.status_code != 200 or response.is_streamed:
        return response
    if not g.get("is_cached", True):
        environment().query_cache.put(g.cache_key, g.cache_version, response.get_data())
    response.cache_control.private = True
    response.cache_control.no_cache = True
    response.vary.update(("Authorization", "Cookie"))
    response.add_etag()
    response.make_conditional(request)
    return response
