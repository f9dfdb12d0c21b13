"""Metrics for operators: gauges of the system, the worker's own metrics, and the files that use them."""

from __future__ import annotations

import configparser
import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from database.jobs import jobs, workers
from database.tables import tables
from gateway.cron import Cron
from gateway.worker import Worker
from gateway.worker_metrics import WorkerMetrics
from shared.clock import iso
from shared.web.metrics import RequestMetrics, is_allowed
from tests.database.facts import Facts, full_run, plain_schema
from tests.world import TODAY, World

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "operations"
Samples = dict[tuple[str, tuple[str, ...]], float]


def samples(text: str) -> Samples:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(world: World, token: str | None = None) -> Samples:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = world.client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return samples(answer.get_data(as_text=True))


def test_the_gauges_tell_jobs_ages_model_and_disks(make_world: Callable[..., World], tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    (backup / "manifest.json").write_text(json.dumps({"made_at": "2026-06-29T12:00:00.000Z"}))
    world = make_world(BACKUP_FOLDER=backup)
    facts = Facts(world.database, plain_schema())
    ids = facts.people(3)
    facts.snapshot("u0000", "2026-06-28")
    facts.known("2026-06-20")
    full_run(world.database, facts.model("1.0.7"), dict.fromkeys(ids, 0.5))
    with world.database.write() as connection:
        connection.execute(update(tables.models).values(report_json=None))  # nothing of it is measured here
        jobs.create(connection, kind="score", params={}, now="2026-06-30T11:00:00.000Z")
        workers.seen(connection, "w", "2026-06-30T11:59:48.000Z")
    found = scraped(world)
    wanted = {
        ("retainstream_database_up", ()): 1,
        ("retainstream_jobs", ("score", "queued")): 1,
        ("retainstream_job_oldest_age_seconds", ("score", "queued")): 3600,
        ("retainstream_worker_heartbeat_age_seconds", ()): 12,
        ("retainstream_facts_age_days", ()): 2,
        ("retainstream_ends_known_age_days", ()): 10,
        ("retainstream_scores_age_seconds", ()): 0,
        ("retainstream_scored_customers", ()): 3,
        ("retainstream_model_info", ("1.0.7",)): 1,
        ("retainstream_backup_age_seconds", ()): 86_400,
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert found["retainstream_database_bytes", ()] == world.database.path.stat().st_size
    for folder in ("database", "data", "backup"):
        assert 0 < found["retainstream_disk_free_bytes", (folder,)] <= found["retainstream_disk_bytes", (folder,)]


def test_live_figures_are_those_of_the_newest_matured_run(demo_world: World) -> None:
    found = scraped(demo_world)
    groups = demo_world.ask("GET", "/api/predictions/performance?view=live").get_json()["data"]["groups"]
    newest = next(each for each in groups if each["stage"] == "matured" and each["counted"])
    (version,) = newest["versions"]
    ratio = newest["observed_expected"]
    assert found["retainstream_live_observed_expected", ("value", version)] == ratio["value"]
    assert found["retainstream_live_observed_expected", ("low", version)] == ratio["interval"][0]
    assert found["retainstream_live_alarm", ()] == 0
    assert found["retainstream_live_auc", (version,)] == newest["auc"]["value"]


def test_what_is_unknown_is_left_out(world: World) -> None:
    names = {name for name, _ in scraped(world)}
    assert "retainstream_database_up" in names
    unknown = {
        "worker_heartbeat_age_seconds",
        "facts_age_days",
        "scores_age_seconds",
        "backup_age_seconds",
        "model_info",
    }
    assert names & {f"retainstream_{each}" for each in unknown} == set()


def test_a_database_that_is_not_migrated_is_told_and_the_scrape_stands(world: World) -> None:
    with world.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0010'")
    assert scraped(world)["retainstream_database_up", ()] == 0


def test_metrics_have_a_token_of_their_own(make_world: Callable[..., World]) -> None:
    token = "a token of these tests, long enough and varied"
    world = make_world(METRICS_TOKEN=token)
    for header in ("", "Bearer wrong", token, world.signed_in("admin")["Authorization"]):
        answer = world.client.get("/metrics", headers={"Authorization": header} if header else {})
        assert answer.status_code == 401, header
        assert b"retainstream_" not in answer.get_data()
    assert scraped(world, token)["retainstream_database_up", ()] == 1


def test_in_production_the_state_of_the_system_needs_the_token(make_world: Callable[..., World]) -> None:
    safe: dict[str, Any] = {"APP_ENV": "production", "BEHIND_TLS": "0", "BCRYPT_COST": 10}
    assert {name for name, _ in scraped(make_world(**safe)) if name.startswith("retainstream_")} == set()
    token = "a token of these tests, long enough and varied"
    assert ("retainstream_database_up", ()) in scraped(make_world(**safe, METRICS_TOKEN=token), token)


def test_the_worker_tells_its_jobs_on_a_port_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = WorkerMetrics()
    worker = Worker(world.environment, name="w", metrics=metrics)
    with world.database.write() as connection:
        jobs.create(connection, kind="nonsense", params={}, now=iso(TODAY))
    worker.run_one("bulk")
    with metrics.served("127.0.0.1", 0, "secret") as port:

        def get(path: str, token: str | None) -> Any:
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
            if token:
                request.add_header("Authorization", f"Bearer {token}")
            return urllib.request.urlopen(request, timeout=5)

        found = samples(get("/metrics", "secret").read().decode())
        for path, token, status in (("/metrics", None, 401), ("/metrics", "other", 401), ("/", "secret", 404)):
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(path, token)
            assert refused.value.code == status
    assert found["retainstream_worker_jobs_total", ("nonsense", "failed")] == 1
    assert found["retainstream_worker_job_seconds_count", ("nonsense",)] == 1
    assert any(name == "process_resident_memory_bytes" for name, _ in found)


def test_a_token_is_compared_whole() -> None:
    assert is_allowed(None, None)
    assert is_allowed("bearer abc", "abc")
    assert not any(
        is_allowed(header, "abc") for header in (None, "", "abc", "Bearer ab", "Bearer abcd", "Basic abc", "Bearer ä")
    )


# --- the files of examples/operations -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of every metric that the three processes tell."""
    from tests.world import open_world

    world = open_world(tmp_path_factory.mktemp("metrics") / "a.db")
    text = world.client.get("/metrics").get_data(as_text=True)
    world.database.close()
    names = set(re.findall(r"^# TYPE (\S+) ", text, re.M))
    for registry in (RequestMetrics().registry, WorkerMetrics().registry):
        names |= {sample for family in registry.collect() for sample in (family.name, f"{family.name}_total")}
    return names


def names_in(expression: str) -> set[str]:
    found = set(re.findall(r"\b(?:retainstream|http|process)_\w+", expression))
    return {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in found}


def test_every_alert_and_every_panel_uses_metrics_that_exist(known: set[str]) -> None:
    (group,) = yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"]
    board = json.loads((EXAMPLES / "grafana.json").read_text())
    expressions = [rule["expr"] for rule in group["rules"]]
    expressions += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(expressions) > 25
    assert {
        expression: names_in(expression) - known for expression in expressions if names_in(expression) - known
    } == {}
    assert all(names_in(expression) or "up{" in expression for expression in expressions)
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_the_jobs_of_the_alerts_are_those_that_are_scraped() -> None:
    scrapes = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())
    names = {each["job_name"] for each in scrapes["scrape_configs"]}
    alerts = (EXAMPLES / "alerts.yml").read_text()
    assert set(re.findall(r'job="([\w-]+)"', alerts)) <= names
    assert all(re.fullmatch(r"retainstream-.*", name) for name in names)
    assert scrapes["rule_files"] == ["alerts.yml"]


def test_units_and_crontab_start_commands_that_exist() -> None:
    from gateway.cli.main import retainstream

    lines = [line for line in (EXAMPLES / "crontab").read_text().splitlines() if re.match(r"[\d*]", line)]
    assert len(lines) == 5
    for line in lines:
        Cron.parse(" ".join(line.split()[:5]))
    units = list(EXAMPLES.glob("*.service"))
    assert len(units) == 3
    text = "\n".join(lines)
    for path in units:
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(path)
        text += "\n" + unit["Service"]["ExecStart"]
        assert unit["Install"]["WantedBy"] == "multi-user.target"
    commands = re.findall(r"\bretainstream (\w[\w-]*)", text)
    assert len(commands) == 7
    assert set(commands) <= set(retainstream.commands)
