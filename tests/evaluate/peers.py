"""Figures of other libraries on the same folds, run in the environment that has them (requirements/evaluate.in).

Law: each library runs with the defaults that it ships; one that is not installed is left out by name, never guessed.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

warnings.filterwarnings("ignore")
TRIALS, FLAML_S, AUTOGLUON_S = 40, 60, 100
Fitted = Callable[[np.ndarray], np.ndarray]


def frame(values: np.ndarray, categories: np.ndarray):  # type: ignore[no-untyped-def]
    """Categories as pandas categories, missing as NaN; columns named by text, since FLAML takes numbers for positions."""
    import pandas as pd

    made = pd.DataFrame(values, columns=[f"f{k}" for k in range(values.shape[1])])
    for column in np.flatnonzero(categories):
        made[f"f{column}"] = pd.Categorical(made[f"f{column}"])
    return made


def one_hot(values: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Standardised numbers, one column per level; the levels and scales are those of the whole table."""
    parts = []
    for k in range(values.shape[1]):
        column = values[:, k]
        if categories[k]:
            parts.append((column[:, None] == np.unique(column[~np.isnan(column)])).astype(float))
        else:
            filled = np.where(np.isnan(column), np.nanmean(column), column)
            parts.append(((filled - filled.mean()) / (filled.std() or 1))[:, None])
    return np.column_stack(parts)


def logistic(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=2000).fit(x, y)
    return lambda new: model.predict_proba(new)[:, 1]


def forest(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(500, random_state=0).fit(np.nan_to_num(x, nan=-1), y)
    return lambda new: model.predict_proba(np.nan_to_num(new, nan=-1))[:, 1]


def hist(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=0, categorical_features=c.astype(bool)).fit(x, y)
    return lambda new: model.predict_proba(new)[:, 1]


def lightgbm(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    from lightgbm import LGBMClassifier

    columns = [int(k) for k in np.flatnonzero(c)] or "auto"
    model = LGBMClassifier(verbose=-1, n_jobs=1, random_state=0).fit(
        np.nan_to_num(x, nan=-1) if c.any() else x, y, categorical_feature=columns
    )
    return lambda new: model.predict_proba(np.nan_to_num(new, nan=-1) if c.any() else new)[:, 1]


def catboost(x: np.ndarray, y: np.ndarray, c: np.ndarray, **options: object) -> Fitted:
    import pandas as pd
    from catboost import CatBoostClassifier

    def as_text(values: np.ndarray):  # type: ignore[no-untyped-def]
        made = pd.DataFrame(values)
        for column in np.flatnonzero(c):
            made[column] = made[column].fillna(-1).astype(int).astype(str)
        return made

    model = CatBoostClassifier(verbose=0, thread_count=1, random_seed=0, allow_writing_files=False, **options)
    model.fit(as_text(x), y, cat_features=[int(k) for k in np.flatnonzero(c)])
    return lambda new: model.predict_proba(as_text(new))[:, 1]


def xgboost_tuned(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    """40 Optuna trials in cross-validation on the training part, early stopping, refitted."""
    import optuna
    import xgboost as xgb

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    types = ["c" if flag else "q" for flag in c]
    data = xgb.DMatrix(x, y, feature_types=types, enable_categorical=True)
    fixed = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, "eval_metric": "logloss", "seed": 0}

    def objective(trial: optuna.Trial) -> float:
        params = {
            "max_depth": trial.suggest_int("max_depth", 2, 8),
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.2, log=True),
            "min_child_weight": trial.suggest_float("min_child_weight", 0.1, 20, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 20, log=True),
        }
        found = xgb.cv(params | fixed, data, 1500, nfold=5, stratified=True, early_stopping_rounds=40, seed=0)
        trial.set_user_attr("rounds", len(found))
        return float(found["test-logloss-mean"].iloc[-1])

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=TRIALS)
    booster = xgb.train(study.best_params | fixed, data, study.best_trial.user_attrs["rounds"])
    return lambda new: booster.predict(xgb.DMatrix(new, feature_types=types, enable_categorical=True))


def flaml(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    from flaml import AutoML

    automl = AutoML()
    automl.fit(
        frame(x, c), y, task="classification", metric="log_loss", time_budget=FLAML_S, verbose=0, seed=0, n_jobs=1
    )
    return lambda new: automl.predict_proba(frame(new, c))[:, 1]


def autogluon(x: np.ndarray, y: np.ndarray, c: np.ndarray) -> Fitted:
    """A stacked ensemble of every kind of model that AutoGluon can make of what is installed."""
    from autogluon.tabular import TabularPredictor

    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor("left", eval_metric="log_loss", path=folder, verbosity=0)
        predictor.fit(frame(x, c).assign(left=y), presets="best_quality", time_limit=AUTOGLUON_S)
        predictor.persist()
    return lambda new: predictor.predict_proba(frame(new, c))[1].to_numpy()


#: Name to (maker, package it needs, whether it wants one-hot columns).
PEERS = {
    "logistic regression": (logistic, "sklearn", True),
    "random forest, 500": (forest, "sklearn", False),
    "HistGradientBoosting": (hist, "sklearn", False),
    "LightGBM": (lightgbm, "lightgbm", False),
    "CatBoost": (catboost, "catboost", False),
    "XGBoost, 40 Optuna trials": (xgboost_tuned, "optuna", False),
    "FLAML, 60 s": (flaml, "flaml", False),
    "AutoGluon best_quality, 100 s": (autogluon, "autogluon", False),
}
#: CatBoost's defaults with one thing changed, to see which of them makes the difference.
VARIANTS = {
    f"CatBoost, {told}": (partial(catboost, **options), "catboost", False)
    for told, options in {
        "default": {},
        "no noise in the choice of splits": {"random_strength": 0},
        "one Newton step per leaf": {"leaf_estimation_iterations": 1},
        "depth 4": {"depth": 4},
        "plain boosting": {"boosting_type": "Plain"},
        "no bootstrap": {"bootstrap_type": "No"},
        "ordinary trees": {"grow_policy": "Depthwise"},
    }.items()
}


def main() -> int:
    """Read a table with folds, write each peer's out-of-fold probabilities."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("table", type=Path, help="npz of values, label, folds, categories")
    command.add_argument("out", type=Path, help="npz of one array per peer")
    command.add_argument("--skip", action="append", default=[])
    command.add_argument("--variants", action="store_true", help="variants of CatBoost in place of the peers")
    options = command.parse_args()
    table = np.load(options.table)
    values, label, folds, categories = (table[name] for name in ("values", "label", "folds", "categories"))
    found = {}
    for name, (make, package, wants_one_hot) in (VARIANTS if options.variants else PEERS).items():
        if importlib.util.find_spec(package) is None or name in options.skip:
            print(f"{name}: left out ({package} is not installed or it was skipped)", file=sys.stderr)
            continue
        x = one_hot(values, categories) if wants_one_hot else values
        probability, begun = np.empty(len(label)), time.process_time()
        for number in np.unique(folds):
            inside = folds != number
            probability[~inside] = make(x[inside], label[inside], categories)(x[~inside])
        found[name] = probability
        print(f"{name}: {time.process_time() - begun:.0f} s of CPU", file=sys.stderr, flush=True)
        np.savez(options.out, **found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
