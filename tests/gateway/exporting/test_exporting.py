"""Exports: exactly what was asked for, whole, and good to import again."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import sqlite3
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import tomli_w
from sqlalchemy import select, update

from database.accounts import audit
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Connection
from database.exporting import exports
from database.importing import imports
from database.importing.chunks import change_by_customers
from database.importing.import_writer import hide_gone
from database.jobs import retention
from database.tables import tables
from gateway.clients.ml_client import MLClient
from gateway.environment import Environment
from gateway.services.accounts import accounts, api_keys
from gateway.services.exporting import export_files, exporting
from gateway.services.exporting.exporting import Export, ReaderTooSlow
from gateway.settings import Role
from gateway.worker import Worker
from shared.clock import utc_now
from tests import prefork
from tests.gateway.customers_conftest import DAY, NOW, SCHEMA, Small, small

ROOT = Path(__file__).parents[3]
FILTER = "plan=Standard&feature.tenure_months.min=1"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    made = small(tmp_path_factory.mktemp("exporting"))
    yield made
    made.database.close()


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m gateway ...` on the database of a folder."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = kept | {
        "PYTHONPATH": str(ROOT),
        "APP_ENV": "test",
        "DATABASE_PATH": str(folder / "retainstream.db"),
    }
    return prefork.run("gateway", *words, folder=folder, env=env)


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- who ------------------------------------------------------------------------------------------------------------

ROUTES = ("customers/export", "customers/export/manifest", "predictions/export", "predictions/export/manifest",
          "jobs/1/file")  # fmt: skip


def _key(base: Small, role: Role) -> dict[str, str]:
    """A key with the scope `read` of somebody of this role."""
    email = f"key-{role}@example.com"
    made = accounts.create_user(
        base.database, clock=utc_now, cost=4, email=email, password="correct horse battery", name=role, role=role,
    )  # fmt: skip
    _, secret = api_keys.create(base.database, clock=utc_now, user_id=made.id, name="k", scopes=("read",))
    return {"X-API-Key": secret}


def test_a_viewer_reads_pages_and_exports_nothing_and_so_does_a_viewers_key(base: Small) -> None:
    headers = _key(base, "viewer")
    client = base.client.application.test_client()
    assert client.get("/api/customers", headers=headers).status_code == 200
    for route in ROUTES:
        refused = client.get(f"/api/{route}", headers=headers)
        assert (refused.status_code, refused.get_json()["message"]) == (
            403, "This needs the role analyst; yours is viewer."
        ), route  # fmt: skip
    assert client.get("/api/customers/export", headers=_key(base, "analyst")).status_code == 200


def test_each_stream_is_recorded_with_the_names_of_its_filters_and_not_their_values(base: Small) -> None:
    base.get("/api/customers/export?q=secret@example.com&plan=Standard&format=ndjson")
    assert base.get("/api/customers/export?wrong=1").status_code == 422
    with base.database.read() as connection:
        newest = audit.page(connection, limit=1, action="export")[0]
    assert (newest.action, newest.subject) == ("export.streamed", "customers as ndjson, filters: plan, q")
    assert (newest.actor, newest.request_id is not None) == ("user", True)


# --- streams --------------------------------------------------------------------------------------------------------


def test_csv_holds_everybody_with_text_guarded_and_numbers_as_numbers(base: Small) -> None:
    answer = base.get("/api/customers/export")
    assert answer.status_code == 200
    assert answer.content_type == "text/csv; charset=utf-8"
    rows = records(answer.get_data().decode())
    assert len(rows) == len(base.people)
    assert list(rows[0])[:9] == [
        "who", "mail", "plan", "tenure_months", "last_login_days", "Call  Failure", "'=risky", "price", "gone",
    ]  # fmt: skip
    by_id = dict(zip([one["user_id"] for one in base.people], rows, strict=True))
    assert by_id["=1+1"]["who"] == "'=1+1"
    assert by_id["'=quoted"]["who"] == "''=quoted"
    assert by_id["O'Neil"]["who"] == "O'Neil"
    assert {row["plan"] for row in rows} == {"Standard", "Basic Ads", "'=cmd()", ""}
    assert {row["Call  Failure"] for row in rows} == {"", "-1.5", "0.1", "2.0", "1e+17"}
    assert {row["gone"] for row in rows} == {"0", "1"}


def test_ndjson_holds_text_as_it_is_and_null_for_what_is_unknown(base: Small) -> None:
    answer = base.get("/api/customers/export?format=ndjson")
    assert answer.content_type == "application/x-ndjson"
    rows = [json.loads(line) for line in answer.get_data().splitlines()]
    assert [row["who"] for row in rows] == [one["user_id"] for one in base.people]
    assert [row["=risky"] for row in rows] == [one["risky"] for one in base.people]
    assert [row["churn_probability"] for row in rows] == [one["probability"] for one in base.people]


@pytest.mark.parametrize("query", ["", FILTER, "risk=High&scored=yes", "q=usr_00&min_probability=0.3", "churned=true"])
def test_a_filtered_export_is_the_filtered_list(base: Small, query: str) -> None:
    listed = base.data(f"/api/customers?limit=100&{query if 'scored' in query else query + '&scored=any'}")
    rows = [
        json.loads(line) for line in base.get(f"/api/customers/export?format=ndjson&{query}").get_data().splitlines()
    ]
    assert sorted(row["who"] for row in rows) == sorted(row["user_id"] for row in listed["customers"])


@pytest.mark.parametrize("path", ["/api/customers/export", "/api/predictions/export"])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_the_manifest_counts_and_sums_what_the_stream_sends(base: Small, path: str, form: str) -> None:
    sent = base.get(f"{path}?format={form}")
    said = base.data(f"{path}/manifest?format={form}")
    body = sent.get_data()
    assert said["sha256"] == hashlib.sha256(body).hexdigest()
    assert said["bytes"] == len(body)
    assert said["etag"] == sent.get_etag()[0]
    lines = len(records(body.decode())) if form == "csv" else len(body.splitlines())
    assert said["rows"] == lines


def test_the_tag_changes_with_the_worklist(base: Small) -> None:
    path, who = "/api/customers/export?work_status=contacted", base.people[0]["user_id"]
    before = base.get(path)
    assert base.client.patch(
        f"/api/customers/{who}/work", json={"status": "contacted"}, headers=base.headers
    ).status_code == 200  # fmt: skip
    after = base.get(path)
    assert len(records(after.get_data(as_text=True))) == len(records(before.get_data(as_text=True))) + 1
    assert after.get_etag() != before.get_etag()


def test_the_tag_tells_orders_apart_of_which_the_last_counts(base: Small) -> None:
    path = "/api/customers/export?content=risk&format=ndjson&sort={}&sort={}"
    sent = [base.get(path.format(*names)) for names in (("user_id", "-user_id"), ("-user_id", "user_id"))]
    assert sent[0].get_data() != sent[1].get_data()
    assert sent[0].get_etag() != sent[1].get_etag()


def test_the_tag_changes_with_what_is_deleted_of_the_ledger(tmp_path: Path) -> None:
    base = small(tmp_path)
    path, r = "/api/predictions/export/manifest", tables.scoring_runs
    before = base.data(path)
    with base.database.write() as connection:
        oldest = connection.execute(select(r.c.id).order_by(r.c.id).limit(1)).scalar_one()
        assert retention.drop_ledger(connection, run_id=oldest, limit=1000)
    after = base.data(path)
    base.database.close()
    assert before["sha256"] != after["sha256"]
    assert before["etag"] != after["etag"]


def test_the_tag_changes_while_an_import_is_written_and_when_it_is_published(tmp_path: Path) -> None:
    base, c, i = small(tmp_path), tables.customers, tables.imports

    def state() -> tuple[Any, ...]:
        with base.database.read() as connection:
            return exports.state(connection)

    def left(connection: Connection, after: int, until: int) -> None:
        # Every part of an import writes the same time.
        is_in = c.c.id.between(after + 1, until)
        connection.execute(update(c).where(is_in).values(churn=1, updated_at="2026-07-01T00:00:00.000Z"))

    seen = [state()]
    pace = AdaptiveBatchSize()
    for _ in range(2):
        deque(change_by_customers(base.database, pace, left), maxlen=0)
        seen.append(state())
    hide_gone(base.database, pace)
    seen.append(state())
    imported = {
        "file_name": "b.csv", "sha256": "1", "schema_checksum": "1", "as_of": DAY, "rows": 1, "new": 0, "updated": 0,
    }  # fmt: skip
    with base.database.write() as connection:
        added = imports.record(connection, **imported, now=NOW)
        connection.execute(update(i).where(i.c.id == added).values(state="publishing"))
    seen.append(state())
    with base.database.write() as connection:
        imports.publish(connection, added)
    seen.append(state())
    base.database.close()
    assert len(set(seen)) == len(seen)


def test_the_risk_list_is_ranked_and_the_segments_add_up(base: Small) -> None:
    ranked = records(base.get("/api/customers/export?content=risk").get_data().decode())
    probabilities = [float(row["churn_probability"]) for row in ranked]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len(ranked) == sum(one["probability"] is not None for one in base.people)
    segments = records(base.get("/api/customers/export?content=segments").get_data().decode())
    assert [row["segment"] for row in segments] == ["High Risk", "Medium Risk", "Low Risk"]
    assert sum(int(row["customers"]) for row in segments) == len(ranked)
    assert sum(float(row["expected_to_leave"]) for row in segments) == pytest.approx(sum(probabilities))


def test_the_ledger_comes_out_by_date_and_customer(base: Small) -> None:
    scored = sum(one["probability"] is not None for one in base.people)
    everything = records(base.get("/api/predictions/export").get_data().decode())
    assert len(everything) == 2 * scored
    assert [int(row["id"]) for row in everything] == sorted(int(row["id"]) for row in everything)
    newest = records(base.get("/api/predictions/export?since=2026-06-01").get_data().decode())
    assert {row["as_of"] for row in newest} == {"2026-06-30"}
    assert len(newest) == scored
    first = next(one["user_id"] for one in base.people if one["probability"] is not None)
    one = base.get("/api/predictions/export", query_string={"customer_id": first, "format": "ndjson"})
    assert {json.loads(line)["customer_id"] for line in one.get_data().splitlines()} == {first}


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/customers/export?plam=Standard", "plam"),
        ("/api/customers/export?feature.nothing=1", "feature.nothing"),
        ("/api/customers/export?format=xlsx", "format"),
        ("/api/customers/export?format=parquet&plam=Standard", "plam"),
        ("/api/customers/export?content=secrets", "content"),
        ("/api/predictions/export?since=yesterday", "since"),
        ("/api/predictions/export?since=2026-02-01&until=2026-01-01", "since"),
        ("/api/predictions/export?plan=Standard", "plan"),
    ],
)
def test_a_filter_that_is_not_understood_exports_nothing(base: Small, path: str, field: str) -> None:
    assert base.problems(path) == {field}


def test_a_stream_shows_one_moment_and_a_closed_one_gives_its_place_back(base: Small) -> None:
    first, second = base.headers, base.world.bearer("analyst", "slow@example.com")
    path = "/api/customers/export"
    opened = [base.client.get(path, headers=who, buffered=False) for who in (first, first, second, second)]
    assert [each.status_code for each in opened] == [200] * 4
    refused = base.world.ask("GET", path, "admin")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    for each in opened:
        each.close()
    assert base.get("/api/customers/export").get_data().count(b"\n") > len(base.people)


def test_slow_readers_of_one_person_leave_places_to_others(base: Small) -> None:
    path = "/api/customers/export"
    other = base.world.bearer("analyst", "other@example.com")
    opened = [base.client.get(path, headers=base.headers, buffered=False) for _ in range(2)]
    refused = base.get(path)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "2 of your exports" in refused.get_json()["message"]
    assert base.get(f"{path}/manifest").status_code == 503
    assert base.world.client.get(path, headers=other).status_code == 200
    opened.pop().close()
    assert base.get(path).status_code == 200
    opened.pop().close()


def test_what_is_written_meanwhile_is_not_in_an_export_that_has_begun(tmp_path: Path) -> None:
    made = small(tmp_path)
    export = Export(made.database, "customers", "ndjson", [], unsure_below=0.7)
    with sqlite3.connect(made.database.path) as raw:
        raw.execute("DELETE FROM ledger")
        raw.execute("UPDATE customers SET plan = 'changed'")
    raw.close()
    assert b"changed" not in b"".join(export)
    export.close()
    assert export.rows == len(made.people)
    made.database.close()


def test_whoever_reads_too_long_is_cut_off_and_gives_their_place_back(tmp_path: Path) -> None:
    made = small(tmp_path)
    given_back: list[bool] = []
    export = Export(made.database, "customers", "ndjson", [], unsure_below=0.7, time_limit_s=0.05)
    export.on_close(lambda: given_back.append(True))
    time.sleep(0.06)
    with pytest.raises(ReaderTooSlow) as caught:
        next(export)
    # As a client that has left: the connection breaks, and nobody takes what came for the whole.
    assert caught.value.errno == errno.EPIPE
    assert given_back == [True]
    made.database.close()


def test_a_stream_ends_when_its_reader_is_shut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export can take minutes: nobody goes on reading it whose account was disabled meanwhile."""
    made = small(tmp_path)
    monkeypatch.setattr(exporting, "ROWS_AT_ONCE", 1)
    monkeypatch.setattr(exporting, "ASK_EVERY_S", 0)
    root = made.world.signed_in("admin")
    me = made.world.client.get("/api/auth/me", headers=made.world.signed_in("analyst")).get_json()["data"]["id"]
    with made.world.client.get(
        "/api/customers/export", headers=made.world.signed_in("analyst"), buffered=False
    ) as answer:
        parts = iter(answer.response)
        assert next(parts) and next(parts)
        assert made.world.client.patch(f"/api/users/{me}", json={"disabled": True}, headers=root).status_code == 200
        with pytest.raises(exporting.ReaderShutOut):
            list(parts)
    made.database.close()


# --- Parquet --------------------------------------------------------------------------------------------------------


def run_jobs(base: Small) -> None:
    """A worker, for as long as there is something to do."""
    ml = MLClient("http://127.0.0.1:9", "nobody")
    worker = Worker(Environment(base.settings, base.database, ml, utc_now))
    worker._run_upkeep()
    while worker.run_one("bulk"):
        pass


def test_parquet_is_a_job_and_then_a_file_until_its_time_is_over(base: Small) -> None:
    run_jobs(base)
    asked = base.get(f"/api/customers/export?format=parquet&{FILTER}")
    assert asked.status_code == 202, asked.get_data(as_text=True)
    where = asked.headers["Location"]
    assert base.get(where + "/file").status_code == 409
    run_jobs(base)
    job = base.data(where)
    assert (job["state"], job["result"]["file"]) == ("done", where + "/file")
    fetched = base.get(where + "/file")
    body = fetched.get_data()
    assert fetched.status_code == 200
    assert hashlib.sha256(body).hexdigest() == job["result"]["sha256"] == fetched.get_etag()[0]
    assert fetched.headers["Cache-Control"] == "no-store"
    table = pq.read_table(io.BytesIO(body))
    assert table.num_rows == job["result"]["rows"]
    rows = [
        json.loads(line) for line in base.get(f"/api/customers/export?format=ndjson&{FILTER}").get_data().splitlines()
    ]
    assert table.column("who").to_pylist() == [row["who"] for row in rows]
    assert table.column("=risky").to_pylist() == [row["=risky"] for row in rows]
    file = export_files.path(base.settings.data_folder, job["id"])
    os.utime(file, (time.time() - 86_400 * 2,) * 2)
    assert base.get(where + "/file").status_code == 404
    run_jobs(base)
    assert not file.exists()


def test_a_job_of_another_kind_has_no_file(base: Small) -> None:
    assert base.get("/api/jobs/999/file").status_code == 404


# --- and in again ---------------------------------------------------------------------------------------------------

FACTS = (
    "SELECT user_id, email, plan, tenure_months, last_login_days, call_failure, risky, monthly_price, churn, as_of"
    " FROM customers ORDER BY user_id"
)


def facts(path: Path) -> list[Any]:
    with sqlite3.connect(path) as raw:
        found = raw.execute(FACTS).fetchall()
    raw.close()
    return found


def test_the_same_question_while_it_waits_is_the_same_job_by_either_method(base: Small) -> None:
    run_jobs(base)
    question = f"/api/customers/export?content=risk&{FILTER}"

    def asked(path: str, method: str = "POST") -> str:
        answer = base.client.open(path, method=method, headers=base.headers)
        assert answer.status_code == 202, answer.get_data(as_text=True)
        return answer.headers["Location"]

    first = asked(question)
    assert asked(question) == first == asked(question + "&format=parquet", "GET")
    assert asked("/api/customers/export?content=risk") != first
    assert asked("/api/predictions/export") not in (first, None)
    run_jobs(base)
    assert base.data(first)["result"]["file"] == first + "/file"
    assert asked(question) != first, "the data may be others by now"
    run_jobs(base)


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_post_makes_a_file_and_streams_nothing(base: Small, form: str) -> None:
    answer = base.client.post(f"/api/customers/export?format={form}", headers=base.headers)
    assert (answer.status_code, answer.get_json()["error"]["details"][0]["field"]) == (422, "format")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_comes_back_in_without_loss(base: Small, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"customers.{form}"
    done = command(base.settings.database_path.parent, "export", "customers", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert f"Wrote {len(base.people)} rows" in done.stderr
    assert hashlib.sha256(out.read_bytes()).hexdigest() in done.stderr
    (tmp_path / "schema.toml").write_text(tomli_w.dumps(SCHEMA.as_dict()), encoding="utf-8")
    back = command(tmp_path, "import", str(out), "--schema", "schema.toml", "--as-of", "2026-06-30")
    assert back.returncode == 0, back.stderr
    assert facts(tmp_path / "retainstream.db") == facts(base.settings.database_path)


def test_the_command_writes_what_the_route_sends(base: Small, tmp_path: Path) -> None:
    folder = base.settings.database_path.parent
    sent = base.get(f"/api/customers/export?format=ndjson&{FILTER}").get_data()
    where = ("--where", "plan=Standard", "--where", "feature.tenure_months.min=1")
    done = command(folder, "export", "customers", "--format", "ndjson", *where)
    assert (done.returncode, done.stdout.encode()) == (0, sent), done.stderr
    with base.database.read() as connection:
        newest = audit.page(connection, limit=1, action="export")[0]
    filters = "feature.tenure_months.min, plan"
    assert (newest.subject, newest.actor) == (f"customers as ndjson, filters: {filters}", "command line")
    out = tmp_path / "out.csv"
    out.write_text("mine")
    refused = command(folder, "export", "risk", "--out", str(out))
    assert refused.returncode == 2
    assert out.read_text() == "mine"
    wrong = command(folder, "export", "predictions", "--where", "plam=x")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "plam" in wrong.stderr


# --- the list as it is shown -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sort", ["", "-revenue_at_risk", "tenure_months", "-feature.call_failure", "user_id"])
@pytest.mark.parametrize("filters", ["", "&plan=Standard&min_probability=0.1"])
def test_the_risk_list_is_the_list_as_it_is_shown_with_its_sentences(base: Small, sort: str, filters: str) -> None:
    order = f"&sort={sort}" if sort else ""
    shown = base.data(f"/api/customers?limit=7{order}{filters}")["customers"]
    lines = base.get(f"/api/customers/export?content=risk&format=ndjson&top=7{order}{filters}").get_data().splitlines()
    rows = [json.loads(line) for line in lines]
    key = sort.lstrip("-").removeprefix("feature.") or "churn_probability"
    if key in shown[0]:
        assert [row[key] for row in rows] == [each[key] for each in shown]
    assert len(rows) == len(shown)
    texts = {each["user_id"]: [reason["text"] for reason in each["reasons"]] for each in shown}
    told = {row["user_id"]: [row[f"reason_{k}_text"] for k in (1, 2, 3)] for row in rows}
    both = set(texts) & set(told)
    assert len(both) >= len(shown) - 2, "ties alone may fall out differently"
    assert {name: told[name] for name in both} == {name: texts[name] for name in both}


@pytest.mark.parametrize(
    ("query", "field"),
    [("content=risk&top=0", "top"), ("content=risk&top=many", "top"), ("content=risk&sort=colour", "sort"),
     ("content=customers&top=5", "top"), ("content=segments&sort=user_id", "sort")],
)  # fmt: skip
def test_an_order_or_length_that_can_not_be_had_exports_nothing(base: Small, query: str, field: str) -> None:
    assert base.problems(f"/api/customers/export?{query}") == {field}


@pytest.mark.parametrize("filters", ["scored=no", "scored=any", "scored=any&scored=no", "churned=true", "churned=false",
                                     "scored=any&plan=Standard", "scored=no&min_tenure_months=1", ""])  # fmt: skip
@pytest.mark.parametrize("sort", ["-churn_probability", "user_id"])
def test_the_file_of_the_pages_button_holds_whom_the_list_shows(base: Small, filters: str, sort: str) -> None:
    shown = base.data(f"/api/customers?limit=100&sort={sort}&{filters}")["customers"]
    path = f"/api/customers/export?content=risk&contact=any&format=ndjson&sort={sort}&{filters}"
    rows = [json.loads(line) for line in base.get(path).get_data().splitlines()]
    assert shown
    assert [row["user_id"] for row in rows] == [each["user_id"] for each in shown]
    assert [row["churn_probability"] for row in rows] == [each["churn_probability"] for each in shown]
