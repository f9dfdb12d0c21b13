"""`python -m tests.evaluate.levels`: which window and level are chosen, and whether they help, where the truth is known.

Law: the same seeds with every season; a choice is judged on months that nobody has trained on.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from ml_service import metrics
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import typed_columns
from ml_service.data.simulated import _column
from ml_service.model.churn_model import ChurnModel
from ml_service.training.candidates import Choice, Way, choose
from ml_service.training.fitting import fit_way
from ml_service.training.pipeline import split_snapshot
from shared.schema.features import built_in_schema
from shared.simulation.simulate import simulate

#: Days from one month to the next, so that twelve are a year; the first of them.
MONTH_DAYS, FIRST_DAY = 30.4375, np.datetime64("2022-01-15", "D")
#: By how much the season moves the log-odds of the wish to leave; None leaves viewing and leaving without a season.
SEASONS: dict[str, float | None] = {"still": None, "preset": 0.24, "strong": 0.6}


def history(customers: int, months: int, seed: int, season: float | None) -> Snapshot:
    """Months of the preset `documented`, the last one in December."""
    with pytest.MonkeyPatch.context() as patch:
        if season is None:
            patch.setattr("shared.simulation.simulate._Run._season", lambda self: 0.0)
        else:
            patch.setattr("shared.simulation.presets.LEAVING_SEASON", season)
        rows = simulate("documented", customers=customers, months=months, seed=seed).months
    schema = built_in_schema()
    columns = pa.table({name: _column(rows, name) for name in schema.features})
    as_of = FIRST_DAY + np.round(rows.month.astype(np.int64) * MONTH_DAYS).astype(np.int64)
    keys = pa.array(rows.customer, pa.int64())
    truth = rows.p_true.astype(np.float64)
    return Snapshot(schema, typed_columns(schema, columns), rows.churned, as_of, keys, truth)


def known_at(snapshot: Snapshot, day: np.datetime64) -> Snapshot:
    """The rows whose outcome is known on a day."""
    assert snapshot.as_of is not None
    return snapshot.take(np.flatnonzero(snapshot.as_of + np.timedelta64(60, "D") <= day))


def judged(snapshot: Snapshot, model: ChurnModel, day: np.datetime64) -> dict[str, float]:
    """The expected leavers of a month beside the true expectation, and the log loss."""
    assert snapshot.as_of is not None
    assert snapshot.true_probability is not None
    at = np.flatnonzero(snapshot.as_of == day)
    rows = snapshot.take(at)
    p = model.predict(rows.features, as_of=rows.as_of).probability
    truth = float(snapshot.true_probability[at].mean())
    return {"level": float(p.mean()) / truth - 1, "log loss": metrics.log_loss(rows.label, p)}


def one(name: str, customers: int, months: int, ahead: int, seed: int) -> tuple[Choice, dict[str, float]]:
    """Choose at the beginning of a month; judge the chosen way beside the first on this month and later ones."""
    snapshot = history(customers, months + ahead, seed, SEASONS[name])
    assert snapshot.as_of is not None
    days = np.unique(snapshot.as_of)
    known = known_at(snapshot, days[months])
    split = split_snapshot(known, seed)
    training = known.take(split.training)
    searched = ChurnModel(known.schema, version="1.0.0", seed=seed).fit(
        training.features, training.label, row_keys=training.row_keys, trials=1
    )
    choice = choose(known, split, searched, lambda done, stage: None)
    assert choice is not None
    found: dict[str, float] = {}
    for way in {Way(), choice.way} if choice.way != Way() else ():
        live = fit_way(searched, known, split.rows, way)
        each = [judged(snapshot, live, day) for day in days[months:]]
        what = "as it was" if way == Way() else "chosen"
        found |= {f"{what}: level, rms": float(np.sqrt(np.mean([month["level"] ** 2 for month in each])))}
        found |= {f"{what}: log loss": float(np.mean([month["log loss"] for month in each]))}
    return choice, found


def main() -> int:
    """Print each seed, then how often each way was chosen and the means."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.levels", description=__doc__)
    command.add_argument("--seasons", nargs="*", default=list(SEASONS), choices=list(SEASONS))
    command.add_argument("--seeds", type=int, default=20)
    command.add_argument("--first", type=int, default=0, metavar="SEED")
    command.add_argument("--customers", type=int, default=2_000)
    command.add_argument("--months", type=int, default=36, help="months of history on the day of training")
    command.add_argument("--ahead", type=int, default=6, help="months on which the models are judged")
    options = command.parse_args()
    for name in options.seasons:
        chosen, rows = Counter[str](), []
        for seed in range(options.first, options.first + options.seeds):
            choice, figures = one(name, options.customers, options.months, options.ahead, seed)
            chosen[choice.told.chosen] += 1
            rows += [figures] if figures else []
            print(name, seed, choice.told.chosen, {key: round(value, 5) for key, value in figures.items()}, flush=True)
        means = {key: round(float(np.mean([row[key] for row in rows])), 5) for key in (rows[0] if rows else {})}
        print(f"{name}: {dict(chosen)} of {options.seeds}; where a way was chosen: {means}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
