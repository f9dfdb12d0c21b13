"""One's own table: the tour of the README, command by command, with the real ML service."""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import prefork
from tests.printed import check_printed
from tests.stack import ROOT, Stack

EXAMPLE, TELCO_SCHEMA = ROOT / "examples" / "customers.csv", ROOT / "examples" / "telco.toml"
DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))
TELCO = DATA / "telco" / "telco.csv"
needs_telco = pytest.mark.skipif(
    not TELCO.exists(),
    reason=f"RETAINSTREAM_DATA holds no telco/telco.csv (looked in {DATA.name}/ beside the checkout)",
)
example_group, telco_group = pytest.mark.xdist_group("example_table"), pytest.mark.xdist_group("telco_table")
Done = subprocess.CompletedProcess[str]


def model_command(folder: Path, module: str, *words: object) -> Done:
    """Run `python -m ml_service.<module> ...` to its end."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env = kept | {"PYTHONPATH": str(ROOT), "APP_ENV": "test", "ML_MODEL_PATH": str(folder / "models")}
    return prefork.run(f"ml_service.{module}", *map(str, words), folder=folder, env=env, timeout=200)


def without(source: Path, target: Path, column: str) -> Path:
    """A copy of a CSV file without one column."""
    with source.open(encoding="utf-8", newline="") as read, target.open("w", encoding="utf-8", newline="") as written:
        rows = csv.DictReader(read)
        kept = [name for name in rows.fieldnames or () if name != column]
        writer = csv.DictWriter(written, kept, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return target


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def said(done: Done) -> str:
    """The text that a command printed; it has to succeed."""
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def refused(done: Done) -> str:
    """The one sentence of a command that was to fail."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    starts = ("score:", "train")
    return next(line for line in done.stderr.splitlines() if "rror:" in line or line.startswith(starts))


# --- without the gateway --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offline:
    """A table, the model made of it by command, what that printed, its report and its scores."""

    table: Path
    model: Path
    printed: str
    report: dict[str, Any]
    scores: list[dict[str, str]]


def offline(folder: Path, table: Path, *schema: object) -> Offline:
    report = folder / "report.json"
    train = ("--data", table, *schema, "--out", "model", "--report", report)
    printed = said(model_command(folder, "train_model", *train))
    model = folder / "model"
    said(model_command(folder, "score", "--model", model, "--data", table, "--out", folder / "scores.csv"))
    return Offline(table, model, printed, json.loads(report.read_text()), read(folder / "scores.csv"))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    return offline(tmp_path_factory.mktemp("example"), EXAMPLE)


@pytest.fixture(scope="module")
def telco(tmp_path_factory: pytest.TempPathFactory) -> Offline:
    return offline(tmp_path_factory.mktemp("telco"), TELCO, "--schema", TELCO_SCHEMA)


def check_scores(made: Offline, id_name: str, label: str, positive: str, within: float) -> None:
    rows = read(made.table)
    assert [row[id_name] for row in made.scores] == [row[id_name] for row in rows]
    probabilities = [float(row["churn_probability"]) for row in made.scores]
    assert all(0 <= p <= 1 for p in probabilities)
    prevalence = sum(row[label] == positive for row in rows) / len(rows)
    assert sum(probabilities) / len(rows) == pytest.approx(prevalence, abs=within)
    for row in made.scores[:200]:
        assert (
            float(row["confidence"])
            == pytest.approx(max(float(row["churn_probability"]), 1 - float(row["churn_probability"])), abs=1e-9)
            or float(row["confidence"]) < 0.5
        )


@example_group
def test_the_example_table_is_trained_on_and_scored_by_command(example: Offline) -> None:
    assert example.report["auc"] > 0.75
    assert example.report["test"]["n"] + example.report["training_samples"] == 1000
    check_scores(example, "user_id", "churn", "1", within=0.02)


@pytest.mark.slow
@telco_group
@needs_telco
def test_the_telco_table_is_trained_on_and_scored_by_command(telco: Offline) -> None:
    report = telco.report
    assert report["auc"] >= 0.83
    assert report["out_of_fold_rows"] == report["live"]["rows"] == 7043 and report["training_samples"] > 5000
    assert report["split"] == "stratified"
    check_scores(telco, "customerID", "Churn", "Yes", within=0.02)


@pytest.mark.slow
@telco_group
@needs_telco
def test_the_readme_prints_what_training_on_the_telco_table_prints(telco: Offline) -> None:
    check_printed("train_model", telco.printed.replace("Written to model", "Written to telco-model"))


@pytest.mark.slow
@telco_group
@needs_telco
def test_the_scores_need_no_label_and_are_the_same_without_it(telco: Offline, tmp_path: Path) -> None:
    plain = without(TELCO, tmp_path / "plain.csv", "Churn")
    said(model_command(tmp_path, "score", "--model", telco.model, "--data", plain, "--out", tmp_path / "out.csv"))
    assert read(tmp_path / "out.csv") == telco.scores


@pytest.mark.slow
@telco_group
@needs_telco
def test_a_row_that_was_trained_on_is_scored_by_a_model_that_had_not_seen_it(telco: Offline, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.csv"
    text = TELCO.read_text(encoding="utf-8").splitlines()
    renamed.write_text("\n".join([text[0], *("new-" + line for line in text[1:])]) + "\n", encoding="utf-8")
    said(model_command(tmp_path, "score", "--model", telco.model, "--data", renamed, "--out", tmp_path / "out.csv"))
    pairs = zip(read(tmp_path / "out.csv"), telco.scores, strict=True)
    moved = sum(a["churn_probability"] != b["churn_probability"] for a, b in pairs)
    assert moved / len(telco.scores) > 0.7, "the training rows, known by their ids, have out-of-fold scores"


@example_group
def test_a_proposed_schema_can_be_used_as_it_is(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    out = tmp_path / "schema.toml"
    said(stack.command("schema", "infer", str(EXAMPLE), "-o", str(out)))
    assert "usable" in said(stack.command("schema", "check", str(out)))
    assert "exists already" in refused(stack.command("schema", "infer", str(EXAMPLE), "-o", str(out)))


@needs_telco
@telco_group
def test_a_schema_proposed_for_the_telco_table_finds_its_id_and_its_label(tmp_path: Path) -> None:
    text = said(Stack(tmp_path).command("schema", "infer", str(TELCO)))
    assert 'id = "customerID"' in text
    assert 'label = "Churn"' in text


# --- through the gateway --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tour:
    """A database that a table went through, and what each command printed."""

    stack: Stack
    printed: dict[str, str]

    def rows(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.stack.database_path)) as raw:
            return raw.execute(query).fetchall()


def tour(folder: Path, table: Path, schema: str) -> Iterator[Tour]:
    stack = Stack(folder)
    try:
        stack.start("ml")
        printed = {"import": said(stack.command("import", str(table), "--schema", schema))}
        for word in ("train", "score", "high-risk"):
            printed[word] = said(stack.command(word))
        yield Tour(stack, printed)
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def example_tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    yield from tour(tmp_path_factory.mktemp("tour"), EXAMPLE, "retainstream")


@pytest.fixture(scope="module")
def telco_tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    yield from tour(tmp_path_factory.mktemp("tour"), TELCO, str(TELCO_SCHEMA))


def check_tour(made: Tour, customers: int, leavers: int) -> None:
    stay = customers - leavers
    assert f"Imported {customers:,} rows: {customers:,} new customers" in made.printed["import"]
    assert "held-out rows" in made.printed["train"]
    assert "balanced (prevalence 1/2)" in made.printed["train"]
    assert f"Scored {stay:,} customers with model 2.4.1" in made.printed["score"]
    assert f"of {stay:,} customers are above 0.7" in made.printed["high-risk"]
    listed = re.findall(r"^ *([\d.]+) %  (\S+)", made.printed["high-risk"], re.MULTILINE)
    assert len(listed) == 10
    assert [float(p) for p, _ in listed] == sorted((float(p) for p, _ in listed), reverse=True)
    assert made.rows("SELECT count(*) FROM present_ranks JOIN customers c ON c.id = customer_id WHERE c.churn = 1") == [
        (0,)
    ]
    assert made.rows("SELECT count(*) FROM present_ranks") == [(stay,)]


@example_group
def test_the_example_table_goes_through_the_gateway(example_tour: Tour) -> None:
    check_tour(example_tour, 1000, 50)


@example_group
def test_listed_customers_who_were_trained_on_have_out_of_fold_scores_and_the_ledger_says_so(
    example_tour: Tour,
) -> None:
    flags = dict(example_tour.rows("SELECT out_of_fold, count(*) FROM ledger GROUP BY 1"))
    assert set(flags) == {1}, "the live model was fitted to all rows, each is scored by a fold that held it out"


@example_group
def test_importing_the_same_table_again_says_that_nothing_changed(example_tour: Tour) -> None:
    again = said(example_tour.stack.command("import", str(EXAMPLE), "--schema", "retainstream"))
    assert "imported before; nothing changed" in again


@example_group
def test_another_table_is_refused_with_the_command_for_a_database_of_its_own(
    example_tour: Tour, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text("who,x\na,1\n")
    (tmp_path / "other.toml").write_text('id = "who"\n[features.x]\nkind = "number"\n')
    done = example_tour.stack.command(
        "import", str(tmp_path / "other.csv"), "--schema", str(tmp_path / "other.toml")
    )  # fmt: skip
    assert "DATABASE_PATH=" in refused(done)


@telco_group
@needs_telco
@pytest.mark.slow
def test_the_telco_table_goes_through_the_gateway(telco_tour: Tour) -> None:
    check_tour(telco_tour, 7043, 1869)
    listed = said(telco_tour.stack.command("high-risk", "--limit", "3"))
    printed = "".join(telco_tour.printed[word] for word in ("import", "train", "score")) + listed
    check_printed("retainstream import, train, score, high-risk", printed)
    auc = re.search(r"AUC ([\d.]+)", telco_tour.printed["train"])
    assert auc is not None
    assert float(auc[1]) >= 0.83


# --- what can go wrong ----------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Stack:
    """A fresh folder without any service."""
    return Stack(tmp_path)


def test_a_file_that_is_not_there_is_named(alone: Stack) -> None:
    assert "nowhere.csv" in refused(alone.command("import", "nowhere.csv", "--schema", "retainstream"))
    done = model_command(alone.folder, "train_model", "--data", "nowhere.csv", "--out", "m")
    assert "nowhere.csv" in refused(done)


def test_a_schema_that_is_not_there_or_wrong_is_named(alone: Stack) -> None:
    assert "none.toml" in refused(alone.command("import", str(EXAMPLE), "--schema", "none.toml"))
    (alone.folder / "odd.toml").write_text('[features.x]\nkind = "colour"\n')
    assert "kind" in refused(alone.command("schema", "check", "odd.toml"))


def test_a_missing_column_is_named_and_the_nearest_one_beside_it(alone: Stack) -> None:
    table = without(EXAMPLE, alone.folder / "part.csv", "device_count")
    assert "device_count" in refused(alone.command("import", str(table), "--schema", "retainstream"))
    assert "device_count" in refused(model_command(alone.folder, "train_model", "--data", table, "--out", "m"))
    with closing(sqlite3.connect(alone.database_path)) as raw:
        assert raw.execute("SELECT count(*) FROM customers").fetchall() == [(0,)]


@pytest.mark.parametrize("content", [b"", b"user_id,email,plan\n", b"\x00\x01\x02\x03"])
def test_a_file_without_customers_is_refused_in_a_sentence(alone: Stack, content: bytes) -> None:
    (alone.folder / "empty.csv").write_bytes(content)
    refused(alone.command("import", "empty.csv", "--schema", "retainstream"))


def test_without_the_ml_service_training_says_so_and_without_scores_the_list_does(alone: Stack) -> None:
    assert "import a table" in refused(alone.command("high-risk"))
    said(alone.command("import", str(EXAMPLE), "--schema", "retainstream"))
    assert "does not answer" in refused(alone.command("train"))
    assert "train" in refused(alone.command("score"))
    assert "train" in refused(alone.command("high-risk"))
    assert "no worker" in refused(alone.command("worker", "--check")).lower()


def test_a_date_in_the_future_is_refused(alone: Stack) -> None:
    done = alone.command("import", str(EXAMPLE), "--schema", "retainstream", "--as-of", "2999-01-01")
    assert "future" in refused(done)


def test_a_wrong_setting_is_named_and_its_value_is_not_repeated(alone: Stack) -> None:
    done = alone.command("migrate", PORT="five-thousand")
    assert "PORT" in refused(done)
    assert "five-thousand" not in done.stderr


def test_a_database_of_another_program_is_left_as_it_is(alone: Stack) -> None:
    alone.database_path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(alone.database_path)) as raw:
        raw.execute("CREATE TABLE customers (id INTEGER)")
    before = alone.database_path.read_bytes()
    assert "not changed" in refused(alone.command("high-risk"))
    assert alone.database_path.read_bytes() == before
