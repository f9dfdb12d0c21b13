"""Imports by REST and CLI: staged, checked, published whole; rejects, outcomes, extension."""

from __future__ import annotations

import csv
import io
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import requests

from shared.parsing_limits import MAX_COLUMNS
from shared.schema.features import built_in_schema
from tests import prefork
from tests.shapes import is_failure
from tests.stack import ROOT, Stack, serving, wait_until

pytestmark = pytest.mark.xdist_group("imports")
HEADER = (
    "user_id,email,plan,watch_time_hours,subscription_age_months,device_count,last_login_days,payment_failures,"
    "tenure_months,monthly_price,churn"
)
CUSTOMERS = ROOT / "examples" / "customers.csv"
DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))


def line(name: str, *, watched: str = "12.5", churn: str = "0", login: str = "3") -> str:
    return f"{name},{name}@example.com,Standard,{watched},3,2,{login},0,4,7.99,{churn}"


def table(*lines: str) -> bytes:
    return ("\n".join((HEADER, *lines)) + "\n").encode()


@pytest.fixture(scope="module")
def new_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Stack]]:
    """Makes installations of nothing: imports need neither the demo nor a model."""
    made: list[Stack] = []

    def make(**variables: str) -> Stack:
        made.append(Stack(tmp_path_factory.mktemp("imports"), {"DEMO": "0", **variables}))
        return made[-1]

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture(scope="module")
def empty(new_stack: Callable[..., Stack]) -> Iterator[Stack]:
    """A gateway and a worker over an empty database, with a small upload limit."""
    stack = new_stack(MAX_UPLOAD_MB="3")
    serving(stack)
    yield stack
    stack.stop()


@pytest.fixture
def base(empty: Stack) -> Stack:
    """The same with examples/customers.csv in it."""
    if not empty.value("SELECT count(*) FROM imports"):
        answer = send(empty, CUSTOMERS.read_bytes(), schema="retainstream", as_of="2026-09-01")
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"]["customers_new"] == 1000
    return empty


def send(
    stack: Stack,
    content: bytes,
    path: str = "/api/customers/import",
    headers: dict[str, str] | None = None,
    **form: Any,
) -> requests.Response:
    files = {"file": ("table.csv", io.BytesIO(content))}
    return stack.person("analyst").ask("POST", path, files=files, data=form, headers=headers or {})


def imported(stack: Stack, content: bytes, **form: Any) -> dict[str, Any]:
    answer = send(stack, content, **form)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def facts(stack: Stack) -> tuple[Any, ...]:
    return tuple(
        stack.value(f"SELECT {what}")
        for what in (
            "count(*) FROM customers",
            "count(*) FROM customer_snapshots WHERE import_id IN (SELECT id FROM imports WHERE state = 'published')",
            "sum(churn) FROM customers",
            "count(*) FROM subscriptions",
        )
    )


def test_the_same_file_twice_changes_nothing(base: Stack) -> None:
    before = facts(base)
    again = imported(base, CUSTOMERS.read_bytes(), schema="retainstream", as_of="2026-09-01")
    assert again["unchanged"] is True
    assert facts(base) == before


def test_a_dry_run_counts_and_writes_nothing(base: Stack) -> None:
    before = facts(base)
    told = imported(base, table(line("usr_100001", watched="1.5"), line("brand_new")), dry_run="true")
    assert (told["customers_new"], told["customers_updated"], told["customers_unchanged"]) == (1, 1, 0)
    assert told["customers_disappeared"] > 0
    assert facts(base) == before


def test_a_later_correction_is_a_row_of_its_own_known_since_today(base: Stack) -> None:
    imported(base, table(line("fixed")), as_of="2026-09-02")
    imported(base, table(line("fixed", watched="99")), as_of="2026-09-02")
    rows = base.rows(
        "SELECT as_of, known_at, watch_time_hours FROM customer_snapshots WHERE customer_id = "
        "(SELECT id FROM customers WHERE user_id = 'fixed') ORDER BY id"
    )
    assert [(r["as_of"], r["watch_time_hours"]) for r in rows] == [("2026-09-02", 12.5), ("2026-09-02", 99.0)]
    assert rows[0]["known_at"] == "2026-09-02"
    assert rows[1]["known_at"] > "2026-09-02"
    assert base.value("SELECT watch_time_hours FROM customers WHERE user_id = 'fixed'") == 99.0


def test_older_facts_do_not_change_the_present_state(base: Stack) -> None:
    imported(base, table(line("old", watched="5")), as_of="2026-09-05")
    imported(base, table(line("old", watched="1")), as_of="2026-08-05")
    assert base.value("SELECT watch_time_hours FROM customers WHERE user_id = 'old'") == 5.0


def test_one_bad_row_refuses_the_whole_file_and_says_where(base: Stack) -> None:
    before = facts(base)
    answer = send(base, table(line("good_one"), line("bad_one", watched="lots")))
    body = is_failure(answer, 422, "invalid_table")
    [detail] = body["error"]["details"]
    assert (detail["row"], detail["field"], detail["value"]) == (3, "watch_time_hours", "lots")
    assert "not a number" in detail["message"]
    assert facts(base) == before


def test_rejects_come_back_as_a_file_that_can_be_put_right_and_imported(base: Stack) -> None:
    content = table(line("kept"), line("broken", watched="lots"), "too,short", line("kept"), line("late", login="-1"))
    told = imported(base, content, keep_good="true", as_of="2026-09-03")
    assert (told["total"], told["accepted"], told["rejected"]) == (5, 1, 4)
    assert {(r["row"], r.get("field")) for r in told["rejects"]} == {
        (3, "watch_time_hours"), (4, None), (5, "user_id"), (6, "last_login_days")
    }  # fmt: skip
    got = base.person("analyst").get(told["rejects_file"])
    assert got.status_code == 200
    rows = list(csv.reader(io.StringIO(got.text)))
    assert rows[0] == ["retainstream_reason", *HEADER.split(",")]
    assert [row[1] for row in rows[1:]] == ["broken", "too", "kept", "late"]
    mended = [rows[0], [c.replace("lots", "7") for c in rows[1]]]
    text = io.StringIO()
    csv.writer(text).writerows(mended)
    again = imported(base, text.getvalue().encode(), as_of="2026-09-03")
    assert (again["accepted"], again["customers_new"]) == (1, 1)
    assert not any("retainstream_reason" in note for note in again["notes"])


def test_a_label_of_a_later_import_updates_who_has_left(base: Stack) -> None:
    imported(base, table(line("leaver")), as_of="2026-09-04")
    imported(base, table(line("leaver", churn="1")), as_of="2026-09-05")
    assert base.value("SELECT churn FROM customers WHERE user_id = 'leaver'") == 1


def test_the_same_idempotency_key_gives_the_same_job(base: Stack) -> None:
    content = table(line("once"))
    told = [
        send(base, content, headers={"Idempotency-Key": "a key", "Prefer": "respond-async"}, as_of="2026-09-03")
        for _ in range(2)
    ]
    assert [t.status_code for t in told] == [202, 202] or told[1].status_code == 200
    ids = {t.headers["Location"] for t in told if t.status_code == 202}
    assert len(ids) == 1
    base.person("analyst")
    wait_until(lambda: base.value("SELECT state FROM jobs WHERE idempotency_key = 'a key'") == "done", "the job ends")
    spool = base.database_path.parent / "spool"
    wait_until(lambda: not list(spool.glob("upload-*")), "no upload is left")


def test_two_imports_at_once_both_end_and_lose_nothing(base: Stack) -> None:
    told = [
        send(base, table(line(f"pair_{k}")), headers={"Prefer": "respond-async"}, as_of="2026-09-03") for k in range(2)
    ]
    done = base.command("import", str(_file(base, "third.csv", table(line("pair_cli")))), "--as-of", "2026-09-03")
    assert done.returncode == 0, done.stderr
    api = base.person("analyst")
    for answer in told:
        assert api.ended(int(answer.headers["Location"].split("/")[-1]))["state"] == "done"
    assert base.value("SELECT count(*) FROM customers WHERE user_id LIKE 'pair_%'") == 3


def _file(stack: Stack, name: str, content: bytes) -> Path:
    path = stack.folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"PK\x03\x04rest", "Excel workbook or a zip"),
        (b"\x1f\x8b\x08rest", "compressed"),
        (table(line("a")).replace(b"Standard", b"Stan\0dard"), "NUL"),
        (b"", "empty"),
        (HEADER.encode() + b"\n", "no rows"),
        (table(HEADER), "repeats the header"),
        (table(line("a"), line("b").replace("12.5", "12,5")), "cells where the header has"),
        (b"PAR1 and nothing else", "broken or not whole"),
        (b"some,other\n1,2\n", "no columns"),
    ],
)
def test_what_is_no_table_is_refused_with_a_sentence(base: Stack, content: bytes, says: str) -> None:
    before = facts(base)
    body = is_failure(send(base, content), 422, "invalid_table")
    assert says in body["message"]
    assert facts(base) == before


def test_half_a_parquet_file_is_refused_and_a_whole_one_goes_in(base: Stack) -> None:
    columns = pcsv.read_csv(io.BytesIO(table(line("from_parquet"))))
    whole = io.BytesIO()
    pq.write_table(columns, whole)
    half = whole.getvalue()[: len(whole.getvalue()) // 2]
    assert "not whole" in is_failure(send(base, half), 422)["message"]
    assert imported(base, whole.getvalue(), as_of="2026-09-03")["customers_new"] == 1


def test_a_file_over_the_limit_is_413(base: Stack) -> None:
    is_failure(send(base, b"x" * (3 * 1024 * 1024 + 10_000)), 413, "too_large")


def test_two_thousand_columns_are_read_where_the_needed_ones_are_there_and_no_more(base: Stack) -> None:
    def wide(more: int) -> bytes:
        names = HEADER + "," + ",".join(f"c{k}" for k in range(more))
        return (names + "\n" + line("wide") + ",1" * more + "\n").encode()

    most = MAX_COLUMNS - HEADER.count(",") - 1
    body = is_failure(send(base, wide(most + 1), as_of="2026-09-03"), 422)
    assert "2,001 columns, and at most 2,000" in body["message"]
    told = imported(base, wide(most), as_of="2026-09-03")
    assert told["accepted"] == 1
    assert any("left out" in note for note in told["notes"])


def test_mixed_line_ends_ids_by_case_and_space_are_read_and_reported(base: Stack) -> None:
    content = (HEADER + "\r\n" + line("Case") + "\n" + line("case") + "\r\n" + " " + line("spaced") + "\n").encode()
    told = imported(base, content, as_of="2026-09-03")
    assert told["accepted"] == 3
    assert any("mixes kinds of line ends" in note for note in told["notes"])
    assert any("only by case" in note and "'Case' and 'case'" in note for note in told["notes"])
    assert base.value("SELECT count(*) FROM customers WHERE user_id = 'spaced'") == 1


def test_a_future_date_is_refused(base: Stack) -> None:
    is_failure(send(base, table(line("a")), as_of="2999-01-01"), 422)


def test_a_viewer_may_not_import(base: Stack) -> None:
    answer = base.person("viewer").ask("POST", "/api/customers/import", files={"file": ("a.csv", b"a,b\n1,2\n")})
    is_failure(answer, 403, "forbidden")


def test_preview_and_proposal_are_jobs_that_write_nothing(base: Stack) -> None:
    before = facts(base)
    content = b"kundennr;Umsatz;seit\n1;2,5;13.01.2024\n2;3,5;14.02.2025\n"
    seen = send(base, content, path="/api/customers/import/preview").json()["data"]
    assert (seen["columns"], seen["rows"][0], seen["delimiter"]) == (
        ["kundennr", "Umsatz", "seit"], ["1", "2,5", "13.01.2024"], ";"
    )  # fmt: skip
    proposed = send(base, CUSTOMERS.read_bytes(), path="/api/customers/import/schema").json()["data"]
    assert proposed["table_schema"]["id"] == "user_id"
    assert facts(base) == before


def test_outcomes_end_lifetimes_and_strangers_are_rejected(base: Stack) -> None:
    imported(base, table(line("goes"), line("will_go")), as_of="2026-09-06")
    ahead = "2998-01-01"
    content = (
        f"user_id,ended_at,end_reason\ngoes,2026-10-01,price\nnobody,2026-10-01,x\nwill_go,{ahead},moved\n".encode()
    )
    body = is_failure(send(base, content, path="/api/customers/outcomes"), 422)
    assert "there is no customer 'nobody'" in body["message"]
    told = send(base, content, path="/api/customers/outcomes", keep_good="true").json()["data"]
    assert (told["accepted"], told["rejected"], told["ended"], told["announced"]) == (2, 1, 1, 1)
    assert base.value("SELECT churn FROM customers WHERE user_id = 'goes'") == 1
    row = base.rows(
        "SELECT ended_at, end_reason FROM subscriptions JOIN customers c ON c.id = customer_id WHERE user_id = 'goes'"
    )
    assert [tuple(r) for r in row] == [("2026-10-01", "price")]
    assert base.value("SELECT ends_on FROM customers WHERE user_id = 'will_go'") == ahead


def test_who_is_absent_from_a_full_snapshot_leaves_only_by_the_flag(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    first = _file(stack, "1.csv", table(line("stays"), line("vanishes")))
    second = _file(stack, "2.csv", table(line("stays"), line("comes")))
    for file, day in ((first, "2026-08-01"), (second, "2026-09-01")):
        done = stack.command("import", str(file), "--schema", "retainstream", "--as-of", day)
        assert done.returncode == 0, done.stderr
    assert "1 active customer is not in this file (they are unchanged" in done.stdout
    assert stack.value("SELECT churn FROM customers WHERE user_id = 'vanishes'") == 0
    flags = ("--full-snapshot", "--absent-are-gone")
    third = _file(stack, "3.csv", table(line("stays", watched="2"), line("comes")))
    done = stack.command("import", str(third), "--as-of", "2026-10-01", *flags)
    assert done.returncode == 0, done.stderr
    gone = stack.rows("SELECT user_id, ended_at, end_reason FROM subscriptions JOIN customers c ON c.id = customer_id")
    assert sorted(tuple(r) for r in gone) == [
        ("comes", None, None), ("stays", None, None), ("vanishes", "2026-09-01", "absent")
    ]  # fmt: skip


def _lifetimes(stack: Stack) -> dict[str, tuple[Any, ...]]:
    rows = stack.rows(
        "SELECT user_id, started_at, ended_at, end_reason FROM subscriptions JOIN customers c ON c.id = customer_id"
    )
    return {row[0]: tuple(row)[1:] for row in rows}


def test_outcomes_and_who_is_absent_by_rest_and_by_command(new_stack: Callable[..., Stack]) -> None:
    stack = serving(new_stack())
    everybody = table(*(line(name) for name in ("stays", "by_rest", "by_command", "vanishes")))
    imported(stack, everybody, schema="retainstream", as_of="2026-08-01")
    outcome = "user_id,started_at,ended_at,end_reason\n{},2026-08-01,2026-08-20,price\n"
    told = send(stack, outcome.format("by_rest").encode(), path="/api/customers/outcomes").json()["data"]
    assert (told["ended"], told["rejected"]) == (1, 0)
    done = stack.command("import-outcomes", str(_file(stack, "o.csv", outcome.format("by_command").encode())))
    assert (done.returncode, done.stdout) == (0, "1 customer has left; 0 will.\n"), done.stderr
    ended = ("2026-08-01", "2026-08-20", "price")
    assert _lifetimes(stack) == {
        "stays": ("2026-08-01", None, None), "vanishes": ("2026-08-01", None, None),
        "by_rest": ended, "by_command": ended,
    }  # fmt: skip
    full = {"as_of": "2026-09-01", "full_snapshot": "true"}
    told = imported(stack, table(line("stays")), **full)
    assert (told["customers_disappeared"], told["declared_gone"]) == (1, 0)
    assert _lifetimes(stack)["vanishes"] == ("2026-08-01", None, None)
    is_failure(send(stack, table(line("stays")), as_of="2026-09-01", absent_are_gone="true"), 422)
    counted = imported(stack, table(line("stays")), **full, absent_are_gone="true", dry_run="true")
    assert (counted["customers_disappeared"], counted["declared_gone"]) == (1, 0)
    told = imported(stack, table(line("stays", watched="9")), as_of="2026-10-01", full_snapshot="true",
                    absent_are_gone="true")  # fmt: skip
    assert told["declared_gone"] == 1
    assert _lifetimes(stack)["vanishes"] == ("2026-08-01", "2026-09-01", "absent")
    history = stack.person("analyst").data("/api/customers/vanishes/history")
    assert history["subscriptions"][0]["end_reason"] == "absent"


def test_extending_the_schema_keeps_history_and_the_earlier_schema_still_imports(base: Stack) -> None:
    import tomli_w

    present = built_in_schema().as_dict()
    present["features"]["support_tickets"] = {"kind": "number", "missing": True}
    answer = base.person("admin").post("/api/schema/extend", {"schema": tomli_w.dumps(present)})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["added"] == ["support_tickets"]
    who = "SELECT actor || ' ' || user_id || ', ' || subject FROM audit_log WHERE action = 'schema.extended'"
    admin = base.value("SELECT id FROM users WHERE role = 'admin'")
    assert base.value(who) == f"user {admin}, features: support_tickets"
    assert base.value("SELECT count(*) FROM customer_snapshots WHERE support_tickets IS NOT NULL") == 0
    rows = [HEADER + ",support_tickets", line("asks") + ",4"]
    imported(base, ("\n".join(rows) + "\n").encode(), as_of="2026-09-07")
    assert base.value("SELECT support_tickets FROM customers WHERE user_id = 'asks'") == 4
    told = imported(base, table(line("asks_not")), schema="retainstream", as_of="2026-09-07")
    assert any("support_tickets" in note for note in told["notes"])
    shown = base.person("analyst").data("/api/schema")
    assert "support_tickets" in shown["table_schema"]["features"]
    assert len(shown["earlier"]) == 1


def test_an_import_killed_while_it_writes_is_finished_by_the_next(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack()
    big = _file(stack, "big.csv", table(*(line(f"usr_{k}") for k in range(150_000))))
    words = ("import", str(big), "--schema", "retainstream", "--as-of", "2026-09-01")
    how: Any = {"folder": stack.folder, "env": stack.environment, "out": Path(os.devnull)}
    process = prefork.start("gateway", *words, **how)
    wait_until(lambda: stack.database_path.exists() and _written(stack) > 0, "rows are being written", 60, 0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < _written(stack) < 150_000
    assert stack.value("SELECT count(*) FROM imports WHERE state = 'published'") == 0
    done = stack.command(
        "import", str(_file(stack, "s.csv", table(line("after")))), "--schema", "retainstream", "--as-of", "2026-09-02"
    )
    assert done.returncode == 0, done.stderr
    assert stack.value("SELECT count(*) FROM customer_snapshots") == 150_001
    assert stack.value("SELECT count(*) FROM customers") == 150_001
    assert stack.value("SELECT count(*) FROM imports WHERE state = 'published'") == 2


def _written(stack: Stack) -> int:
    try:
        rows = stack.rows("SELECT written FROM imports")
    except sqlite3.OperationalError:
        return 0
    return int(rows[0][0]) if rows else 0


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason=f"the real tables are not in {DATA} (RETAINSTREAM_DATA)")
@pytest.mark.parametrize(("name", "rows"), [("telco", 7043), ("iranian", 3150)])
def test_real_tables_go_in_by_rest_and_by_command(name: str, rows: int, new_stack: Callable[..., Stack]) -> None:
    file = DATA / name / f"{name}.csv"
    schema = ROOT / "examples" / f"{name}.toml"
    stack = serving(new_stack())
    told = imported(stack, file.read_bytes(), schema=schema.read_text(encoding="utf-8"), as_of="2026-09-01")
    assert (told["accepted"], told["customers_new"], told["rejected"]) == (rows, rows, 0)
    done = stack.command("import", str(file), "--schema", str(schema), "--as-of", "2026-09-01")
    assert "nothing changed" in done.stdout
    stack.stop()
    other = new_stack()
    done = other.command("import", str(file), "--schema", str(schema))
    assert done.returncode == 0, done.stderr
    assert other.value("SELECT count(*) FROM customers") == rows
