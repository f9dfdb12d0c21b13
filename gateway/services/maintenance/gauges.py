"""The state of the system as Prometheus metrics, read whenever somebody asks.

Law: what is unknown is left out, never 0: an alert on its absence tells it from a good value. No metric names a
customer or a person.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from database.customers import facts, maturity
from database.engine import files
from database.engine.session import Connection
from database.jobs import job_counts
from database.models import models
from database.scoring import runs
from database.webhooks import deliveries
from gateway.environment import Environment
from gateway.services.maintenance import backups
from gateway.services.monitoring import live_state

UNENDED = ("queued", "running")


class SystemCollector:
    """A collector for a registry of prometheus_client.

    Parameters
    ----------
    environment
        Its database is read at every scrape; while it is unreachable, only `retainstream_database_up` is told.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering reads nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the present values."""
        env = self._environment
        is_up = env.database.is_reachable()
        yield _gauge("database_up", "Whether the database answers and has the newest migration", float(is_up))
        yield from _disks(env)
        if not is_up:
            return
        now = env.clock()
        with env.database.read() as connection:
            live = _live(connection, env.settings.alert_auc)
            parts = (_jobs(connection, now), _ages(connection, now), _model(connection, now), live)
            yield from [each for part in parts for each in part]
            waiting = GaugeMetricFamily("retainstream_webhook_deliveries", "Deliveries by state", labels=["state"])
            for state, number in deliveries.counts(connection).items():
                waiting.add_metric([state], number)
            yield waiting
            free = files.free_bytes(connection)
        yield _gauge("database_bytes", "Size of the database file", env.database.path.stat().st_size)
        yield _gauge("database_free_bytes", "Free space inside the database file", free)


def _gauge(name: str, help_text: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"retainstream_{name}", help_text)
    if value is not None:
        family.add_metric([], value)
    return family


def _seconds_since(text: str | None, now: datetime) -> float | None:
    return None if text is None else max(0.0, (now - datetime.fromisoformat(text)).total_seconds())


def _days_since(day: str | None, now: datetime) -> float | None:
    return None if day is None else float((now.date() - date.fromisoformat(day)).days)


def _jobs(connection: Connection, now: datetime) -> Iterator[Metric]:
    number = GaugeMetricFamily("retainstream_jobs", "Jobs by kind and state", labels=["kind", "state"])
    oldest = GaugeMetricFamily(
        "retainstream_job_oldest_age_seconds", "Since the oldest unended job was asked for", labels=["kind", "state"]
    )
    for row in job_counts.by_kind_and_state(connection):
        number.add_metric([row.kind, row.state], row.jobs)
        age = _seconds_since(row.oldest, now)
        if row.state in UNENDED and age is not None:
            oldest.add_metric([row.kind, row.state], age)
    yield number
    yield oldest
    seen = _seconds_since(job_counts.worker_seen_at(connection), now)
    yield _gauge("worker_heartbeat_age_seconds", "Since any worker was last seen", seen)


def _ages(connection: Connection, now: datetime) -> Iterator[Metric]:
    yield _gauge("facts_age_days", "Since the date of the newest facts", _days_since(facts.last_date(connection), now))
    known = _days_since(maturity.complete_to(connection), now)
    yield _gauge("ends_known_age_days", "Since the day up to which all ends are known", known)
    shown = runs.published(connection)
    age = _seconds_since(shown.published_at if shown else None, now)
    yield _gauge("scores_age_seconds", "Since the displayed scores were published", age)
    yield _gauge("scored_customers", "Customers of the published run", shown.customers if shown else None)


def _model(connection: Connection, now: datetime) -> Iterator[Metric]:
    live, since = models.live_version(connection), models.live_since(connection)
    info = GaugeMetricFamily("retainstream_model_info", "The live model", labels=["version"])
    if live is not None:
        info.add_metric([live[1]], 1)
    yield info
    age = _seconds_since(since.live_from if since is not None else None, now)
    yield _gauge("model_age_seconds", "Since the live model went live", age)


def _live(connection: Connection, alert_auc: float | None) -> Iterator[Metric]:
    """Yield figures of the newest counted run whose outcomes have matured, the alarm on the level, and the alerts."""
    state = live_state.read(connection, alert_auc)
    yield _gauge("live_alarm", "Whether the alarm on the number of leavers stands", float(state.alarm.raised))
    yield _gauge("live_alarm_evidence", "Evidence for a shift; 1 is none", state.alarm.evidence)
    alerts = GaugeMetricFamily("retainstream_live_alerts", "Alerts of the live model by kind", labels=["kind"])
    for kind, number in Counter(each.kind for each in state.alerts).items():
        alerts.add_metric([kind], number)
    text = "Leavers / expected of the newest matured run, and its 95 % interval"
    ratio = GaugeMetricFamily("retainstream_live_observed_expected", text, labels=["version", "of"])
    auc = GaugeMetricFamily("retainstream_live_auc", "ROC AUC of the newest matured run", labels=["version"])
    if state.newest is not None:
        (version,), found = state.newest.versions, state.newest.observed_expected
        low, high = found.interval or (None, None)
        for of, value in (("value", found.value), ("low", low), ("high", high)):
            if value is not None:
                ratio.add_metric([version, of], value)
        if state.newest.auc.value is not None:
            auc.add_metric([version], state.newest.auc.value)
    yield from (alerts, ratio, auc)


def _disks(env: Environment) -> Iterator[Metric]:
    free = GaugeMetricFamily("retainstream_disk_free_bytes", "Free space of the disk of a folder", labels=["folder"])
    total = GaugeMetricFamily("retainstream_disk_bytes", "Size of the disk of a folder", labels=["folder"])
    places: dict[str, Path | None] = {
        "database": env.database.path.parent,
        "data": env.settings.data_folder,
        "backup": env.settings.backup_folder,
    }
    for name, folder in places.items():
        if folder is not None and folder.is_dir():
            usage = shutil.disk_usage(folder)
            free.add_metric([name], usage.free)
            total.add_metric([name], usage.total)
    yield free
    yield total
    made = backups.made_at(env.settings.backup_folder) if env.settings.backup_folder is not None else None
    yield _gauge("backup_age_seconds", "Since the backup in BACKUP_FOLDER was made", _seconds_since(made, env.clock()))
