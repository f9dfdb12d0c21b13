"""Authorisation: one table of routes, the least role each needs, and the scopes of keys that reach it.

Law: a route that is not in the table is refused at start, and on request if it got in later. Accounts, passwords,
keys, models going live and the audit log are for people: no key reaches them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from flask import Flask, request

from gateway.security import callers
from gateway.services.accounts.api_keys import RANK, SCOPES, Scope
from gateway.settings import Role
from shared.errors import Forbidden

Access = Role | Literal["public"]
Scopes = tuple[Scope, ...]
NO_KEY: Scopes = ()
READ: Scopes = ("read",)
SCORE: Scopes = ("score",)
IMPORT: Scopes = ("import",)
WORK: Scopes = ("score", "import")

# `METHOD rule`, as the routes declare them; any one of the scopes will do. Routes under "public" look after themselves.
_BY_ACCESS: Mapping[tuple[Access, Scopes], tuple[str, ...]] = {
    ("public", NO_KEY): (
        "GET /",
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
    ("viewer", NO_KEY): (
        "GET /api/auth/keys",
        "DELETE /api/auth/keys/<int:key_id>",
        "GET /api/auth/me",
        "POST /api/auth/logout",
        "POST /api/auth/password",
    ),
    # A caller who may start a job may follow it.
    ("viewer", SCOPES): (
        "GET /api/jobs",
        "GET /api/jobs/<int:job_id>",
    ),
    ("viewer", READ): (
        "GET /api/customers",
        "GET /api/customers/<customer_id>",
        "GET /api/customers/<customer_id>/actions",
        "GET /api/customers/<customer_id>/history",
        "GET /api/customers/high-risk",
        "GET /api/customers/movers",
        "GET /api/dashboard/distribution",
        "GET /api/dashboard/features",
        "GET /api/dashboard/history",
        "GET /api/dashboard/metrics",
        "GET /api/dashboard/threshold",
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
    ("analyst", NO_KEY): (
        "POST /api/auth/keys",
        "POST /api/model/train",
    ),
    # Everybody's data in one go is more than a page of them: docs/decisions/0009.
    ("analyst", READ): (
        "GET /api/customers/export",
        "GET /api/customers/export/manifest",
        "GET /api/jobs/<int:job_id>/file",
        "GET /api/predictions/export",
        "GET /api/predictions/export/manifest",
        "POST /api/customers/segment",
    ),
    ("analyst", IMPORT): (
        "GET /api/customers/import",
        "GET /api/customers/import/<int:job_id>/rejects",
        "POST /api/customers/import",
        "POST /api/customers/import/preview",
        "POST /api/customers/import/schema",
        "POST /api/customers/outcomes",
    ),
    ("analyst", WORK): ("DELETE /api/jobs/<int:job_id>",),
    ("analyst", SCORE): (
        "POST /api/dashboard/predict",
        "POST /api/predictions/generate",
        "POST /api/predictions/score",
        "POST /api/predictions/what-if",
    ),
    ("admin", NO_KEY): (
        "GET /api/audit",
        "POST /api/model/promote",
        "POST /api/model/rollback",
        "POST /api/schema/extend",
        "GET /api/users",
        "POST /api/users",
        "PATCH /api/users/<int:user_id>",
    ),
}
ACCESS: Mapping[tuple[str, str], Access] = {
    (method, rule): access
    for (access, _), routes in _BY_ACCESS.items()
    for method, _, rule in (r.partition(" ") for r in routes)
}
_SCOPES: Mapping[tuple[str, str], Scopes] = {
    (method, rule): scopes
    for (_, scopes), routes in _BY_ACCESS.items()
    for method, _, rule in (r.partition(" ") for r in routes)
}


def access_of(method: str, rule: str) -> Access | None:
    """Return the least role a route needs, or "public"; None where the table has no entry."""
    return ACCESS.get(("GET" if method == "HEAD" else method, rule))


def scopes_of(method: str, rule: str) -> Scopes:
    """The scopes that let a key reach a route, any one of them; none where no key does."""
    return _SCOPES.get(("GET" if method == "HEAD" else method, rule), NO_KEY)


def admit() -> None:
    """Let the present request's route be called, or raise.

    Raises
    ------
    Unauthenticated, TokenRejected
        See `callers.caller`.
    Forbidden
        The role is too low, or the key lacks the scope.
    """
    assert request.url_rule is not None
    rule = request.url_rule.rule
    needed = access_of(request.method, rule)
    if needed == "public":
        return
    caller = callers.caller()
    role = caller.role
    if needed is None:
        raise Forbidden("Nobody may use this route yet: it has no role.")
    if RANK[role] < RANK[needed]:
        raise Forbidden(f"This needs the role {needed}; yours is {role}.")
    if caller.key is not None:
        _admit_key(caller.key.scopes, scopes_of(request.method, rule))


def _admit_key(held: Iterable[str], needed: Scopes) -> None:
    if not needed:
        raise Forbidden("No API key reaches this route; a person must be signed in.")
    if set(needed).isdisjoint(held):
        raise Forbidden(f"This needs a key with the scope {' or '.join(needed)}; yours has {', '.join(held)}.")


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
