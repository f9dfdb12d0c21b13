"""Webhooks: made and listed over REST, signed, delivered at least once, tried again, given up, sent again."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cache
from ipaddress import ip_network
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, select

from database.engine.session import Database
from database.tables import tables
from database.webhooks import deliveries, events
from gateway.cli.webhooks import commands
from gateway.clients.webhooks import WebhookClient
from gateway.services.webhooks import delivering
from shared.clock import iso, utc_now
from tests.gateway.webhooks.receiver import Receiver, is_signed, receiving
from tests.world import TODAY, World

LOOPBACK = {"WEBHOOK_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def here(make_world: Callable[..., World]) -> World:
    """A world whose webhooks may reach this machine."""
    return make_world(**LOOPBACK)


@cache
def client() -> WebhookClient:
    return WebhookClient((ip_network("127.0.0.0/8"),), deadline_s=2)


def made(world: World, url: str, *wanted: str) -> dict[str, Any]:
    body = {"url": url, "events": list(wanted) or ["churn.alert"]}
    answer = world.ask("POST", "/api/webhooks", "admin", json=body)
    assert answer.status_code == 201, answer.get_data(as_text=True)
    return dict(answer.get_json()["data"])


def happens(database: Database, kind: events.EventType = "churn.alert", now: datetime = TODAY, **data: Any) -> None:
    with database.write() as connection:
        events.record(connection, kind, data, now=now)


def listed(world: World, query: str = "") -> list[dict[str, Any]]:
    answer = world.ask("GET", f"/api/webhooks/deliveries{query}", "admin")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return list(answer.get_json()["data"]["deliveries"])


def deliver_all(world: World, now: datetime = TODAY) -> int:
    sent = 0
    while delivering.deliver_one(world.database, lambda: now, client()):
        sent += 1
    return sent


def test_an_event_is_sent_signed_to_those_that_asked_for_it(here: World, receiver: Receiver) -> None:
    hook, _ = made(here, receiver.url, "churn.alert"), made(here, receiver.url, "model.trained")
    happens(here.database, newly_above_cut=3, where="Zürich")
    assert deliver_all(here) == 1
    ((headers, body),) = receiver.came
    assert is_signed(hook["secret"], headers, body)
    assert not is_signed(hook["secret"], headers, body + b" ")
    assert not is_signed(hook["secret"], headers | {"webhook-timestamp": "1"}, body)
    told = json.loads(body)
    assert told == {"type": "churn.alert", "timestamp": iso(TODAY), "data": {"newly_above_cut": 3, "where": "Zürich"}}
    assert headers["webhook-timestamp"] == str(int(TODAY.timestamp()))
    (row,) = listed(here)
    assert (row["state"], row["attempts"], row["status"], row["failure"]) == ("delivered", 1, 200, None)
    assert row["message_id"] == headers["webhook-id"]
    assert row["next_at"] is None


def test_a_secret_is_answered_once_and_stands_in_no_list_and_no_log(
    here: World, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = made(here, receiver.url)
    assert hook["secret"].startswith("whsec_")
    answer = here.ask("GET", "/api/webhooks", "admin")
    assert answer.get_json()["data"]["webhooks"] == [{k: v for k, v in hook.items() if k != "secret"}]
    with here.database.read() as connection:
        audited = connection.execute(select(tables.audit_log.c.action, tables.audit_log.c.subject)).all()
    assert ("webhook.made", f"webhook:{hook['id']}") in [tuple(row) for row in audited]
    happens(here.database)
    deliver_all(here)
    shown = capsys.readouterr()
    assert hook["secret"] not in shown.out + shown.err
    assert here.database.path.stat().st_mode & 0o077 == 0, "the secret stands in a file that its owner alone reads"


def rotated(world: World, hook_id: int) -> dict[str, Any]:
    answer = world.ask("POST", f"/api/webhooks/{hook_id}/secret", "admin")
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return dict(answer.get_json()["data"])


def test_for_a_day_after_a_secret_was_replaced_both_sign_and_then_the_new_one_alone(
    here: World, receiver: Receiver
) -> None:
    first = made(here, receiver.url)
    second = rotated(here, first["id"])
    assert first["secret"] != second["secret"]
    assert second["earlier_secret_until"] == iso(TODAY + timedelta(hours=24))
    signed = []
    for after in (timedelta(0), timedelta(hours=23, minutes=59), timedelta(hours=24)):
        happens(here.database, now=TODAY + after)
        assert deliver_all(here, TODAY + after) == 1
        headers, body = receiver.came[-1]
        signed.append([is_signed(each["secret"], headers, body) for each in (first, second)])
    assert signed == [[True, True], [True, True], [False, True]]
    third = rotated(here, first["id"])
    happens(here.database)
    deliver_all(here)
    headers, body = receiver.came[-1]
    assert [is_signed(each["secret"], headers, body) for each in (first, second, third)] == [False, True, True]
    assert here.ask("POST", "/api/webhooks/99/secret", "admin").status_code == 404
    assert here.ask("POST", f"/api/webhooks/{first['id']}/secret", "analyst").status_code == 403


def test_a_secret_is_replaced_by_command(
    here: World, receiver: Receiver, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "prepare", lambda: here.environment)
    hook = made(here, receiver.url)
    _, listed_ones, _ = run(here, "webhook", "list")
    assert receiver.url in listed_ones
    status, printed, told = run(here, "webhook", "rotate", str(hook["id"]))
    assert status is None, told
    happens(here.database)
    deliver_all(here)
    assert is_signed(printed.strip(), *receiver.came[-1])
    with here.database.read() as connection:
        a = tables.audit_log
        by = connection.execute(select(a.c.actor).where(a.c.action == "webhook.rotated")).scalars().all()
    assert by == ["command line"]


def test_an_event_of_a_transaction_that_fails_is_never_sent(here: World, receiver: Receiver) -> None:
    made(here, receiver.url)

    def publish_and_fail() -> None:
        with here.database.write() as connection:
            events.record(connection, "churn.alert", {}, now=TODAY)
            raise RuntimeError("the run could not be published")

    with pytest.raises(RuntimeError):
        publish_and_fail()
    assert deliver_all(here) == 0
    assert listed(here) == []


def test_without_a_webhook_nothing_is_stored(here: World) -> None:
    happens(here.database)
    with here.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.webhook_events)).scalar_one() == 0


def test_what_fails_is_tried_again_ever_later_for_a_day_and_then_lies_dead(here: World, receiver: Receiver) -> None:
    receiver.answer = lambda message_id: 500
    made(here, receiver.url)
    happens(here.database)
    now, waits = TODAY, []
    while deliver_all(here, now):
        (row,) = listed(here)
        assert row["failure"] == "it answered 500"
        if row["state"] == "dead":
            break
        due = datetime.fromisoformat(row["next_at"])
        assert deliver_all(here, due - timedelta(milliseconds=1)) == 0, "not before its time"
        waits.append((due - now).total_seconds())
        now = due
    assert row["state"] == "dead"
    assert now - TODAY == timedelta(hours=24)
    assert len(receiver.came) == len(waits) + 1 > 8
    assert waits[0] < 6
    assert all(later > sooner for sooner, later in pairwise(waits[:8]))
    assert len(set(receiver.ids)) == 1, "a repetition is known by its id"
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.came}) == len(receiver.came)


def test_a_paused_webhook_keeps_what_waits_and_gets_nothing_of_its_pause(here: World, receiver: Receiver) -> None:
    hook = made(here, receiver.url)
    path = f"/api/webhooks/{hook['id']}"
    happens(here.database, k=1)
    assert here.ask("PATCH", path, "admin", json={"paused": True}).get_json()["data"]["paused"] is True
    happens(here.database, k=2)
    assert deliver_all(here) == 0
    assert here.ask("POST", f"{path}/test", "admin").status_code == 409
    assert here.ask("GET", "/api/webhooks", "admin").get_json()["data"]["webhooks"][0]["paused"] is True
    here.ask("PATCH", path, "admin", json={"paused": False})
    happens(here.database, k=3)
    assert deliver_all(here) == 2
    assert [json.loads(body)["data"]["k"] for _, body in receiver.came] == [1, 3]
    here.ask("PATCH", path, "admin", json={"paused": True})
    assert here.ask("POST", f"/api/webhooks/deliveries/{listed(here)[0]['id']}/replay", "admin").status_code == 409
    assert here.ask("PATCH", "/api/webhooks/99", "admin", json={"paused": True}).status_code == 404
    with here.database.read() as connection:
        actions = list(connection.execute(select(tables.audit_log.c.action).order_by(tables.audit_log.c.id)).scalars())
    assert [each for each in actions if "pause" in each or "resume" in each] == [
        "webhook.paused", "webhook.resumed", "webhook.paused",
    ]  # fmt: skip


def test_a_dead_delivery_is_sent_again_when_asked_and_one_that_waits_is_not(here: World, receiver: Receiver) -> None:
    made(here, receiver.url)
    happens(here.database)
    (row,) = listed(here)
    path = f"/api/webhooks/deliveries/{row['id']}/replay"
    assert here.ask("POST", path, "admin").status_code == 409
    receiver.answer = lambda message_id: 404
    deliver_all(here, TODAY + timedelta(hours=25))
    (row,) = listed(here, "?state=dead")
    receiver.answer = lambda message_id: 204
    assert here.ask("POST", path, "admin").get_json()["data"]["state"] == "waiting"
    assert deliver_all(here) == 1
    (row,) = listed(here, "?state=delivered")
    assert receiver.ids[0] == receiver.ids[1]
    assert here.ask("POST", "/api/webhooks/deliveries/999/replay", "admin").status_code == 404


def test_a_test_goes_to_one_webhook_whatever_it_asked_for(here: World, receiver: Receiver) -> None:
    hook, other = made(here, receiver.url, "model.trained"), made(here, receiver.url)
    answer = here.ask("POST", f"/api/webhooks/{hook['id']}/test", "admin")
    assert answer.status_code == 201
    assert answer.get_json()["data"]["type"] == "webhook.test"
    assert deliver_all(here) == 1
    assert is_signed(hook["secret"], *receiver.came[0])
    assert not is_signed(other["secret"], *receiver.came[0])
    assert here.ask("POST", "/api/webhooks/99/test", "admin").status_code == 404


def test_a_removed_webhook_gets_nothing_more_and_its_log_stays(here: World, receiver: Receiver) -> None:
    hook = made(here, receiver.url)
    happens(here.database)
    path = f"/api/webhooks/{hook['id']}"
    assert here.ask("DELETE", path, "admin").status_code == 200
    happens(here.database)
    assert deliver_all(here) == 0
    (row,) = listed(here, f"?webhook_id={hook['id']}")
    assert (row["state"], row["failure"]) == ("dead", "the webhook was removed")
    assert here.ask("POST", f"/api/webhooks/deliveries/{row['id']}/replay", "admin").status_code == 409
    assert here.ask("DELETE", path, "admin").status_code == 404
    with here.database.read() as connection:
        assert connection.execute(select(tables.webhooks.c.secret)).scalars().all() == [""]


def test_a_redirect_is_a_failure_and_is_not_followed(here: World, receiver: Receiver) -> None:
    receiver.answer = lambda message_id: 307
    made(here, receiver.url)
    happens(here.database)
    deliver_all(here)
    assert len(receiver.came) == 1
    assert listed(here)[0]["failure"] == "it answered 307; redirects are not followed"


def test_deliveries_are_claimed_by_one_worker_and_taken_over_when_it_died(here: World, receiver: Receiver) -> None:
    made(here, receiver.url)
    happens(here.database)
    until = iso(TODAY + delivering.CLAIM)
    with here.database.write() as connection:
        lost = deliveries.claim(connection, now=iso(TODAY), until=until)
    assert lost is not None
    happens(here.database)
    assert deliver_all(here) == 0, "one at a time for each receiver"
    assert deliver_all(here, TODAY + delivering.CLAIM + timedelta(seconds=1)) == 2
    with here.database.write() as connection:
        assert not deliveries.settle(connection, lost, state="dead", now=iso(TODAY)), "the late worker changes nothing"
    assert {row["state"] for row in listed(here)} == {"delivered"}


def test_receivers_killed_at_random_see_each_event_at_least_once(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "BACK_OFF_S", (0.01,))
    monkeypatch.setattr(delivering, "IDLE_S", 0.01)
    chance, stops = random.Random(17), threading.Event()
    seen: set[int] = set()
    incarnations: list[Receiver] = []
    with receiving() as first:
        port = int(first.url.rpartition(":")[2])
    made(here, f"http://127.0.0.1:{port}")
    sender = threading.Thread(target=delivering.deliver, args=(here.database, utc_now, client(), stops), daemon=True)
    sender.start()
    recorded = 0
    try:
        deadline = time.monotonic() + 20
        while (len(seen) < 24 or recorded < 24) and time.monotonic() < deadline:
            # It is there for a moment, breaks some calls off, answers some wrongly after it has read them, and is gone.
            with receiving(port, lambda message_id: chance.choice([200, 200, None, 503])) as found:
                for _ in range(min(8, 24 - recorded)):
                    happens(here.database, now=utc_now(), number=recorded)
                    recorded += 1
                time.sleep(chance.uniform(0.02, 0.1))
            incarnations.append(found)
            seen = {json.loads(body)["data"]["number"] for each in incarnations for _, body in each.came}
            time.sleep(chance.uniform(0.0, 0.05))
    finally:
        stops.set()
        sender.join(10)
    assert seen == set(range(24))


INSIDE_OR_NONE = [
    "https://localhost/x", "https://127.0.0.1/x", "https://127.1/x", "https://0x7f000001/x", "https://2130706433/x",
    "https://[::1]/x", "https://[::ffff:127.0.0.1]/x", "https://10.0.0.1/x", "https://192.168.1.1/x",
    "https://172.16.0.1/x", "https://169.254.169.254/latest", "https://[fe80::1]/x", "https://[fd00:ec2::254]/x",
    "https://[64:ff9b::a9fe:a9fe]/x", "https://[2002:7f00:1::]/x", "https://0.0.0.0/x", "https://100.64.0.1/x",
    "https://168.63.129.16/x", "https://224.0.0.1/x", "https://metadata.google.internal/x", "https://a.localhost/x",
    "http://example.com/x", "ftp://example.com/x", "https://user@example.com/x", "https://example.com/x#y",
    "https:///x", "example.com", "https://example.com:99999/", "https://exämple.com/", "https://a\\@b/", "",
]  # fmt: skip


def test_no_webhook_is_made_for_an_address_inside_or_none(world: World) -> None:
    taken = []
    for url in INSIDE_OR_NONE:
        answer = world.ask("POST", "/api/webhooks", "admin", json={"url": url, "events": ["churn.alert"]})
        if answer.status_code != 422 or answer.get_json()["error"]["details"][0]["field"] != "url":
            taken.append(url)
    assert taken == []


def test_there_are_twenty_webhooks_at_most_and_events_that_exist(world: World) -> None:
    for _ in range(20):
        made(world, "https://example.com/hook")
    body = {"url": "https://example.com/hook", "events": ["churn.alert"]}
    assert world.ask("POST", "/api/webhooks", "admin", json=body).status_code == 409
    page = world.ask("GET", "/api/webhooks?limit=15", "admin").get_json()["data"]
    rest = world.ask("GET", f"/api/webhooks?limit=15&after={page['next']}", "admin").get_json()["data"]
    assert (len(page["webhooks"]), len(rest["webhooks"]), rest["next"]) == (15, 5, None)
    for wrong in ([], ["webhook.test"], ["customer.left"]):
        assert world.ask("POST", "/api/webhooks", "admin", json={**body, "events": wrong}).status_code == 422
    assert world.ask("POST", "/api/webhooks", "analyst", json=body).status_code == 403


def test_ended_deliveries_go_after_their_time_with_their_events(here: World, receiver: Receiver) -> None:
    from gateway.services.maintenance import retention

    made(here, receiver.url)
    happens(here.database)
    deliver_all(here)
    happens(here.database)
    limits = retention.Limits.of(here.settings)
    later = TODAY + timedelta(days=31)
    assert retention.run(here.database, limits, clock=lambda: later, dry_run=True)["deliveries"] == 1
    assert retention.run(here.database, limits, clock=lambda: later)["deliveries"] == 1
    assert [row["state"] for row in listed(here)] == ["waiting"]
    with here.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.webhook_events)).scalar_one() == 1
