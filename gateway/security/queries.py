"""Refuses query parameters that a route does not declare: a misspelt one would be answered with something else.

Law: a route's parameters are those of its OpenAPI declaration. The routes of the old backend ignore others, as it did.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from flask import Flask, current_app, request

from gateway import openapi
from gateway.openapi import Parameters
from shared.errors import Detail, InvalidInput

#: Routes that old clients call, with whatever they add to them.
OLD_ROUTES = frozenset(
    {
        "GET /api/health",
        "POST /api/auth/login",
        "POST /api/auth/register",
        "GET /api/dashboard/metrics",
        "GET /api/dashboard/distribution",
        "GET /api/dashboard/features",
        "POST /api/dashboard/predict",
        "GET /api/customers/high-risk",
        "GET /api/customers/<customer_id>",
        "POST /api/customers/segment",
        "GET /api/predictions/results",
        "POST /api/predictions/generate",
        "GET /api/predictions/performance",
        "GET /api/model/status",
        "POST /api/model/train",
        "GET /api/model/features",
    }
)
_NAME = "retainstream query parameters"


def install(app: Flask) -> None:
    """Note what each route of our own declares; called after the last route."""
    app.extensions[_NAME] = {
        route: declared for route, declared in openapi.declared_parameters(app).items() if route not in OLD_ROUTES
    }


def check() -> None:
    """Check the names in the present request's query.

    Raises
    ------
    InvalidInput
        A name is not declared; there is a detail for each, with the names that are.
    """
    if not request.query_string:
        return
    assert request.url_rule is not None
    method = "GET" if request.method == "HEAD" else request.method
    routes: Mapping[str, Parameters] = current_app.extensions[_NAME]
    declared = routes.get(f"{method} {request.url_rule.rule}")
    unknown = [name for name in request.args if not declared.has(name)] if declared is not None else []
    if declared is not None and unknown:
        raise InvalidInput.of([_detail(name, declared) for name in unknown])


def _detail(name: str, declared: Parameters) -> Detail:
    told = declared.told()
    if not told:
        return {"field": name, "message": "unknown parameter; this route takes none"}
    near = difflib.get_close_matches(name, declared.names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return {"field": name, "message": f"unknown parameter; {meant}this route takes {', '.join(told)}"}
