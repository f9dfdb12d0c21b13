"""The digest: who is newly at risk, what is due, which campaigns have matured, how the model does, as plain text.

Law: it names nobody who may not be contacted, states no saving, and tells of a campaign once, with its effect or why
there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from database.accounts import audit
from database.campaigns import campaigns
from database.campaigns.campaigns import Campaign
from database.customers import customer_base, customers, maturity, worklist
from database.engine.session import Connection
from database.scoring import movers
from gateway.clients import mail
from gateway.clients.addresses import require_target
from gateway.clients.webhooks import WebhookClient
from gateway.environment import Environment
from gateway.services.campaigns.measuring import Measured, effect_of
from gateway.services.jobs.work import Work
from gateway.services.monitoring import live_state
from gateway.services.scoring.reasons import stored_reasons
from gateway.settings import Settings
from shared.clock import days_later, iso
from shared.errors import InvalidInput, ServiceUnavailable
from shared.plural import plural
from shared.schema.features import Schema

KIND = "digest"
DAYS, NAMED = 7, 5
NO_TARGET = "The digest goes nowhere: set SMTP_URL, DIGEST_TO and DIGEST_FROM, or DIGEST_WEBHOOK."


@dataclass(frozen=True)
class Digest:
    """A digest.

    Attributes
    ----------
    matured
        The campaigns whose outcome this digest tells; no later one does once this one was sent.
    """

    subject: str
    text: str
    newly_at_risk: int | None
    due: int
    matured: list[int]


def compose(environment: Environment) -> Digest:
    """Read what the digest tells."""
    today = environment.clock().date().isoformat()
    with environment.database.read() as connection:
        entered, risk = _newly_at_risk(connection, today, environment.settings.cut)
        due, work = _due(connection, today)
        matured, told = _matured(connection, today)
        model = list(_model(connection, environment.settings.alert_auc))
    counted = "no two runs to compare" if entered is None else f"{entered:,} newly at risk"
    parts = (("Newly at risk", risk), ("Due", work), ("Campaigns that matured", told), ("Model", model))
    return Digest(
        subject=f"RetainStream, {today}: {counted}, {due:,} due",
        text="\n\n".join(
            "\n".join([title, *(f"- {' '.join(line.split())}" for line in lines)]) for title, lines in parts
        )
        + "\n",
        newly_at_risk=entered,
        due=due,
        matured=matured,
    )


def run(work: Work) -> Mapping[str, Any]:
    """Compose the digest and send it, as a job."""
    found = compose(work.environment)
    work.step(0.5, "Sending")
    way = _send(work.settings, found)
    with work.database.write() as connection:
        at, subject = iso(work.clock()), f"{way} job:{work.job.id}"
        campaigns.mark_told(connection, found.matured, at)
        audit.record(connection, "digest.sent", at=at, actor=work.actor, subject=subject)
    return {"sent_by": way, "newly_at_risk": found.newly_at_risk, "due": found.due, "matured": found.matured}


def _send(settings: Settings, found: Digest) -> str:
    """Send a digest and return by what. Raises ServiceUnavailable with the reason."""
    if settings.mail_server is not None and settings.digest_from is not None:
        parts = {"subject": found.subject, "text": found.text}
        mail.send(settings.mail_server, sender=settings.digest_from, to=settings.digest_to, **parts)
        return "mail"
    if settings.digest_webhook is None:
        raise InvalidInput(NO_TARGET)
    url = settings.digest_webhook.get_secret_value()
    require_target(url, settings.webhook_networks)
    # Slack reads links and calls of whole channels in angle brackets, which ids and names could hold.
    text = escape(f"{found.subject}\n\n{found.text}", quote=False)
    body = json.dumps({"text": text}).encode()
    answer = WebhookClient(settings.webhook_networks).post(url, body, {"Content-Type": "application/json"})
    if not answer.succeeded:
        raise ServiceUnavailable(f"The digest was not sent to DIGEST_WEBHOOK: {answer.failure}.")
    return "webhook"


def _newly_at_risk(connection: Connection, today: str, cut: float) -> tuple[int | None, list[str]]:
    present = customer_base.get(connection)
    pair = movers.compared(connection, since=days_later(today, -DAYS), until=None)
    if present is None or pair is None:
        newest = movers.latest(connection, None)
        last = "nobody is scored yet" if newest is None else f"the newest scores are of {newest.as_of}"
        return None, [f"There are no two runs, one {DAYS} days old or older and one since, to compare: {last}."]
    now, then = pair
    asked = movers.Question(now, then, "entered", cut)
    count, others = movers.count(connection, present.schema, asked)
    rows = movers.movers(connection, present.schema, asked, limit=NAMED, only_allowed=True)
    lines = [f"{count:,} above {cut:g} on {now.as_of} who were not on {then.as_of}."]
    lines += [_risk(connection, present.schema, row) for row in rows]
    return count, lines + ([_unnamed(others)] if others else [])


def _unnamed(others: int) -> str:
    return plural(others, "more may not be contacted and is not named.", "more may not be contacted and are not named.")


def _risk(connection: Connection, schema: Schema, row: Mapping[str, Any]) -> str:
    """One customer with score and its first reason; without where the run stored none."""
    whole = customers.one(connection, schema, row["user_id"])
    reasons = [] if whole is None else stored_reasons(schema, whole)
    why = f" ({reasons[0]['text']})" if reasons else ""
    new = "" if row["cause"] == "score" else f", {row['cause']}"
    return f"{row['user_id']}: {row['churn_probability']:.1%}{new}{why}"


def _due(connection: Connection, today: str) -> tuple[int, list[str]]:
    by = days_later(today, DAYS)
    rows, count, others = worklist.due(connection, by, limit=NAMED)
    lines = [f"{count:,} on the worklist up to {by}."]
    for row in rows:
        late = ", overdue" if row.due_on < today else ""
        lines.append(f"{row.user_id}: {row.status.replace('_', ' ')}, {row.due_on}{late}, {row.owner or 'nobody'}")
    return count, lines + ([_unnamed(others)] if others else [])


def _matured(connection: Connection, today: str) -> tuple[list[int], list[str]]:
    """Return the campaigns that have matured and that no earlier digest told of, and what is told of them."""
    ripe = [each for each in campaigns.untold(connection) if maturity.has_matured(connection, each.starts_on, today)]
    lines = [_campaign(each, effect_of(connection, each, today)) for each in ripe]
    return [each.id for each in ripe], lines or ["None since the last digest."]


def _campaign(campaign: Campaign, measured: Measured) -> str:
    name = f"{campaign.name} (drawn {campaign.starts_on})"
    if measured.effect is None:
        return f"{name}: no effect is stated. {measured.verdict}"
    low, high = measured.effect.interval
    return (
        f"{name}: rate of leaving without contact minus contacted {100 * measured.effect.difference:+.1f} points "
        f"(95 %: {100 * low:+.1f} to {100 * high:+.1f}). {measured.verdict}"
    )


def _model(connection: Connection, alert_auc: float | None) -> Iterator[str]:
    found = live_state.read(connection, alert_auc)
    if found.version is None:
        yield "No model is live yet."
        return
    yield f"{found.version}: {found.status}. {found.status_reason}"
    alarm = found.alarm
    if alarm.evidence is None:
        yield f"{alarm.note}"
    else:
        state = "raised" if alarm.raised else "not raised"
        yield f"Alarm on the level: {state}; evidence {alarm.evidence:.2g}, raised from {alarm.limit:.0f}."
    yield from (alert.message for alert in found.alerts if alert.kind == "drift")
