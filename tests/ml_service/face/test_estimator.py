"""ChurnModel for Python: the model of the services from a table in memory, kept and served like theirs."""

from __future__ import annotations

import copy
import csv
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ml_service import score, train_model
from ml_service.data.dataset import Snapshot, snapshot_of
from retainstream import ChurnModel
from shared.contracts import arrow
from shared.contracts.api import ARROW_TYPE
from shared.proposal.schema_inference import infer_schema
from shared.schema.features import parse_schema
from shared.tables.read import read_table
from tests.ml_service.conftest import Caller, as_stream
from tests.ml_service.face.conftest import make_customers, make_dated

SEED = 3
TABLES = {"undated": make_customers, "dated": make_dated}


@pytest.fixture(scope="module", params=list(TABLES))
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ChurnModel]:
    """A folder with a file and the command's model of it, `m`; and a model of the same rows in memory."""
    folder = tmp_path_factory.mktemp(request.param)
    TABLES[request.param]().to_csv(folder / "t.csv", index=False)
    (folder / "t.toml").write_text(infer_schema(folder / "t.csv").to_toml())
    line = ["--data", str(folder / "t.csv"), "--schema", str(folder / "t.toml"), "--seed", str(SEED), "--trials", "1"]
    assert train_model.main([*line, "--out", str(folder / "m"), "--report", str(folder / "r.json")]) == 0
    return folder, ChurnModel(label="churn", trials=1, random_state=SEED, threads=1).fit(pd.read_csv(folder / "t.csv"))


def test_the_command_makes_the_same_model_of_the_same_rows(both: tuple[Path, ChurnModel]) -> None:
    folder, model = both
    commanded, report = json.loads((folder / "r.json").read_text()), json.loads(json.dumps(model.report))
    own = {name: report[name] for name in commanded if name not in ("timestamp", "simulated", "missed_floors")}
    assert own == {name: commanded[name] for name in own}
    assert own["model_sha256"] and own["data_sha256"]
    assert own["split"] == ("time" if model.schema_.as_of else "stratified")
    assert json.loads((folder / "m" / "manifest.json").read_text())["model_sha256"] == own["model_sha256"]


def test_scores_and_reasons_are_those_of_the_command(both: tuple[Path, ChurnModel]) -> None:
    folder, model = both
    out = folder / "scores.csv"
    assert score.main(["--model", str(folder / "m"), "--data", str(folder / "t.csv"), "--out", str(out)]) == 0
    table = pd.read_csv(folder / "t.csv")
    explained, probability = model.explain(table), model.predict_proba(table)[:, 1].tolist()
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["churn_probability"]) for row in rows] == probability == explained["churn_probability"].tolist()
    assert [row["reason_1"] for row in rows] == explained["reason_1"].tolist()
    assert [float(row["points_1"]) for row in rows] == explained["points_1"].round(6).tolist()
    assert list(explained.columns) == list(rows[0])[1:]


def served(call: Caller, rows: Snapshot, version: str) -> list[float]:
    columns = dict(zip(rows.features.column_names, rows.features.columns, strict=True))
    table = pa.table({"row_key": rows.row_keys, **columns})
    body = arrow.encode(table.schema, table.to_batches())
    answer = call("POST", f"/api/predict?model_version={version}", data=body, content_type=ARROW_TYPE)
    assert answer.status_code == 200
    found: list[float] = arrow.decode(answer.data)["churn_probability"].to_pylist()
    return found


def test_the_service_makes_the_same_model_serves_a_saved_one_and_its_own_is_loaded(
    both: tuple[Path, ChurnModel], own_call: Caller, registry_folder: Path
) -> None:
    folder, model = both
    schema = parse_schema((folder / "t.toml").read_text())
    rows, table = snapshot_of(read_table(folder / "t.csv", schema, label="required")), pd.read_csv(folder / "t.csv")
    answer = own_call("POST", "/api/train", data=as_stream(rows, seed=SEED), content_type=ARROW_TYPE)
    assert answer.get_json()["model_sha256"] == model.report["model_sha256"]
    model.save(registry_folder / model.version)
    theirs = ChurnModel.load(registry_folder / "9.0.0")
    probability = model.predict_proba(table)[:, 1].tolist()
    assert served(own_call, rows, "9.0.0") == served(own_call, rows, model.version) == probability
    assert theirs.predict_proba(table)[:, 1].tolist() == probability
    assert theirs.classes_.tolist() == [0, 1]
    assert theirs.report["model_sha256"] == model.report["model_sha256"]
    assert (theirs.predict(table) == (model.predict(table) == "Yes")).all()
    theirs.save(folder / "again", replace=True)
    assert ChurnModel.load(folder / "again").predict_proba(table)[:, 1].tolist() == probability


def test_a_kept_model_answers_as_before(fitted: ChurnModel, customers: pd.DataFrame, tmp_path: Path) -> None:
    fitted.save(tmp_path / "m")
    for again in (
        ChurnModel.load(tmp_path / "m"),
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
    ):
        assert (again.predict_proba(customers) == fitted.predict_proba(customers)).all()
        assert (again.predict(customers) == fitted.predict(customers)).all()
        assert again.report["model_sha256"] == fitted.report["model_sha256"]
        assert (again.classes_.tolist(), again.positive_class_) == (["No", "Yes"], "Yes")
        assert again.feature_names_in_.tolist() == customers.columns.drop("churn").tolist()
    with pytest.raises(ValueError, match="already exists"):
        fitted.save(tmp_path / "m")
    (tmp_path / "m" / "model.ubj").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"model\.ubj"):
        ChurnModel.load(tmp_path / "m")


def test_labels_apart_make_the_same_model(fitted: ChurnModel, customers: pd.DataFrame) -> None:
    left = np.where(customers["churn"] == "Yes", "gone", "staying")
    apart = ChurnModel(trials=1, random_state=3).fit(customers.drop(columns="churn"), left)
    assert apart.report["model_sha256"] == fitted.report["model_sha256"]
    assert (apart.classes_.tolist(), apart.positive_class_) == (["gone", "staying"], "gone")
    X = customers.drop(columns="churn")
    assert (apart.predict_proba(X) == fitted.predict_proba(X)[:, ::-1]).all()
    assert ((apart.predict(X) == "gone") == (fitted.predict(X) == "Yes")).all()
    assert apart.score(X, left) == fitted.score(customers) == fitted.score(X, customers["churn"])


def test_the_class_is_that_of_the_models_threshold(fitted: ChurnModel, customers: pd.DataFrame) -> None:
    threshold = fitted.report["live"]["threshold"]
    assert threshold != 0.5
    reached = fitted.predict_proba(customers)[:, 1] >= threshold
    assert (reached == (fitted.predict(customers) == "Yes")).all()
    assert reached.any() and not reached.all()


def test_reasons_are_a_frame_with_the_index_and_the_values_of_the_rows(
    fitted: ChurnModel, customers: pd.DataFrame
) -> None:
    rows = customers.set_index("customer_id", drop=False).tail(20)
    told = fitted.explain(rows, n_reasons=2)
    assert told.index.equals(rows.index)
    assert list(told.columns)[2:] == ["reason_1", "points_1", "value_1", "reason_2", "points_2", "value_2"]
    plus = told[told["reason_1"] == "tariff"]
    assert len(plus) and (plus["value_1"] == rows.loc[plus.index, "tariff"]).all()


def states(table: pd.DataFrame) -> pd.DataFrame:
    """The label as a status: some of those who stayed have just come, and a few rows have none."""
    state = table["churn"].map({"Yes": "Churned", "No": "Stayed"}).mask(table.index % 7 == 0, "Joined")
    return table.drop(columns="churn").assign(status=state.mask(table.index % 50 == 0, None))


def test_a_label_of_several_states_has_the_classes_0_and_1_and_rows_without_one_are_left_out(
    customers: pd.DataFrame,
) -> None:
    table = states(customers)
    model = ChurnModel("status", trials=1).fit(table)
    assert model.classes_.tolist() == [0, 1]
    assert model.rate_ == (table["status"] == "Churned").sum() / table["status"].notna().sum()
    assert set(model.predict(table)) == {0, 1}
    labelled = table[table["status"].notna()]
    assert model.score(table) == (model.predict(labelled) == (labelled["status"] == "Churned")).mean()


def test_what_means_left_can_be_told(customers: pd.DataFrame) -> None:
    coded = customers.drop(columns="churn").assign(code=customers["churn"].map({"Yes": 7.0, "No": 1.0}))
    told = ChurnModel(label="code", positive=7)
    with pytest.warns(UserWarning, match="at least 25 of each"):
        told.fit(coded.head(40))
    assert (told.classes_.tolist(), told.positive_class_) == ([1.0, 7.0], 7.0)
    assert "code" not in told.schema_.features
    many = coded.assign(code=np.arange(len(coded)) % 5)
    with pytest.raises(ValueError, match=r"'code' don't tell who left.*`positive`"):
        ChurnModel(label="code").fit(many)
    few = ChurnModel(label="code", positive=[0, 4])
    with pytest.warns(UserWarning, match="at least 25 of each"):
        assert few.fit(many.head(50)).rate_ == 0.4


def test_too_few_leavers_are_refused_or_told_as_a_rate(customers: pd.DataFrame) -> None:
    few = customers.head(60)
    with pytest.raises(ValueError, match=r"leavers and .* stayers; at least 25 of each are needed"):
        ChurnModel(label="churn", if_refused="raise").fit(few)
    with pytest.warns(UserWarning, match="at least 25 of each are needed.*share of leavers"):
        model = ChurnModel(label="churn").fit(few)
    assert model.rate_ == (few["churn"] == "Yes").mean()
    assert (model.predict_proba(customers) == [1 - model.rate_, model.rate_]).all()
    assert set(model.predict(customers)) == {"No"}
    for ask in (lambda: model.report, lambda: model.explain(few), lambda: model.save("nowhere")):
        with pytest.raises(ValueError, match="No model was made"):
            ask()
    assert not Path("nowhere").exists()
    assert "report" not in dir(model)
    assert model._repr_html_()


def test_labels_that_the_features_do_not_tell_are_refused(customers: pd.DataFrame) -> None:
    shuffled = np.random.default_rng(0).permutation(customers["churn"])
    with pytest.raises(ValueError, match="No signal found"):
        ChurnModel(trials=1, if_refused="raise").fit(customers.drop(columns="churn"), shuffled)


def test_a_feature_that_gives_the_outcome_away_is_refused_unless_allowed(customers: pd.DataFrame) -> None:
    leaking = customers.assign(refund=np.where(customers["churn"] == "Yes", 20.0, 0.0) + customers["age"] / 100)
    with pytest.raises(ValueError, match="refund: probably written after the outcome was known"):
        ChurnModel(label="churn", trials=1).fit(leaking)
    allowed = ChurnModel(label="churn", trials=1, allow_leaks=["refund"]).fit(leaking)
    assert [leak["feature"] for leak in allowed.report["allowed_leaks"]] == ["refund"]


def test_a_schema_says_what_the_columns_mean(customers: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        'label = "churn"\npositive = ["Yes"]\n[features.calls]\nkind = "number"\n[features.tariff]\nkind = "category"\n'
    )
    with pytest.warns(UserWarning, match="at least 25 of each"):
        model = ChurnModel(schema=path).fit(customers.head(40))
    assert list(model.schema_.features) == ["calls", "tariff"]
    assert clone(model).schema == path
    with pytest.raises(ValueError, match="There is no schema file"):
        ChurnModel(schema=tmp_path / "absent.toml").fit(customers)


@pytest.mark.parametrize(
    ("change", "fit", "told"),
    [
        ({}, {"y": None}, "requires y to be passed"),
        ({"label": "churned"}, {"y": None}, "X has no column 'churned', the label; it has customer_id, calls"),
        ({"label": "churn"}, {"y": [0, 1] * 250}, "X holds a column 'churn', and y is called so too"),
        ({"schema": "retainstream"}, {"y": None}, "'user_id'"),
        ({"label": "churn", "trials": 0}, {"y": None}, "trials must be a whole number of at least 1, not 0"),
        ({"label": "churn", "random_state": None}, {"y": None}, "random_state must be a whole number"),
        ({"label": "churn", "time_budget": 0}, {"y": None}, "time_budget must be above 0"),
        ({"label": "churn", "version": "new"}, {"y": None}, "Three numbers separated by dots"),
        ({"label": "churn", "if_refused": "guess"}, {"y": None}, "if_refused must be 'raise' or 'rate'"),
        ({"label": "left"}, {"y": ["a", "b", "c", "d", "e"] * 100}, "Only binary classification"),
        ({"label": "left"}, {"y": [0, 1] * 249 + [0, np.nan]}, "y contains NaN"),
        ({"label": "left"}, {"y": [0, 1] * 249}, "inconsistent numbers of samples"),
    ],
)
def test_a_call_that_can_not_be_is_refused_by_name(
    customers: pd.DataFrame, change: dict[str, object], fit: dict[str, object], told: str
) -> None:
    model = ChurnModel(**change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=told):
        model.fit(customers, **fit)
    with pytest.raises(NotFittedError):
        model.predict(customers)


def test_cells_and_columns_that_can_not_be_scored_are_named(fitted: ChurnModel, customers: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"row 3.*calls|calls.*row 3"):
        fitted.predict(customers.assign(calls=customers["calls"].astype(object).where(customers.index != 2, "many")))
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing:\n- calls"):
        fitted.predict(customers.drop(columns="calls"))
    with pytest.warns(UserWarning, match="age is missing in 500 of 500 rows, but was complete in training"):
        fitted.predict(customers.assign(age=np.nan))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.predict(customers)
