"""API keys: what they reach, when they count, and that nobody learns them."""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from database.engine.session import Database
from gateway.security import roles
from gateway.services.accounts import accounts, api_keys
from gateway.settings import Role
from tests.gateway.auth_conftest import REJECTED, refused
from tests.world import PASSWORD, open_world

METRICS, PREDICT = "/api/dashboard/metrics", "/api/dashboard/predict"


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Shop:
    """The whole gateway in process, over a migrated database."""

    app: Flask
    database: Database
    watch: Watch

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def bearer(self, role: Role) -> dict[str, str]:
        """Headers of the person of this role."""
        email = f"{role}@example.com"
        with self.database.read() as connection:
            from database.accounts import users

            known = users.by_email(connection, email)
        if known is None:
            accounts.create_user(
                self.database, clock=self.watch, cost=4, email=email, password=PASSWORD, name=role, role=role
            )
        sent = self.client.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        return {"Authorization": f"Bearer {sent.get_json()['data']['token']}"}

    def id_of(self, headers: dict[str, str]) -> int:
        return int(self.client.get("/api/auth/me", headers=headers).get_json()["data"]["id"])

    def make(self, headers: dict[str, str], *scopes: str, **more: Any) -> dict[str, Any]:
        """A key, as the answer tells of it."""
        body = {"name": "nightly", "scopes": list(scopes or ("read",)), **more}
        sent = self.client.post("/api/auth/keys", json=body, headers=headers)
        assert sent.status_code == 201, sent.text
        assert sent.headers["Cache-Control"] == "no-store"
        return dict(sent.get_json()["data"])

    def get(self, key: str, path: str = METRICS) -> TestResponse:
        return self.client.get(path, headers={"X-API-Key": key})


def build(folder: Path, **variables: Any) -> Shop:
    watch = Watch()
    world = open_world(folder / "keys.db", at=watch, **variables)
    return Shop(world.app, world.database, watch)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    built = build(tmp_path)
    yield built
    built.database.close()


# --- what a key reaches ---------------------------------------------------------------------------------------------


def _routes(app: Flask) -> list[tuple[str, str]]:
    return sorted(
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if roles.access_of(method, rule.rule) != "public"
    )


def test_no_key_reaches_accounts_keys_the_audit_log_or_a_model_going_live(shop: Shop) -> None:
    for method, rule in _routes(shop.app):
        if rule.startswith(("/api/auth", "/api/users", "/api/audit", "/api/model/pro", "/api/model/roll")):
            assert roles.scopes_of(method, rule) == (), rule


def test_every_route_of_the_data_has_a_scope(shop: Shop) -> None:
    without = {rule for method, rule in _routes(shop.app) if not roles.scopes_of(method, rule)}
    kept = {"/api/model/promote", "/api/model/rollback", "/api/model/train", "/api/audit", "/api/schema/extend"}
    kept |= {"/api/schema"}  # to change it; whoever reads may read it
    # Decisions of a person, under their own name.
    kept |= {"/api/campaigns", "/api/campaigns/plan", "/api/holdout", "/api/do-not-contact/<customer_id>"}
    kept |= {"/api/segments", "/api/segments/<int:segment_id>", "/api/customers/work"}
    kept |= {"/api/customers/<customer_id>", "/api/customers/<customer_id>/work"}  # to erase; to note
    of_people = ("/api/auth", "/api/users", "/api/webhooks")
    assert {rule for rule in without if not rule.startswith(of_people)} == kept


def test_a_refusal_names_the_scope_that_is_missing(shop: Shop) -> None:
    key = shop.make(shop.bearer("analyst"), "read")["key"]
    sent = shop.client.post(PREDICT, headers={"X-API-Key": key})
    assert refused(sent) == (403, "forbidden", "This needs a key with the scope score; yours has read.")
    sent = shop.client.get("/api/auth/me", headers={"X-API-Key": key})
    assert refused(sent) == (403, "forbidden", "No API key reaches this route; a person must be signed in.")


def test_a_key_is_sent_as_a_bearer_token_or_in_its_own_header(shop: Shop) -> None:
    key = shop.make(shop.bearer("analyst"))["key"]
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key} "}, {"X-API-Key": key}):
        assert shop.client.get(METRICS, headers=headers).status_code == 200


def test_a_key_in_its_header_goes_before_a_cookie(shop: Shop) -> None:
    browser = shop.client
    admin = shop.bearer("admin")
    body = {"email": "admin@example.com", "password": PASSWORD, "cookie": True}
    browser.post("/api/auth/login", json=body)
    key = shop.make(admin)["key"]
    assert browser.get("/api/users", headers={"X-API-Key": key}).status_code == 403
    assert browser.get("/api/users").status_code == 200


# --- when it counts -------------------------------------------------------------------------------------------------


def _rejected(shop: Shop, key: str) -> bool:
    return refused(shop.get(key)) == REJECTED


def test_a_revoked_key_is_403_at_once(shop: Shop) -> None:
    headers = shop.bearer("analyst")
    made = shop.make(headers)
    assert shop.get(made["key"]).status_code == 200
    revoked = shop.client.delete(f"/api/auth/keys/{made['id']}", headers=headers)
    assert revoked.get_json()["data"]["revoked_at"]
    assert _rejected(shop, made["key"])
    again = shop.client.delete(f"/api/auth/keys/{made['id']}", headers=headers)
    assert again.get_json()["data"] == revoked.get_json()["data"]


def test_an_expired_key_is_403(shop: Shop) -> None:
    key = shop.make(shop.bearer("analyst"), expires_in_days=2)["key"]
    shop.watch.now += timedelta(days=2, seconds=-1)
    assert shop.get(key).status_code == 200
    shop.watch.now += timedelta(seconds=1)
    assert _rejected(shop, key)


def test_a_key_is_dead_once_its_owner_is_disabled(shop: Shop) -> None:
    headers, admin = shop.bearer("analyst"), shop.bearer("admin")
    key, owner = shop.make(headers)["key"], shop.id_of(headers)
    shop.client.patch(f"/api/users/{owner}", json={"disabled": True}, headers=admin)
    assert _rejected(shop, key)
    shop.client.patch(f"/api/users/{owner}", json={"disabled": False}, headers=admin)
    assert _rejected(shop, key)


def test_a_key_made_for_another_never_does_more_than_its_makers_present_role(shop: Shop) -> None:
    admin, other = shop.bearer("admin"), shop.bearer("analyst")
    key = shop.make(admin, "score", user_id=shop.id_of(other))["key"]
    accounts.create_user(
        shop.database, clock=shop.watch, cost=4, email="second@example.com", password=PASSWORD, name="x", role="admin"
    )
    maker = shop.id_of(admin)
    assert shop.client.post("/api/predictions/score", headers={"X-API-Key": key}).status_code == 422
    accounts.change_user(shop.database, maker, clock=shop.watch, cost=4, role="viewer")
    assert shop.client.post("/api/predictions/score", headers={"X-API-Key": key}).status_code == 403
    accounts.change_user(shop.database, maker, clock=shop.watch, cost=4, disabled=True)
    assert _rejected(shop, key)


@pytest.mark.parametrize(
    "odd", ["rs_", "rs_0123abcd", "rs_0123abcd_" + "A" * 43, "rs_" + "x" * 5000, "rs_0123abcd_é", "nonsense", "a.b.c"]
)
def test_what_is_no_key_is_rejected_like_any_bad_token(shop: Shop, odd: str) -> None:
    assert _rejected(shop, odd.encode("utf-8").decode("latin-1"))


def test_one_letter_makes_another_key(shop: Shop) -> None:
    key = shop.make(shop.bearer("analyst"))["key"]
    for other in (key[:-1], key[:-1] + ("A" if key[-1] != "A" else "B"), key + "A", key.upper()):
        assert _rejected(shop, other)


def test_keys_of_the_demo_account_do_not_count_in_production(shop: Shop) -> None:
    demo = accounts.create_demo_account(shop.database, clock=shop.watch, cost=4, app_env="test")
    _, secret = api_keys.create(shop.database, clock=shop.watch, user_id=demo.id, name="demo", scopes=["read"])
    assert shop.get(secret).status_code == 200
    assert api_keys.authenticate_key(shop.database, secret, clock=shop.watch, demo_allowed=False) is None


# --- how it is kept -------------------------------------------------------------------------------------------------


def test_a_secret_has_256_random_bits_and_is_stored_as_its_hash_alone(shop: Shop) -> None:
    made = shop.make(shop.bearer("analyst"))
    assert made["key"].startswith(made["prefix"] + "_")
    assert len(made["key"].removeprefix(made["prefix"] + "_")) * 6 >= 256
    shop.database.close()
    stored = b"".join(path.read_bytes() for path in shop.database.path.parent.iterdir() if path.is_file())
    assert made["prefix"].encode() in stored
    assert made["key"].encode() not in stored
    assert made["key"].removeprefix(made["prefix"] + "_").encode() not in stored


def test_a_secret_is_shown_once(shop: Shop) -> None:
    headers = shop.bearer("analyst")
    made = shop.make(headers, "import", "read")
    listed = shop.client.get("/api/auth/keys", headers=headers)
    (shown,) = listed.get_json()["data"]["keys"]
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert shown["scopes"] == ["read", "import"]
    assert made["key"] not in listed.text


def test_a_key_is_never_logged_whatever_becomes_of_it(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    admin = shop.bearer("admin")
    made = shop.make(admin)
    key = made["key"]
    shop.app.view_functions["dashboard.distribution"] = lambda **_: 1 / 0
    for path in (METRICS, "/api/users", "/api/nothing", "/api/dashboard/distribution"):
        shop.get(key, path)
        shop.client.get(path, headers={"Authorization": f"Bearer {key}"})
    shop.client.delete(f"/api/auth/keys/{made['id']}", headers=admin)
    shop.get(key)
    written = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in written
    assert written.count('"event": "request"') > 8
    assert key not in written
    assert key.removeprefix(made["prefix"]) not in written
    audit = shop.client.get("/api/audit", headers=admin).text
    assert "key.created" in audit
    assert key not in audit


def test_secrets_are_compared_in_constant_time_also_where_there_is_no_such_key(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = shop.make(shop.bearer("analyst"))["key"]
    compared: list[int] = []
    real = hmac.compare_digest

    def counted(one: Any, other: Any) -> bool:
        compared.append(len(one))
        return real(one, other)

    monkeypatch.setattr(api_keys.hmac, "compare_digest", counted)
    for secret in (key, "rs_00000000_" + "A" * 43, "rs_", "rs_" + "x" * 5000):
        shop.get(secret)
    assert compared == [64, 64, 64, 64]


def test_its_last_use_is_written_at_most_once_a_minute(shop: Shop) -> None:
    headers = shop.bearer("analyst")
    made = shop.make(headers)

    def last_used() -> str | None:
        found = shop.client.get("/api/auth/keys", headers=headers).get_json()["data"]["keys"][0]["last_used_at"]
        return None if found is None else str(found)

    assert last_used() is None
    shop.get(made["key"])
    first = last_used()
    shop.watch.now += timedelta(seconds=59)
    shop.get(made["key"])
    assert last_used() == first
    shop.watch.now += timedelta(seconds=2)
    shop.get(made["key"])
    assert str(last_used()) > str(first)


# --- who makes them -------------------------------------------------------------------------------------------------


def test_a_viewer_makes_no_key_and_an_analyst_only_for_himself(shop: Shop) -> None:
    body = {"name": "x", "scopes": ["read"]}
    assert shop.client.post("/api/auth/keys", json=body, headers=shop.bearer("viewer")).status_code == 403
    analyst, admin = shop.bearer("analyst"), shop.bearer("admin")
    sent = shop.client.post("/api/auth/keys", json={**body, "user_id": shop.id_of(admin)}, headers=analyst)
    assert refused(sent)[:2] == (403, "forbidden")


def test_an_administrator_sees_and_revokes_everybodys_keys_and_an_analyst_his_own(shop: Shop) -> None:
    admin, analyst = shop.bearer("admin"), shop.bearer("analyst")
    mine, his = shop.make(admin), shop.make(analyst)

    def seen(headers: dict[str, str], **query: Any) -> list[int]:
        data = shop.client.get("/api/auth/keys", query_string=query, headers=headers).get_json()["data"]
        return [key["id"] for key in data["keys"]]

    assert seen(analyst) == seen(analyst, user_id=shop.id_of(admin)) == [his["id"]]
    assert seen(admin) == [mine["id"], his["id"]]
    assert seen(admin, user_id=shop.id_of(analyst)) == [his["id"]]
    assert shop.client.delete(f"/api/auth/keys/{mine['id']}", headers=analyst).status_code == 404
    assert shop.client.delete(f"/api/auth/keys/{his['id']}", headers=admin).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "scopes": ["read"]},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["write"]},
        {"name": "x", "scopes": ["read"], "expires_in_days": 0},
        {"name": "x", "scopes": ["read"], "expires_in_days": 99999},
        {"name": "x", "scopes": ["read"], "key": "rs_mine"},
        {"scopes": ["read"]},
    ],
)
def test_an_odd_key_is_422(shop: Shop, body: dict[str, Any]) -> None:
    assert shop.client.post("/api/auth/keys", json=body, headers=shop.bearer("analyst")).status_code == 422


def test_a_viewers_key_only_reads(shop: Shop) -> None:
    viewer, admin = shop.bearer("viewer"), shop.bearer("admin")
    body = {"name": "x", "scopes": ["score"], "user_id": shop.id_of(viewer)}
    assert shop.client.post("/api/auth/keys", json=body, headers=admin).status_code == 422
    assert shop.make(admin, "read", user_id=shop.id_of(viewer))["scopes"] == ["read"]


def test_there_is_an_end_to_the_keys_of_one_account(shop: Shop) -> None:
    headers = shop.bearer("analyst")
    for _ in range(api_keys.MAX_LIVE):
        last = shop.make(headers)
    body = {"name": "x", "scopes": ["read"]}
    assert shop.client.post("/api/auth/keys", json=body, headers=headers).status_code == 409
    shop.client.delete(f"/api/auth/keys/{last['id']}", headers=headers)
    shop.make(headers)


def test_the_document_says_which_routes_take_a_key_and_with_which_scope(shop: Shop) -> None:
    document = shop.client.get("/api/openapi.json").get_json()
    assert json.dumps(document) == json.dumps(shop.client.get("/api/openapi.json").get_json())
    assert {"key": ["read"]} in document["paths"][METRICS]["get"]["security"]
    assert {"key": ["score"]} in document["paths"][PREDICT]["post"]["security"]
    assert {"key": ["import"]} in document["paths"]["/api/jobs/{job_id}"]["get"]["security"]
    assert all("key" not in way for way in document["paths"]["/api/users"]["get"]["security"])
