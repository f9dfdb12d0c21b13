"""Who may call what: one table of routes and the least role each needs.

Law: a route that is not in the table is refused at start, and on request if it got in later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from flask import Flask, request

from gateway.security import tokens
from gateway.settings import Role
from shared.errors import Forbidden

Access = Role | Literal["public"]
RANK: Mapping[str, int] = {"viewer": 1, "analyst": 2, "admin": 3}

# `METHOD rule`, as the routes declare them. Routes under "public" look after themselves.
_BY_ACCESS: Mapping[Access, tuple[str, ...]] = {
    "public": (
        "GET /",
        "GET /favicon.ico",
        "GET /metrics",
        "GET /page/<path:name>",
        "GET /api/docs",
        "GET /api/docs/assets/<path:name>",
        "GET /api/health",
        "GET /api/health/ready",
        "GET /api/openapi.json",
        "POST /api/auth/login",
        "POST /api/auth/refresh",
        "POST /api/auth/register",
    ),
    "viewer": (
        "GET /api/actions",
        "GET /api/auth/me",
        "POST /api/auth/logout",
        "POST /api/auth/password",
        "GET /api/customers",
        "GET /api/customers/<customer_id>",
        "GET /api/customers/<customer_id>/actions",
        "GET /api/customers/<customer_id>/history",
        "GET /api/customers/high-risk",
        "GET /api/dashboard/distribution",
        "GET /api/dashboard/features",
        "GET /api/dashboard/history",
        "GET /api/dashboard/metrics",
        "GET /api/dashboard/threshold",
        "GET /api/jobs",
        "GET /api/jobs/<int:job_id>",
        "GET /api/model/features",
        "GET /api/model/status",
        "GET /api/model/timeline",
        "GET /api/model/versions",
        "GET /api/model/versions/<version>",
        "GET /api/model/versions/<version>/report",
        "GET /api/predictions/performance",
        "GET /api/predictions/results",
        "GET /api/schema",
    ),
    "analyst": (
        "POST /api/customers/import",
        "POST /api/customers/segment",
        "POST /api/dashboard/predict",
        "DELETE /api/jobs/<int:job_id>",
        "POST /api/model/train",
        "POST /api/predictions/generate",
        "POST /api/predictions/score",
        "POST /api/predictions/what-if",
    ),
    "admin": (
        "GET /api/audit",
        "POST /api/model/promote",
        "POST /api/model/rollback",
        "GET /api/users",
        "POST /api/users",
        "PATCH /api/users/<int:user_id>",
    ),
}
ACCESS: Mapping[tuple[str, str], Access] = {
    (method, rule): access
    for access, routes in _BY_ACCESS.items()
    for method, _, rule in (r.partition(" ") for r in routes)
}


def access_of(method: str, rule: str) -> Access | None:
    """The least role a route needs, or "public"; None where nobody has decided."""
    return ACCESS.get(("GET" if method == "HEAD" else method, rule))


def admit() -> None:
    """Let the present request's route be called, or raise.

    Raises
    ------
    Unauthenticated, TokenRejected
        See `tokens.session`.
    Forbidden
        The role is too low.
    """
    assert request.url_rule is not None
    needed = access_of(request.method, request.url_rule.rule)
    if needed == "public":
        return
    role = tokens.session().user.role
    if needed is None:
        raise Forbidden("Nobody may use this route yet: it has no role.")
    if RANK[role] < RANK[needed]:
        raise Forbidden(f"This needs the role {needed}; yours is {role}.")


def require_roles(app: Flask) -> None:
    """Refuse an app with a route that nobody has decided who may call.

    Raises
    ------
    LookupError
        Naming the routes.
    """
    without = sorted(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if access_of(method, rule.rule) is None
    )
    if without:
        raise LookupError(f"Routes without an entry in gateway/security/roles.py: {', '.join(without)}")
