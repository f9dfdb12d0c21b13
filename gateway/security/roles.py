"""Authorisation: a table of every route's least role, the key scopes that reach it, and whose data it serves.

Law: the app does not start with a route that the table lacks, or a route of a job or key whose row names no owner; a
route added later is refused on request. No key reaches accounts, passwords, keys, promotions or the audit log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from flask import Flask, request

from gateway.security import authentication, job_access
from gateway.services.accounts.api_keys import RANK, SCOPES, Scope
from gateway.settings import Role
from shared.errors import Forbidden

Access = Role | Literal["public"]
#: Whose data a route serves: everybody's, the caller's own account's (the use case reads no other), the caller's own
#: and what others share (`database.segments.segments`), or jobs' (`job_access` checks each job).
Ownership = Literal["everybody's", "own account", "own and shared", "jobs", "own job"]
ALL: Ownership = "everybody's"
ACCOUNT: Ownership = "own account"
SHARED: Ownership = "own and shared"
JOBS: Ownership = "jobs"
OWN_JOB: Ownership = "own job"
#: The ownerships allowed for a route whose path has one of these parameters.
_OWNED: Mapping[str, tuple[Ownership, ...]] = {"job_id": (JOBS, OWN_JOB), "key_id": (ACCOUNT,), "segment_id": (SHARED,)}
Scopes = tuple[Scope, ...]
NO_KEY: Scopes = ()
READ: Scopes = ("read",)
SCORE: Scopes = ("score",)
IMPORT: Scopes = ("import",)

# `METHOD rule`, as the routes declare them; any one of the scopes is enough. "public" routes do their own checks.
_BY_ACCESS: Mapping[tuple[Access, Scopes, Ownership], tuple[str, ...]] = {
    ("public", NO_KEY, ALL): (
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
    ("viewer", NO_KEY, ACCOUNT): (
        "GET /api/auth/keys",
        "DELETE /api/auth/keys/<int:key_id>",
        "GET /api/auth/me",
        "POST /api/auth/logout",
        "POST /api/auth/password",
    ),
    # Everybody sees that a job exists; its owner also sees the result.
    ("viewer", SCOPES, JOBS): (
        "GET /api/jobs",
        "GET /api/jobs/<int:job_id>",
    ),
    ("viewer", READ, ALL): (
        "GET /api/actions",
        "GET /api/campaigns",
        "GET /api/campaigns/<int:campaign_id>",
        "GET /api/campaigns/<int:campaign_id>/effect",
        "GET /api/customers",
        "GET /api/customers/<customer_id>",
        "GET /api/customers/<customer_id>/actions",
        "GET /api/customers/<customer_id>/changes",
        "GET /api/customers/<customer_id>/history",
        "GET /api/customers/<customer_id>/work",
        "GET /api/customers/announced",
        "GET /api/customers/high-risk",
        "GET /api/customers/movers",
        "GET /api/dashboard/churn-change",
        "GET /api/dashboard/cohorts",
        "GET /api/dashboard/distribution",
        "GET /api/dashboard/features",
        "GET /api/dashboard/history",
        "GET /api/dashboard/metrics",
        "GET /api/dashboard/movement",
        "GET /api/dashboard/threshold",
        "GET /api/dashboard/value",
        "GET /api/holdout",
        "GET /api/model/drift",
        "GET /api/model/dependence",
        "GET /api/model/features",
        "GET /api/model/live",
        "GET /api/model/status",
        "GET /api/model/timeline",
        "GET /api/model/versions",
        "GET /api/model/versions/<version>",
        "GET /api/model/versions/<version>/report",
        "GET /api/predictions/performance",
        "GET /api/predictions/results",
        "GET /api/schedule",
        "GET /api/schema",
        "GET /api/segments/summary",
    ),
    ("viewer", READ, SHARED): (
        "GET /api/segments",
        "GET /api/segments/<int:segment_id>",
    ),
    ("analyst", NO_KEY, SHARED): (
        "POST /api/segments",
        "PATCH /api/segments/<int:segment_id>",
        "DELETE /api/segments/<int:segment_id>",
    ),
    ("analyst", NO_KEY, ACCOUNT): ("POST /api/auth/keys",),
    ("analyst", NO_KEY, ALL): (
        "POST /api/campaigns",
        "POST /api/campaigns/plan",
        "PATCH /api/customers/<customer_id>/work",
        "PATCH /api/customers/work",
        "DELETE /api/do-not-contact/<customer_id>",
        "POST /api/model/train",
    ),
    # Exporting everybody's data needs a higher role than reading it page by page: docs/decisions/0009.
    ("analyst", READ, ALL): (
        "GET /api/campaigns/<int:campaign_id>/export",
        "GET /api/do-not-contact",
        "GET /api/customers/export",
        "POST /api/customers/export",
        "GET /api/customers/export/manifest",
        "GET /api/customers/movers/export",
        "GET /api/predictions/export",
        "POST /api/predictions/export",
        "GET /api/predictions/export/manifest",
        "GET /api/predictions/changes",
        "POST /api/customers/segment",
    ),
    ("analyst", READ, OWN_JOB): ("GET /api/jobs/<int:job_id>/file",),
    ("analyst", IMPORT, OWN_JOB): ("GET /api/customers/import/<int:job_id>/rejects",),
    ("analyst", IMPORT, ALL): (
        "POST /api/campaigns/<int:campaign_id>/contacts",
        "POST /api/campaigns/contacts/import",
        "POST /api/do-not-contact",
        "POST /api/do-not-contact/import",
        "GET /api/customers/import",
        "POST /api/customers/import",
        "POST /api/customers/import/preview",
        "POST /api/customers/import/schema",
        "POST /api/customers/outcomes",
        "POST /api/schema/check",
    ),
    ("analyst", SCOPES, OWN_JOB): ("DELETE /api/jobs/<int:job_id>",),
    ("analyst", SCORE, ALL): (
        "POST /api/dashboard/predict",
        "POST /api/predictions/generate",
        "POST /api/predictions/score",
        "POST /api/predictions/what-if",
    ),
    ("admin", NO_KEY, ALL): (
        "GET /api/audit",
        "DELETE /api/customers/<customer_id>",
        "PUT /api/holdout",
        "POST /api/model/promote",
        "POST /api/model/rollback",
        "PATCH /api/schema",
        "POST /api/schema/extend",
        "GET /api/users",
        "POST /api/users",
        "PATCH /api/users/<int:user_id>",
        "GET /api/webhooks",
        "POST /api/webhooks",
        "PATCH /api/webhooks/<int:webhook_id>",
        "DELETE /api/webhooks/<int:webhook_id>",
        "POST /api/webhooks/<int:webhook_id>/secret",
        "POST /api/webhooks/<int:webhook_id>/test",
        "GET /api/webhooks/deliveries",
        "POST /api/webhooks/deliveries/<int:delivery_id>/replay",
    ),
}
_RULES: Mapping[tuple[str, str], tuple[Access, Scopes, Ownership]] = {
    (method, rule): row for row, routes in _BY_ACCESS.items() for method, _, rule in (r.partition(" ") for r in routes)
}
ACCESS: Mapping[tuple[str, str], Access] = {route: access for route, (access, _, _) in _RULES.items()}


def access_of(method: str, rule: str) -> Access | None:
    """Return the least role a route needs, or "public"; None where the table has no entry."""
    row = _row(method, rule)
    return row[0] if row else None


def scopes_of(method: str, rule: str) -> Scopes:
    """Return the scopes of which any one lets a key reach a route; empty where no key does."""
    row = _row(method, rule)
    return row[1] if row else NO_KEY


def ownership_of(method: str, rule: str) -> Ownership:
    """Return whose data a route serves."""
    row = _row(method, rule)
    return row[2] if row else ALL


def _row(method: str, rule: str) -> tuple[Access, Scopes, Ownership] | None:
    return _RULES.get(("GET" if method == "HEAD" else method, rule))


def admit() -> None:
    """Check that the caller may call the present request's route.

    Raises
    ------
    Unauthenticated, TokenRejected
        See `authentication.caller`.
    Forbidden
        The role is too low, the key lacks the scope, or the job belongs to somebody else.
    NotFound
        The key has no scope for jobs of this kind.
    """
    assert request.url_rule is not None
    rule = request.url_rule.rule
    needed = access_of(request.method, rule)
    if needed == "public":
        return
    caller = authentication.caller()
    role = caller.role
    if needed is None:
        raise Forbidden("Nobody may use this route: no role is set for it.")
    if RANK[role] < RANK[needed]:
        raise Forbidden(f"This needs the role {needed}; yours is {role}.")
    if caller.key is not None:
        _admit_key(caller.key.scopes, scopes_of(request.method, rule))
    owned, job_id = ownership_of(request.method, rule), (request.view_args or {}).get("job_id")
    if (owned == "jobs" or owned == "own job") and job_id is not None:
        job_access.admit(caller, owned, job_id)


def _admit_key(held: Iterable[str], needed: Scopes) -> None:
    if not needed:
        raise Forbidden("No API key reaches this route; a person must be signed in.")
    if set(needed).isdisjoint(held):
        raise Forbidden(f"This needs a key with the scope {' or '.join(needed)}; yours has {', '.join(held)}.")


def require_roles(app: Flask) -> None:
    """Refuse an app with a route that the table lacks, or whose row names no owner.

    Raises
    ------
    LookupError
        Names the routes.
    """
    routes = [
        (method, rule) for rule in app.url_map.iter_rules() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]
    without = sorted(f"{method} {rule.rule}" for method, rule in routes if access_of(method, rule.rule) is None)
    if without:
        raise LookupError(f"Routes without an entry in gateway/security/roles.py: {', '.join(without)}")
    unowned = sorted(
        f"{method} {rule.rule}"
        for method, rule in routes
        for name in rule.arguments & set(_OWNED)
        if ownership_of(method, rule.rule) not in _OWNED[name]
    )
    if unowned:
        raise LookupError(f"Routes whose owner gateway/security/roles.py does not name: {', '.join(unowned)}")
