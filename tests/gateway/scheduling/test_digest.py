"""The digest: what it tells, whom it names, where it goes, and what becomes of a failure."""

from __future__ import annotations

import email
import email.policy
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import insert, select, update

from database.customers import contacting
from database.tables import tables
from gateway.cli import scheduling
from gateway.services import digest, kinds
from gateway.services.scheduling import calendar
from shared.errors import InvalidInput, ServiceUnavailable
from tests.database.facts import NOW, full_run
from tests.gateway.campaigns.campaign_base import Base
from tests.gateway.clients.mail_server import receiving_mail
from tests.gateway.webhooks.receiver import receiving
from tests.world import World, settings_of

MakeWorld = Callable[..., World]
MAIL = {"DIGEST_TO": "ann@example.com, bob@example.com", "DIGEST_FROM": "stream@example.com"}
LOOPBACK = "127.0.0.0/8"


def a_base(world: World) -> Base:
    """Twenty customers; the first eight are newly above the cut, the last of these on the worklist."""
    base = Base(world, 20)
    model = base.facts.model("1.1.0")
    full_run(world.database, model, dict.fromkeys(base.ids, 0.2), as_of="2026-06-20")
    full_run(world.database, model, {key: 0.95 - at / 100 if at < 8 else 0.1 for at, key in enumerate(base.ids)})
    with world.database.write() as connection:
        for key, reason in ((base.ids[0], 0), (base.ids[1], -1)):
            own = tables.ledger.c.customer_id == key
            connection.execute(update(tables.ledger).where(own).values(reason_1=reason, points_1=0.2))
    return base


def due(base: Base, at: int, status: str, day: str) -> None:
    row = {"customer_id": base.ids[at], "status": status, "owner_id": None, "note": "private", "due_on": day}
    with base.world.database.write() as connection:
        connection.execute(insert(tables.worklist).values(**row, updated_at=NOW, updated_by=None))


def of(text: str, title: str) -> list[str]:
    """The lines under a title."""
    part = next(part for part in text.split("\n\n") if part.startswith(title))
    return part.strip().splitlines()[1:]


def test_who_entered_the_list_is_counted_and_five_are_named(world: World) -> None:
    a_base(world)
    found = digest.compose(world.environment)
    assert found.newly_at_risk == 8
    first, *named = of(found.text, "Newly at risk")
    assert first == "- 8 above 0.7 on 2026-06-30 who were not on 2026-06-20."
    assert [line[2:7] for line in named] == [f"u{at:04}" for at in range(5)]
    assert named[0].startswith("- u0000: 95.0% (")
    assert named[0].endswith(" unknown: +20.0 points)")
    assert named[1] == "- u0001: 94.0%", "this run stored no reason"
    assert found.subject == "RetainStream, 2026-06-30: 8 newly at risk, 0 due"


def test_who_was_not_scored_before_is_marked(world: World) -> None:
    base = a_base(world)
    key = base.facts.customer("newcomer")
    full_run(world.database, base.facts.model("1.2.0"), {key: 0.99})
    found = digest.compose(world.environment)
    assert found.newly_at_risk == 1
    assert of(found.text, "Newly at risk")[1].startswith("- newcomer: 99.0%, not scored before (")


def test_a_name_can_not_begin_a_line_or_call_a_channel(make_world: MakeWorld) -> None:
    with receiving() as receiver:
        world = make_world(DIGEST_WEBHOOK=receiver.url, WEBHOOK_NETWORKS=LOOPBACK)
        base = Base(world)
        campaign = base.draw("<!channel> & <https://a.example|Click>\n\nModel\n- fine", control_share=0.5)
        base.mature(campaign)
        world.do("digest", kinds.DIGEST.run)
    text = json.loads(receiver.came[0][1])["text"]
    assert "- &lt;!channel&gt; &amp; &lt;https://a.example|Click&gt; Model - fine (drawn 2026-06-30)" in text
    assert "<" not in text


def test_who_may_not_be_contacted_is_left_out_and_counted(world: World) -> None:
    base = a_base(world)
    due(base, 0, "to_do", "2026-07-01")
    with world.database.write() as connection:
        contacting.suppress(connection, base.ids[:2], "objected", "2026-06-30")
    text = digest.compose(world.environment).text
    assert "u0000" not in text
    assert "u0001" not in text
    assert of(text, "Newly at risk")[0].startswith("- 6 above")
    assert of(text, "Newly at risk")[-1] == "- 2 more may not be contacted and are not named."
    assert of(text, "Due") == [
        "- 0 on the worklist up to 2026-07-07.", "- 1 more may not be contacted and is not named."
    ]  # fmt: skip


def test_what_is_due_within_a_week_is_told_without_notes_and_without_what_is_closed(world: World) -> None:
    base = a_base(world)
    for at, (status, day) in enumerate(
        [("to_do", "2026-06-29"), ("contacted", "2026-07-07"), ("saved", "2026-07-01"), ("snoozed", "2026-07-08")]
    ):
        due(base, at, status, day)
    found = digest.compose(world.environment)
    assert found.due == 2
    assert of(found.text, "Due") == [
        "- 2 on the worklist up to 2026-07-07.", "- u0000: to do, 2026-06-29, overdue, nobody",
        "- u0001: contacted, 2026-07-07, nobody",
    ]  # fmt: skip
    assert "private" not in found.text


def test_a_campaign_is_told_once_with_its_effect_and_never_a_saving(make_world: MakeWorld) -> None:
    with receiving() as receiver:
        world = make_world(DIGEST_WEBHOOK=f"{receiver.url}/secret-path", WEBHOOK_NETWORKS=LOOPBACK)
        base = Base(world)
        campaign = base.draw(control_share=0.5)
        assert of(digest.compose(world.environment).text, "Campaigns") == ["- None since the last digest."]
        base.leave([key for key, is_control in base.arms(campaign).items() if is_control][:40])
        base.mature(campaign)
        done = world.do("digest", kinds.DIGEST.run)
        assert done["matured"] == [campaign.id]
        assert done["sent_by"] == "webhook"
        ((headers, body),) = receiver.came
        sent = json.loads(body)
        assert headers["content-type"] == "application/json"
        assert list(sent) == ["text"]
        (line,) = of(sent["text"], "Campaigns")
        effect = world.ask("GET", f"/api/campaigns/{campaign.id}/effect").get_json()["data"]
        low, high = effect["interval"]
        assert f"{100 * effect['effect']:+.1f} points (95 %: {100 * low:+.1f} to {100 * high:+.1f})" in line
        assert "leaves out 0" in line
        assert "sav" not in sent["text"].lower()
        with world.database.write() as connection:
            connection.execute(update(tables.jobs).values(result_json=None))  # results are kept for some days
        world.do("digest", kinds.DIGEST.run)
        assert of(json.loads(receiver.came[1][1])["text"], "Campaigns") == ["- None since the last digest."]


def test_a_campaign_without_an_effect_says_why(world: World) -> None:
    base = Base(world)
    campaign = base.draw(control_share=0.5)
    base.mature(campaign)
    m = tables.campaign_members
    with world.database.write() as connection:
        gone = [key for key, is_control in base.arms(campaign).items() if is_control][10:]
        connection.execute(m.delete().where(m.c.customer_id.in_(gone)))
    (line,) = of(digest.compose(world.environment).text, "Campaigns")
    assert "no effect is stated" in line
    assert "points" not in line


def test_an_empty_base_says_what_is_not_known(world: World) -> None:
    text = digest.compose(world.environment).text
    assert "nobody is scored yet" in text
    assert "No model is live yet." in text


def test_the_models_status_and_its_alarm_are_told(world: World) -> None:
    a_base(world)
    status, alarm = of(digest.compose(world.environment).text, "Model")
    assert status == "- 1.1.0: Stable. Nothing has matured yet, so nothing speaks against the model."
    assert alarm == "- No counted run has matured yet."


# --- sending --------------------------------------------------------------------------------------------------------


def test_the_schedule_sends_it_by_mail_and_records_that(make_world: MakeWorld) -> None:
    with receiving_mail() as server:
        world = make_world(SCHEDULE="digest 0 7 * * 1", SMTP_URL=f"smtp://127.0.0.1:{server.port}", **MAIL)
        a_base(world)
        assert [each["task"] for each in calendar.planned(world.environment, with_reasons=True)] == ["digest"]
        done = world.do("digest", kinds.DIGEST.run)
    assert (done["sent_by"], done["newly_at_risk"]) == ("mail", 8)
    message = email.message_from_string(server.mail, policy=email.policy.default)
    assert message["Subject"] == "RetainStream, 2026-06-30: 8 newly at risk, 0 due"
    assert message["To"] == "ann@example.com, bob@example.com"
    text = message.get_content().replace("\r\n", "\n")
    assert of(text, "Newly at risk")[0] == "- 8 above 0.7 on 2026-06-30 who were not on 2026-06-20."
    a = tables.audit_log
    with world.database.read() as connection:
        rows = connection.execute(select(a.c.actor, a.c.subject).where(a.c.action == "digest.sent")).all()
    assert [tuple(row) for row in rows] == [("worker", "mail job:1")]


def test_a_failure_ends_the_job_with_the_reason_and_no_secret(
    make_world: MakeWorld, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving(answer=lambda message_id: 500) as receiver:
        hooked = make_world(DIGEST_WEBHOOK=f"{receiver.url}/services/T0SECRET", WEBHOOK_NETWORKS=LOOPBACK)
        ended = hooked.run("digest", kinds.DIGEST.run)
    inside = make_world(DIGEST_WEBHOOK="https://127.0.0.1/services/T0SECRET").run("digest", kinds.DIGEST.run)
    mailed = make_world(SMTP_URL="smtp://ann:T0SECRET@127.0.0.1:9", **MAIL).run("digest", kinds.DIGEST.run)
    found = [(each.state, each.error["code"], each.error["message"]) for each in (ended, inside, mailed) if each.error]
    assert [each[0] for each in found] == ["failed"] * 3
    assert found[0][2] == "The digest was not sent to DIGEST_WEBHOOK: it answered 500."
    assert "internal address" in found[1][2]
    assert found[2][2] == "The mail was not sent by 127.0.0.1: ConnectionRefusedError."
    shown = capsys.readouterr()
    assert "T0SECRET" not in f"{found}{caplog.text}{shown.out}{shown.err}{hooked.settings!r}"
    with hooked.database.read() as connection:
        assert (
            connection.execute(select(tables.audit_log.c.id).where(tables.audit_log.c.action == "digest.sent")).all()
            == []
        )


def test_the_command_prints_it_and_sends_it_only_when_told(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving() as receiver:
        world = make_world(DIGEST_WEBHOOK=receiver.url, WEBHOOK_NETWORKS=LOOPBACK)
        a_base(world)
        monkeypatch.setattr(scheduling, "prepare", lambda: world.environment)
        capsys.readouterr()  # a slow write of the base above is logged
        scheduling.digest.callback(send=False)
        printed = capsys.readouterr().out
        assert printed.startswith("RetainStream, 2026-06-30: 8 newly at risk, 0 due\n\nNewly at risk\n")
        assert receiver.came == []
        scheduling.digest.callback(send=True)
        assert "Sent by webhook." in capsys.readouterr().out
        assert json.loads(receiver.came[0][1])["text"] == printed
    with pytest.raises(ServiceUnavailable, match="ConnectionRefusedError"):
        scheduling.digest.callback(send=True)
    nowhere = make_world().environment
    monkeypatch.setattr(scheduling, "prepare", lambda: nowhere)
    with pytest.raises(InvalidInput, match="goes nowhere"):
        scheduling.digest.callback(send=True)


@pytest.mark.parametrize(
    "variables",
    [
        {"SCHEDULE": "digest 0 7 * * 1"}, {"SMTP_URL": "smtp://a:s3cret@mail.example.com"}, MAIL,
        {"SMTP_URL": "smtp://a:s3cret@mail.example.com", **MAIL, "DIGEST_WEBHOOK": "https://example.com/s3cret"},
        {"SMTP_URL": "http://a:s3cret@mail.example.com", **MAIL}, {"DIGEST_WEBHOOK": "ftp://example.com/s3cret"},
        {"SMTP_URL": "smtp://mail.example.com", **MAIL, "DIGEST_TO": "ann@example.com\r\nBcc: s3cret@example.com"},
    ],
)  # fmt: skip
def test_a_digest_that_would_go_nowhere_or_two_ways_stops_the_start(tmp_path: Path, variables: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as told:
        settings_of(tmp_path / "a.db", **variables)
    assert not [each for each in told.value.errors(include_input=False) if "s3cret" in each["msg"]]
