"""How the gateway has answered in the newest minutes: the share of requests that failed, and of those that were slow.

Law: no share is told of few requests; the alerts are those of examples/operations/alerts.yml.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from gateway.services.monitoring.live_state import Alert
from shared.clock import iso
from shared.web.metrics import SLOW_S, Recent

#: Shares above which an alert is raised: of failed requests, and of slow ones (the 95th percentile is above the limit).
FAILED, SLOW = 0.01, 0.05
#: Fewest requests to tell a share of: with fewer, one that failed would be above the limit.
FEWEST = 100
FEW = "{n} requests since {since}: a share is told from {fewest} on."


class ServiceState(BaseModel):
    """Requests to the API since a moment, ten minutes ago at the most; those to `/api/health` are not counted."""

    since: str = Field(description="When this process began, or ten minutes ago")
    requests: int
    failed: int = Field(description="Answered with 5xx")
    slow: int = Field(description="Answered after more than 500 ms, without the time that a client waits for a job")
    error_rate: float | None = Field(description="null with `reason` where there are too few requests")
    slow_share: float | None = Field(description="Above 0.05 the 95th percentile is above 500 ms; null as error_rate")
    reason: str | None


def state_of(recent: Recent, now: datetime) -> ServiceState:
    """Return the counts of the newest minutes, with their shares where there are enough requests."""
    since, n = iso(now - timedelta(seconds=recent.window_s)), recent.requests
    enough = n >= FEWEST
    return ServiceState(
        since=since,
        requests=n,
        failed=recent.failed,
        slow=recent.slow,
        error_rate=recent.failed / n if enough else None,
        slow_share=recent.slow / n if enough else None,
        reason=None if enough else FEW.format(n=n, since=since, fewest=FEWEST),
    )


def alerts_of(state: ServiceState, now: datetime) -> Iterator[Alert]:
    """Yield an alert for a share that is above its limit."""
    of, day = f"of {state.requests:,} requests since {state.since}", iso(now)[:10]
    if state.error_rate is not None and state.error_rate > FAILED:
        message = f"{state.error_rate:.1%} {of} failed; more than {FAILED:.0%} is an alert."
        yield Alert(kind="error_rate", message=message, value=state.error_rate, limit=FAILED, as_of=day)
    if state.slow_share is not None and state.slow_share > SLOW:
        message = f"{state.slow_share:.1%} {of} took more than {SLOW_S * 1000:.0f} ms; one in twenty may."
        yield Alert(kind="latency", message=message, value=state.slow_share, limit=SLOW, as_of=day)
