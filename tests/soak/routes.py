"""Tasks of a soak's users, one for every route of the gateway. Standard library only: locust runs without the product."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

FINAL = ("done", "failed", "cancelled")
ASYNC = {"Prefer": "respond-async"}
PASSWORD, NEW_PASSWORD = "plum tractor evening", "evening tractor plum"
HEADER = "user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,tenure_months"


@dataclass(frozen=True)
class Known:
    """Records that were there before the users came.

    Attributes
    ----------
    people
        Of each user, a token as a viewer and as an analyst: fifty people who ask are fifty callers.
    tokens
        Of an administrator, and of the owner of the jobs: an analyst.
    export_job, import_job
        A job with a Parquet file, and one with rejected rows.
    older
        A version that is not live.
    """

    people: list[dict[str, str]]
    tokens: dict[str, str]
    customers: list[str]
    export_job: int
    import_job: int
    live: str
    older: str
    schema: str


class Person(Protocol):
    """A user as tasks see one."""

    known: Known
    chance: random.Random

    def ask(self, route: str, query: str = "", **how: Any) -> Any:
        """Return what was answered; None where the service was too busy, or something was wrong."""

    def fault(self, what: str) -> None:
        """Something that should not be."""

    def pause(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True)
class Task:
    """A task that asks some routes.

    Attributes
    ----------
    weight
        How often it is chosen, beside the others.
    every_s
        It is done by one user at a time, this long after the one before; None where any number does it.
    lasts_long
        It may hold much for minutes: nobody begins it later than is told, so that memory is judged without it.
    """

    routes: tuple[str, ...]
    act: Callable[[Person], Any]
    weight: float = 10
    every_s: float | None = None
    lasts_long: bool = False


#: Reads by anybody: each route with the queries that it is asked with.
READS: Mapping[str, tuple[str, ...]] = {
    "GET /api/actions": ("",),
    "GET /api/campaigns": ("?limit=5",),
    "GET /api/holdout": ("",),
    "GET /": ("",),
    "GET /favicon.ico": ("",),
    "GET /metrics": ("",),
    "GET /page/{name}": ("",),
    "GET /api/docs": ("",),
    "GET /api/docs/assets/{name}": ("",),
    "GET /api/health": ("",),
    "GET /api/health/ready": ("",),
    "GET /api/openapi.json": ("",),
    "GET /api/auth/keys": ("",),
    "GET /api/auth/me": ("",),
    "GET /api/audit": ("?limit=20", "?action=user&limit=20"),
    "GET /api/users": ("?limit=20",),
    "GET /api/customers": (
        "?limit=20",
        "?plan=Standard&sort=-revenue_at_risk&limit=20",
        "?risk=High&limit=100",
        "?q=usr_00&limit=20",
        "?feature.device_count.min=2&sort=-churn_probability&limit=20",
        "?sort=-feature.watch_time_hours&show=device_count&limit=20",
        "?work_status=contacted&due_by=2030-01-01&limit=20",
    ),
    "GET /api/customers/{customer_id}": ("",),
    "GET /api/customers/{customer_id}/actions": ("",),
    "GET /api/customers/{customer_id}/changes": ("",),
    "GET /api/customers/{customer_id}/history": ("", "?limit=5"),
    "GET /api/customers/{customer_id}/work": ("",),
    "GET /api/customers/announced": ("", "?kind=auto_renew_off", "?within_days=30&limit=5"),
    "GET /api/customers/high-risk": ("?page=1&limit=20", "?page=7&limit=10"),
    "GET /api/customers/import": ("?limit=5",),
    "GET /api/customers/import/{job_id}/rejects": ("",),
    "GET /api/customers/movers/export": ("?direction=entered", "?direction=up&format=ndjson&contact=any"),
    "GET /api/customers/movers": ("?limit=10", "?direction=down&limit=10", "?direction=entered&why=true&limit=10"),
    "GET /api/dashboard/churn-change": ("", "?by=tenure_months"),
    "GET /api/dashboard/cohorts": ("", "?limit=3"),
    "GET /api/dashboard/distribution": ("",),
    "GET /api/dashboard/features": ("",),
    "GET /api/dashboard/history": ("",),
    "GET /api/dashboard/metrics": ("",),
    "GET /api/dashboard/movement": ("",),
    "GET /api/dashboard/threshold": ("?cut=0.5", "?cut=0.31", "?steps=true"),
    "GET /api/dashboard/value": ("", "?clv=120&offer=5&contact=0.5", "?margin=0.6&discount=0.2"),
    "GET /api/jobs": ("?limit=10", "?state=done&limit=5"),
    "GET /api/jobs/{job_id}": ("",),
    "GET /api/jobs/{job_id}/file": ("",),
    "GET /api/model/drift": ("", "?limit=10"),
    "GET /api/model/dependence": ("",),
    "GET /api/model/features": ("",),
    "GET /api/model/live": ("",),
    "GET /api/model/status": ("",),
    "GET /api/model/timeline": ("",),
    "GET /api/model/versions": ("",),
    "GET /api/model/versions/{version}": ("",),
    "GET /api/model/versions/{version}/report": ("",),
    "GET /api/predictions/changes": ("?limit=20", "?limit=5000"),
    "GET /api/predictions/performance": ("", "?view=live", "?view=live&by=segment"),
    "GET /api/predictions/results": ("",),
    "GET /api/schedule": ("",),
    "GET /api/schema": ("",),
    "GET /api/segments": ("?limit=10",),
    "GET /api/segments/summary": ("?by=plan", "?by=risk", "?by=tenure_months&plan=Standard"),
    "GET /api/webhooks": ("",),
    "GET /api/webhooks/deliveries": ("?limit=20", "?state=waiting"),
}
ADMINISTRATORS = ("GET /api/audit", "GET /api/users", "GET /api/webhooks", "GET /api/webhooks/deliveries")
ANALYSTS = (
    "GET /api/customers/import",
    "GET /api/customers/movers/export",
    "GET /api/predictions/changes",
)
OWNERS = ("GET /api/customers/import/{job_id}/rejects", "GET /api/jobs/{job_id}/file")
ROLES = dict.fromkeys(ADMINISTRATORS, "admin") | dict.fromkeys(ANALYSTS, "analyst") | dict.fromkeys(OWNERS, "owner")
#: A customer who was scored once has no change to tell, nor has a base that was.
AFTER_TWO_RUNS = ("GET /api/customers/{customer_id}/changes", "GET /api/customers/movers/export")
RARER: Mapping[str, float] = {
    "GET /api/docs/assets/{name}": 1,
    "GET /api/openapi.json": 1,
    "GET /api/jobs/{job_id}/file": 1,
}


def _read(route: str, queries: tuple[str, ...]) -> Task:
    who = ROLES.get(route, "viewer")

    def act(person: Person) -> None:
        known = person.known
        is_rejects = route.endswith("/rejects")
        name = "css/swagger-ui.css" if "docs" in route else "main.js"
        values = {"customer_id": person.chance.choice(known.customers), "version": known.live, "name": name}
        job_id = known.import_job if is_rejects else known.export_job
        expect = (200, 404) if route in AFTER_TWO_RUNS else (200,)
        person.ask(route, person.chance.choice(queries), who=who, job_id=job_id, expect=expect, **values)

    return Task((route,), act, RARER.get(route, 10))


def _session(person: Person) -> None:
    """Somebody registers, signs in, renews, changes the password and leaves."""
    email = f"soak{person.chance.getrandbits(60)}@example.com"
    if (
        person.ask("POST /api/auth/register", json={"email": email, "password": PASSWORD, "name": "S"}, expect=(201,))
        is None
    ):
        return
    came = person.ask("POST /api/auth/login", json={"email": email, "password": PASSWORD})
    if came is None:
        return
    renewed = person.ask("POST /api/auth/refresh", token=came["refresh_token"], json={})
    if renewed is None:
        return
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    changed = person.ask("POST /api/auth/password", token=renewed["token"], json=body)
    if changed is None:
        return
    person.ask("POST /api/auth/logout", token=changed.get("token", renewed["token"]), json={})


def _account(person: Person) -> None:
    email = f"made{person.chance.getrandbits(60)}@example.com"
    body = {"email": email, "password": PASSWORD, "name": "M", "role": "viewer"}
    made = person.ask("POST /api/users", who="admin", json=body, expect=(201,))
    if made is not None:
        person.ask("PATCH /api/users/{user_id}", who="admin", user_id=made["id"], json={"disabled": True})


def _key(person: Person) -> None:
    made = person.ask("POST /api/auth/keys", json={"name": "soak", "scopes": ["read"]}, expect=(201,))
    if made is not None:
        person.ask("DELETE /api/auth/keys/{key_id}", key_id=made["id"])


def _segment(person: Person) -> None:
    """Somebody saves a view, looks at it, changes it and deletes it."""
    body = {"name": f"soak {person.chance.getrandbits(60)}", "query": "plan=Standard&sort=-revenue_at_risk"}
    made = person.ask("POST /api/segments", json=body, expect=(201, 409))
    if made is not None and "id" in made:
        person.ask("GET /api/segments/{segment_id}", who="analyst", segment_id=made["id"])
        person.ask("PATCH /api/segments/{segment_id}", segment_id=made["id"], json={"query": "risk=High"})
        person.ask("DELETE /api/segments/{segment_id}", segment_id=made["id"])


def _work(person: Person) -> None:
    body = {"status": person.chance.choice(("to_do", "contacted", "snoozed")), "due_on": "2030-01-01"}
    customer = person.chance.choice(person.known.customers)
    person.ask("PATCH /api/customers/{customer_id}/work", customer_id=customer, json=body)


def _work_of_many(person: Person) -> None:
    some = person.chance.sample(person.known.customers, min(200, len(person.known.customers)))
    body = {"customers": some, "status": person.chance.choice(("to_do", "contacted"))}
    person.ask("PATCH /api/customers/work", json=body)


def _erase(person: Person) -> None:
    """A customer who has no score, and so is in no other task, is erased."""
    listed = person.ask("GET /api/customers", "?scored=no&limit=20")
    if listed is not None and listed["customers"]:
        customer = person.chance.choice(listed["customers"])["user_id"]
        route = "DELETE /api/customers/{customer_id}"
        person.ask(route, who="admin", customer_id=customer, expect=(200, 404, 409))


def _webhook(person: Person) -> None:
    """A webhook is made, paused, tested and removed; its receiver is nobody's."""
    body = {"url": "https://receiver.example/hook", "events": ["campaign.exported"]}
    made = person.ask("POST /api/webhooks", who="admin", json=body, expect=(201, 409))
    if made is None or "id" not in made:
        return
    for paused in (True, False):
        person.ask("PATCH /api/webhooks/{webhook_id}", who="admin", webhook_id=made["id"], json={"paused": paused})
    sent = person.ask("POST /api/webhooks/{webhook_id}/test", who="admin", webhook_id=made["id"], expect=(201,))
    if sent is not None:
        replay = "POST /api/webhooks/deliveries/{delivery_id}/replay"
        person.ask(replay, who="admin", delivery_id=sent["id"], expect=(409,))
    person.ask("POST /api/webhooks/{webhook_id}/secret", who="admin", webhook_id=made["id"])
    person.ask("DELETE /api/webhooks/{webhook_id}", who="admin", webhook_id=made["id"])


WEBHOOK = (
    "POST /api/webhooks",
    "POST /api/webhooks/{webhook_id}/secret",
    "PATCH /api/webhooks/{webhook_id}",
    "POST /api/webhooks/{webhook_id}/test",
    "POST /api/webhooks/deliveries/{delivery_id}/replay",
    "DELETE /api/webhooks/{webhook_id}",
)


def _follow(person: Person, job: Any, *, who: str) -> None:
    """Look at a job until it ends, which it has to do well."""
    if job is not None and "state" not in job:
        return  # done at once, and this is what came of it
    while job is not None and job["state"] not in FINAL:
        person.pause(0.5)
        job = person.ask("GET /api/jobs/{job_id}", who=who, job_id=job["id"])
    if job is not None and job["state"] == "failed":
        person.fault(f"{job['kind']} failed: {job['error']}")


def _job(route: str, *, who: str = "analyst", query: str = "", **how: Any) -> Callable[[Person], None]:
    def act(person: Person) -> None:
        job = person.ask(route, query, who=who, headers=ASYNC, expect=(200, 202), **how)
        _follow(person, job, who=who)

    return act


def _table(person: Person) -> str:
    """Sixty customers of a thousand that come again and again, with other values each time."""
    first, some = person.chance.randrange(1000), person.chance.randrange
    plans = ("Standard", "Basic Ads", "Premium 4K")
    lines = [
        f"few_{k:05},f{k}@example.com,{plans[k % 3]},{some(300)},{some(40)},{1 + some(5)},{some(30)},{some(3)},{some(40)}"
        for k in range(first, first + 60)
    ]
    return "\n".join([HEADER, *lines]) + "\n"


def _upload(route: str, **fields: str) -> Callable[[Person], None]:
    def act(person: Person) -> None:
        how: dict[str, Any] = {"files": {"file": ("few.csv", _table(person), "text/csv")}, "data": fields}
        _follow(person, person.ask(route, headers=ASYNC, expect=(200, 202), **how), who="analyst")

    return act


def _outcomes(person: Person) -> None:
    table = f"user_id,ended_at,end_reason\n{person.chance.choice(person.known.customers)},2026-11-01,price\n"
    how: dict[str, Any] = {"files": {"file": ("left.csv", table, "text/csv")}, "data": {"dry_run": "true"}}
    _follow(person, person.ask("POST /api/customers/outcomes", headers=ASYNC, expect=(200, 202), **how), who="analyst")


def _cancel(person: Person) -> None:
    query = f"?content=customers&format=parquet&q=usr_{person.chance.randrange(100):02}"
    job = person.ask("GET /api/customers/export", query, headers=ASYNC, expect=(200, 202))
    if job is not None and "state" in job:
        person.ask("DELETE /api/jobs/{job_id}", job_id=job["id"])
        _follow(person, job, who="analyst")


def _write(route: str) -> Callable[[Person], None]:
    def act(person: Person) -> None:
        query = "?risk=High" if "customers" in route else f"?customer_id={person.chance.choice(person.known.customers)}"
        _follow(person, person.ask(route, f"{query}&format=parquet", headers=ASYNC, expect=(200, 202)), who="analyst")

    return act


def _campaign(person: Person) -> None:
    """A campaign is planned, drawn, exported; a contact comes back; somebody objects and takes that back."""
    body = {"reduction": 0.3, "top": 20}
    person.ask("POST /api/campaigns/plan", json=body)
    made = person.ask("POST /api/campaigns", json={**body, "name": f"soak {person.chance.getrandbits(60)}"})
    if made is None or "seed" not in made:
        return
    number = made["id"]
    person.ask("GET /api/campaigns/{campaign_id}", campaign_id=number)
    person.ask("GET /api/campaigns/{campaign_id}/export", campaign_id=number)
    person.ask("GET /api/campaigns/{campaign_id}/effect", campaign_id=number)
    customer = person.chance.choice(person.known.customers)
    contact = {"customer": customer, "contacted_at": made["starts_on"]}
    route = "POST /api/campaigns/{campaign_id}/contacts"
    person.ask(route, campaign_id=number, json={"contacts": [contact]}, expect=(200, 422))
    sent = f"campaign,customer,contacted_at\n{made['name']},{customer},{made['starts_on']}\n"
    for route, table, more in (
        ("POST /api/campaigns/contacts/import", sent, {}),
        ("POST /api/do-not-contact/import", f"customer\n{customer}\n", {"reason": "objected"}),
    ):
        how: dict[str, Any] = {"files": {"file": ("few.csv", table, "text/csv")}, "data": more}
        person.ask(route, expect=(200, 202, 422), **how)
    person.ask("POST /api/do-not-contact", json={"customers": [customer], "reason": "objected"})
    person.ask("GET /api/do-not-contact", "?limit=5")
    person.ask("DELETE /api/do-not-contact/{customer_id}", customer_id=customer, expect=(200, 404))


CAMPAIGN = (
    "POST /api/campaigns/plan",
    "POST /api/campaigns",
    *(f"GET /api/campaigns/{{campaign_id}}{more}" for more in ("", "/export", "/effect")),
    "POST /api/campaigns/{campaign_id}/contacts",
    "POST /api/campaigns/contacts/import",
    "POST /api/do-not-contact/import",
    "GET /api/do-not-contact",
    "POST /api/do-not-contact",
    "DELETE /api/do-not-contact/{customer_id}",
)


def _promote(person: Person) -> None:
    body = {"version": person.known.older, "reason": "a soak", "force": True}
    # 409: a training that ran beside promoted its version meanwhile.
    if person.ask("POST /api/model/promote", who="admin", json=body, expect=(200, 409)) is not None:
        person.ask("POST /api/model/rollback", who="admin", json={"reason": "a soak"}, expect=(200, 409))


def _score(route: str, **more: Any) -> Callable[[Person], None]:
    def act(person: Person) -> None:
        person.ask(route, json={"customer_id": person.chance.choice(person.known.customers), **more})

    return act


def _exports(person: Person) -> None:
    customer = person.chance.choice(person.known.customers)
    for what, query in (("customers", f"?q={customer}"), ("predictions", f"?customer_id={customer}")):
        person.ask(f"GET /api/{what}/export", f"{query}&format=ndjson")
        person.ask(f"GET /api/{what}/export/manifest", f"{query}&format=csv")


EXPORTS = tuple(f"GET /api/{what}/export{more}" for what in ("customers", "predictions") for more in ("", "/manifest"))
SESSION = tuple(f"POST /api/auth/{what}" for what in ("register", "login", "refresh", "password", "logout"))
SEGMENT = ("POST /api/segments", *(f"{method} /api/segments/{{segment_id}}" for method in ("GET", "PATCH", "DELETE")))
SAMPLE = {"json": {"sample_size": 50}}
TASKS: tuple[Task, ...] = (
    *(_read(route, queries) for route, queries in READS.items()),
    Task(EXPORTS, _exports, 3),
    Task(("POST /api/customers/segment",), lambda p: p.ask("POST /api/customers/segment", json={}), 3),
    Task(("POST /api/predictions/score",), _score("POST /api/predictions/score", reasons="all"), 30),
    Task(("POST /api/predictions/score",), _score("POST /api/predictions/score", outlook=True), 5),
    Task(
        ("POST /api/predictions/what-if",), _score("POST /api/predictions/what-if", changes={"last_login_days": 1}), 20
    ),
    Task(SESSION, _session, 2),
    Task(SEGMENT, _segment, 2),
    Task(("PATCH /api/customers/{customer_id}/work",), _work, 3),
    Task(("PATCH /api/customers/work",), _work_of_many, 1),
    Task(("POST /api/auth/keys", "DELETE /api/auth/keys/{key_id}"), _key, 2),
    Task(WEBHOOK, _webhook, 1),
    Task(("POST /api/users", "PATCH /api/users/{user_id}"), _account, 1),
    Task(
        ("POST /api/schema/check",),
        lambda p: p.ask("POST /api/schema/check", json={"schema": p.known.schema}),
        2,
    ),
    Task(
        ("POST /api/schema/extend",),
        lambda p: p.ask("POST /api/schema/extend", who="admin", json={"schema": p.known.schema}, expect=(200, 409)),
        1,
    ),
    Task(
        ("PATCH /api/schema",),
        lambda p: p.ask("PATCH /api/schema", who="admin", json={"schema": p.known.schema}, expect=(200, 409)),
        1,
    ),
    Task(("POST /api/customers/import",), _upload("POST /api/customers/import", schema="retainstream"), 5, 5),
    Task(("POST /api/customers/import/preview",), _upload("POST /api/customers/import/preview"), 5, 2),
    Task(("POST /api/customers/import/schema",), _upload("POST /api/customers/import/schema"), 5, 2),
    Task(("POST /api/customers/outcomes",), _outcomes, 5, 5),
    *(
        Task((f"POST /api/{what}/export",), _write(f"POST /api/{what}/export"), 3, 20)
        for what in ("customers", "predictions")
    ),
    Task(CAMPAIGN, _campaign, 3, 10),
    Task(("PUT /api/holdout",), lambda p: p.ask("PUT /api/holdout", who="admin", json={"share": 0.0}), 1, 20),
    Task(("DELETE /api/jobs/{job_id}",), _cancel, 5, 5),
    Task(("DELETE /api/customers/{customer_id}",), _erase, 1, 20),
    Task(("POST /api/model/promote", "POST /api/model/rollback"), _promote, 5, 20),
    Task(("POST /api/dashboard/predict",), _job("POST /api/dashboard/predict", **SAMPLE), 5, 10),
    Task(("POST /api/predictions/generate",), _job("POST /api/predictions/generate", **SAMPLE), 5, 10),
    Task(("POST /api/model/train",), _job("POST /api/model/train", json={"again": True}), 5, 60, lasts_long=True),
)
COVERED = frozenset(route for task in TASKS for route in task.routes)


def routes_of(document: Mapping[str, Any]) -> set[str]:
    """The routes that an OpenAPI document lists."""
    return {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}


def uncovered(document: Mapping[str, Any]) -> list[str]:
    """Routes that nobody asks."""
    return sorted(routes_of(document) - COVERED)
