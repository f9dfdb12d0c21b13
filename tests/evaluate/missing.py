"""`python -m tests.evaluate.missing`: what a feature's absence does to the scores, by the share of cells that is hidden.

Law: the other side of a log loss is a model trained without the feature; of an AUC, one that had nothing hidden from it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from ml_service import metrics
from ml_service.data import hiding
from ml_service.data.grouping import customer_groups
from ml_service.data.simulated import simulated
from ml_service.data.splitting import fold_rows
from ml_service.model import hyperparameter_search, missing_features
from ml_service.model.calibration import BetaCalibration, fit_beta
from ml_service.model.cross_validation import SearchData
from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.trees import boosting
from ml_service.model.trees.boosters import Trees
from ml_service.training.pipeline import split_snapshot
from shared.schema.features import Schema
from shared.simulation.simulate import PRESETS
from tests.evaluate.tables import is_there, load

SHARES = (0.0, 0.003, 0.005, 0.01)


@dataclass(frozen=True)
class Parted:
    """Rows to learn from and rows to judge by, of the first configuration for a table of this size."""

    schema: Schema
    past: np.ndarray
    label: np.ndarray
    groups: np.ndarray
    test: np.ndarray
    left: np.ndarray
    seed: int

    def model(self, past: np.ndarray, *, stood_in: bool = True) -> Scorer:
        """Grown on folds, fitted, calibrated and given stand-ins as the product does it."""
        params = boosting.parameters(self.schema, rows=len(past), leavers=int(self.label.sum()), seed=self.seed)
        rows = SearchData(self.schema, past, self.label, self.groups)
        folds = fold_rows(self.label, self.groups, self.seed)
        grown = rows.folded(folds, self.seed, 1).grow(params, on_round=lambda _: None)
        fitted = boosting.fit(self.schema, params, past, self.label, rounds=grown.rounds, bag=1, threads=1)
        chosen = hyperparameter_search.SearchResult(params, 1, grown, folds, {})
        lacking = missing_features.grow([fitted], chosen, rows, threads=1) if stood_in else {}
        types = boosting.feature_types(self.schema)
        trees = Trees(fitted, [], feature_types=types, threads=1, stand_ins=lacking)
        return Scorer(trees, fit_beta(grown.margins, self.label))


@dataclass(frozen=True)
class Scorer:
    """Probabilities of rows in the model's matrix."""

    trees: Trees
    calibration: BetaCalibration

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return self.calibration(self.trees.margins(values, np.full(len(values), UNSEEN, dtype=np.int8)))


@dataclass
class Figures:
    """Figures of one model: `blank` is, by feature, the factor of the mean score and the log loss over the other's."""

    auc: float
    log_loss: float
    blank: dict[str, tuple[float, float]] = field(default_factory=dict)
    only_plan: float = 1.0


def parted(name: str, seed: int) -> Parted:
    """A preset by its seed, or a real table by its fold."""
    if name in PRESETS:
        snapshot = simulated(name, seed=seed).snapshot
        split, values = split_snapshot(snapshot, seed), snapshot.matrix()[0].values
        past, test, keys = split.training, split.test, snapshot.row_keys
    else:
        table = load(name)
        snapshot, values, keys = table.snapshot, table.values, table.snapshot.row_keys
        past, test = np.flatnonzero(table.folds != seed % 5), np.flatnonzero(table.folds == seed % 5)
    groups = customer_groups(keys.take(pa.array(past)), values[past])
    y = snapshot.label
    return Parted(snapshot.schema, values[past], y[past], groups, values[test], y[test], seed)


def without(values: np.ndarray, positions: list[int]) -> np.ndarray:
    """A copy that lacks several features."""
    copy = values.copy()
    copy[:, positions] = np.nan
    return copy


def others(at: Parted) -> dict[str, float]:
    """By complete feature, the log loss of a model that was trained without it and had nothing hidden."""
    names = list(at.schema.feature_names)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hiding, "SHARE", 0.0)
        for name in hiding.complete_features(at.schema, at.past):
            lacking = [names.index(name)]
            model = at.model(without(at.past, lacking), stood_in=False)
            found[name] = metrics.log_loss(at.left, model(without(at.test, lacking)))
    return found


def measured(at: Parted, other: dict[str, float], *, share: float = hiding.SHARE, stood_in: bool = True) -> Figures:
    """One model, with each feature blank in turn."""
    names = list(at.schema.feature_names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hiding, "SHARE", share)
        model = at.model(at.past, stood_in=stood_in)
    whole = model(at.test)
    found = Figures(metrics.auc(at.left, whole) or 0.5, metrics.log_loss(at.left, whole))
    for name, loss in other.items():
        said = model(without(at.test, [names.index(name)]))
        found.blank[name] = float(said.mean() / whole.mean()), metrics.log_loss(at.left, said) / loss
    rest = [names.index(name) for name in other if name != at.schema.plan_feature]
    found.only_plan = float(model(without(at.test, rest)).mean() / whole.mean())
    return found


def lines(name: str, seeds: list[int]) -> Iterator[str]:
    """A line for each share, with and without stand-ins, over all seeds."""
    parts = [parted(name, seed) for seed in seeds]
    other = [others(at) for at in parts]
    before: list[Figures] = []
    for stood_in in (False, True):
        for share in SHARES:
            found = [measured(at, o, share=share, stood_in=stood_in) for at, o in zip(parts, other, strict=True)]
            before = before or found
            cost = np.mean([b.auc - f.auc for f, b in zip(found, before, strict=True)])
            factors = [factor for f in found for factor, _ in f.blank.values()]
            losses = {each: 100 * (np.mean([f.blank[each][1] for f in found]) - 1) for each in found[0].blank}
            worst = sorted(losses, key=lambda each: -losses[each])[:4]
            told = ", ".join(f"{each} {losses[each]:+.1f} %" for each in worst)
            plan = [f.only_plan for f in found]
            yield (
                f"{name} | {100 * share:.1f} % | {'yes' if stood_in else 'no'} | {min(factors):.2f} to "
                f"{max(factors):.2f} | {min(plan):.2f} to {max(plan):.2f} | {told} | {cost:+.5f}"
            )


def main() -> None:
    """Print the table."""
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("--tables", nargs="*", default=[*sorted(PRESETS), "telco", "iranian"])
    command.add_argument("--seeds", nargs="*", type=int, default=list(range(5)))
    given = command.parse_args()
    print("table | hidden | stand-ins | factor | only the plan known | log loss beside a model without it | AUC cost")
    for name in given.tables:
        if name in PRESETS or is_there(name):
            for line in lines(name, given.seeds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
