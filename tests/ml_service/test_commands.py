"""The two documented commands, run as a user runs them."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from ml_service import acceptance, score, train_model
from ml_service.metrics import auc
from ml_service.model.churn_model import ChurnModel
from ml_service.model.trees import boosters
from ml_service.model.trees.shap_tables import NotCompiled
from ml_service.score import safe_cell

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "telco" / "telco.csv").exists(), reason=f"real tables are not in {DATA} (RETAINSTREAM_DATA)"
)

SCHEMA = """
id = "id"
label = "left"
positive = ["1"]
[features.calls]
kind = "number"
[features.tariff]
kind = "category"
"""


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("APP_ENV", "NODE_ENV", "MODEL_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ML_MODEL_PATH", str(tmp_path / "models"))
    return tmp_path / "models"


def write_table(folder: Path) -> Path:
    """400 customers; some ids and tariffs that a spreadsheet would run."""
    rows = ["id,calls,tariff,left"]
    for i in range(400):
        name = "=cmd" if i == 0 else "@sum" if i == 1 else f"c{i}"
        calls = (i * 37) % 101
        leaves = int(calls + (i * 53) % 60 < 40 or i % 11 == 0)
        rows.append(f"{name},{calls},{'=1+1' if i % 3 else 'basic'},{leaves}")
    path = folder / "customers.csv"
    path.write_text("\n".join(rows) + "\n")
    (folder / "schema.toml").write_text(SCHEMA)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model of that table."""
    table = write_table(tmp_path_factory.mktemp("commands"))
    assert run_train(table, "--out", str(table.parent / "m")) == 0
    return table.parent / "m"


@pytest.fixture
def model(trained_once: Path, table: Path) -> Path:
    return Path(shutil.copytree(trained_once, table.parent / "m"))


def run_train(table: Path, *more: str) -> int:
    return train_model.main(
        ["--data", str(table), "--schema", str(table.parent / "schema.toml"), "--trials", "1", *more]
    )


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fails(capsys: pytest.CaptureFixture[str], code: int) -> str:
    err = capsys.readouterr().err
    assert code == 2 and "Traceback" not in err
    return err.splitlines()[-1]


def test_training_writes_a_version_folder_and_a_report(
    table: Path, registry: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = table.parent / "report.json"
    assert run_train(table, "--report", str(report)) == 0
    out = capsys.readouterr().out
    assert out.index("natural prevalence") < out.index("balanced") < out.index("Baselines")
    assert str(registry / "2.4.1") in out
    assert json.loads(report.read_text())["model_version"] == "2.4.1"
    assert run_train(table) == 0
    assert sorted(path.name for path in registry.iterdir()) == ["2.4.1", "2.4.2"]


def test_the_simulated_default_prints_the_ceiling(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "r.json"
    assert (
        train_model.main(
            [
                "--customers",
                "500",
                "--seed",
                "3",
                "--trials",
                "1",
                "--out",
                str(tmp_path / "m"),
                "--report",
                str(report),
            ]
        )
        == 0
    )
    said, written = capsys.readouterr(), json.loads(report.read_text())
    assert "(ceiling 0.9" in said.out and "cross-validating" in said.err and "cross-validating" not in said.out
    assert written["ceiling"]["auc"] > written["auc"]
    assert ChurnModel.load(tmp_path / "m").report is not None


def test_a_model_is_replaced_only_by_force(table: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (model / "manifest.json").read_bytes()
    assert "--force" in fails(capsys, run_train(table, "--out", str(model)))
    assert (model / "manifest.json").read_bytes() == before
    assert run_train(table, "--out", str(model), "--force", "--model-version", "5.0.0") == 0
    assert ChurnModel.load(model).version == "5.0.0"


@pytest.mark.parametrize(
    "more",
    [
        ["--preset", "realistic"],
        ["--customers", "5"],
        ["--model-version", "new"],
        ["--report", "/nowhere/r.json"],
        ["--seed", "-1"],
    ],
)
def test_what_cannot_go_together_is_said_before_anything_is_done(
    table: Path, registry: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    fails(capsys, run_train(table, *more))
    assert not registry.exists()


def test_bad_training_data_are_one_line(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(table.read_text().replace(",calls,", ",dials,"))
    assert "calls" in fails(capsys, run_train(table))
    table.write_text("id,calls,tariff,left\na,1,x,1\nb,2,y,0\n")
    assert "at least 25 of each" in fails(capsys, run_train(table))
    fails(capsys, run_train(tmp_path / "absent.csv"))


def test_scores_come_in_the_documented_columns(table: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    assert score.main(["--model", str(model), "--data", str(table), "--out", str(out)]) == 0
    rows = read(out)
    assert list(rows[0])[:4] == ["id", "churn_probability", "confidence", "reason_1"]
    assert len(rows) == 400 and rows[2]["id"] == "c2"
    for row in rows:
        p = float(row["churn_probability"])
        assert 0 <= p <= 1 and float(row["confidence"]) in (p, 1 - p)
        assert {row["reason_1"], row["reason_2"]} == {"calls", "tariff"} and row["reason_3"] == row["points_3"] == ""
        assert len(row["points_1"].partition(".")[2]) <= 6


def test_a_model_without_a_feature_scores_files_that_have_it_and_no_other_name_is_left_out(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "'nobody'" in fails(capsys, run_train(table, "--without", "nobody"))
    assert "every feature" in fails(capsys, run_train(table, "--without", "calls", "--without", "tariff"))
    assert run_train(table, "--without", "tariff", "--out", str(tmp_path / "m")) == 0
    assert "Left out of the model: tariff." in capsys.readouterr().out
    out = tmp_path / "scores.csv"
    assert score.main(["--model", str(tmp_path / "m"), "--data", str(table), "--out", str(out)]) == 0
    assert "tariff" in capsys.readouterr().err
    rows = read(out)
    assert (len(rows), {row["reason_1"] for row in rows}, {row["reason_2"] for row in rows}) == (400, {"calls"}, {""})


def test_no_cell_is_a_formula(table: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    score.main(["--model", str(model), "--data", str(table), "--out", str(out)])
    rows = read(out)
    assert (rows[0]["id"], rows[1]["id"]) == ("'=cmd", "'@sum")
    for row in rows:
        for name, cell in row.items():
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), (name, cell)
            assert not cell.startswith("-") or name.startswith("points")
    assert safe_cell("-5") == "'-5" and safe_cell("7590-VHVEG") == "7590-VHVEG"


def test_the_label_may_be_absent_and_rows_of_training_are_out_of_fold(table: Path, model: Path, tmp_path: Path) -> None:
    lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
    bare, strangers = tmp_path / "bare.csv", tmp_path / "strangers.csv"
    bare.write_text("\n".join(lines) + "\n")
    strangers.write_text("\n".join([lines[0], *(f"new-{line.lstrip('=@')}" for line in lines[1:])]) + "\n")
    answers = []
    for path in (table, bare, strangers):
        assert score.main(["--model", str(model), "--data", str(path), "--out", str(tmp_path / "o.csv")]) == 0
        answers.append([row["churn_probability"] for row in read(tmp_path / "o.csv")])
    assert answers[0] == answers[1] != answers[2]


def test_a_dash_means_standard_output(table: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert score.main(["--model", str(model), "--data", str(table), "--out", "-"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 401


def test_a_score_that_fails_leaves_the_old_file(table: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.parent / "scores.csv"
    out.write_text("yesterday")
    table.write_text(table.read_text().replace(",37,", ",many,"))
    before = sorted(table.parent.iterdir())
    assert "calls" in fails(capsys, score.main(["--model", str(model), "--data", str(table), "--out", str(out)]))
    assert out.read_text() == "yesterday" and sorted(table.parent.iterdir()) == before


def test_a_model_that_is_none_or_corrupt_is_one_line(
    table: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(table.parent / "o.csv")
    assert "is not a model folder" in fails(
        capsys, score.main(["--model", str(table.parent), "--data", str(table), "--out", out])
    )
    (model / "model.ubj").write_bytes(b"x")
    assert "model.ubj" in fails(capsys, score.main(["--model", str(model), "--data", str(table), "--out", out]))
    assert not Path(out).exists()


@pytest.mark.parametrize("command", [score, train_model])
def test_help_shows_an_example(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        command.main(["--help"])  # type: ignore[attr-defined]
    out = capsys.readouterr().out
    assert done.value.code == 0 and f"python -m {command.__name__} " in out  # type: ignore[attr-defined]


@pytest.mark.slow
@needs_data
def test_telco_end_to_end_is_as_good_as_its_peers(tmp_path: Path) -> None:
    file, schema = str(DATA / "telco" / "telco.csv"), str(ROOT / "examples" / "telco.toml")
    line = ["--data", file, "--schema", schema, "--trials", "1", "--out", str(tmp_path / "m")]
    assert train_model.main([*line, "--report", str(tmp_path / "r.json")]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["auc"] > 0.84 and report["test"]["log_loss"] < 0.43 and report["test"]["ece"] < 0.05
    # Fitted again to all rows, each of which keeps a score of a fold without it.
    assert report["out_of_fold_rows"] == 7043 == report["training_samples"] + report["test"]["n"]
    assert score.main(["--model", str(tmp_path / "m"), "--data", file, "--out", str(tmp_path / "s.csv")]) == 0
    rows = read(tmp_path / "s.csv")
    with (DATA / "telco" / "telco.csv").open(newline="") as source:
        label = [int(row["Churn"] == "Yes") for row in csv.DictReader(source)]
    import numpy as np

    # Out of fold on all rows: an optimistic score would show here.
    reached = auc(np.array(label, dtype=np.int8), np.array([float(row["churn_probability"]) for row in rows]))
    assert reached is not None and 0.84 < reached < 0.86


def test_a_missed_floor_of_the_documented_preset_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_model, "CUSTOMERS", 400)
    monkeypatch.setattr(acceptance, "MIN_AUC", 0.999)
    line = ["--seed", "3", "--trials", "1", "--out", str(tmp_path / "m")]
    assert train_model.main(line) == 1
    told = capsys.readouterr()
    assert "criterion missed: AUC is 0." in told.err and "at least 0.9990 is needed" in told.err
    # Another size, preset or file has no floors.
    monkeypatch.setattr(train_model, "CUSTOMERS", 13_334)
    assert train_model.main([*line, "--customers", "400", "--force"]) == 0


def test_scoring_prints_no_log_lines_where_the_tables_are_not_compiled(
    model: Path, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise NotCompiled("too many leaves")

    monkeypatch.setattr(boosters, "ShapTables", too_large)
    assert score.main(["--model", str(model), "--data", str(table), "--out", "-"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("id,churn_probability") and "tables" not in shown.out + shown.err


def test_a_blank_that_the_models_schema_forbids_is_refused_with_its_line_under_another_schema_too(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loose = table.parent / "schema.toml"
    strict = table.parent / "strict.toml"
    strict.write_text(loose.read_text() + "missing = false\n")
    out = table.parent / "m"
    assert train_model.main(["--data", str(table), "--schema", str(strict), "--trials", "1", "--out", str(out)]) == 0
    lines = table.read_text().splitlines()
    lines[5] = lines[5].replace("=1+1", "")
    table.write_text("\n".join(lines) + "\n")
    capsys.readouterr()
    given = ["--model", str(out), "--data", str(table), "--out", "-", "--schema"]
    assert score.main([*given, str(loose)]) == 2
    assert "line 6, tariff: a value is missing here, which the schema forbids" in capsys.readouterr().err
