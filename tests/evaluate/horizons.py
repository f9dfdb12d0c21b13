"""`python -m tests.evaluate.horizons`: leaving within 30 to 180 days and by cause, said and come on later dates.

Law: a model knows what was known at the first of its dates; it is judged on the rows of that date and of the two after.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from statistics import fmean

import numpy as np
import pyarrow as pa

from ml_service import metrics
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix, typed_columns
from ml_service.data.later_outcomes import UNKNOWN, LaterOutcomes
from ml_service.data.simulated import FIRST_DAY, STEP_DAYS, _column
from ml_service.evaluation.calibration_checks import perfect_ece
from ml_service.model.outlook import CauseModel
from ml_service.training.pipeline import Effort, train
from shared.contracts.api import GRACE_DAYS, HORIZON_DAYS
from shared.contracts.outlook import LATER_HORIZONS, Judged
from shared.schema.features import built_in_schema
from shared.simulation.simulate import END_REASONS, Simulation, simulate

#: Months of history when the model is trained, judged months, and the months that the longest horizon takes.
MONTHS, JUDGED, AHEAD = 18, 3, 6


def departures(simulation: Simulation) -> tuple[np.ndarray, np.ndarray]:
    """Days from each row's date to the end of its subscription (many where it is open), and its reason."""
    months, lives = simulation.months, simulation.subscriptions
    ends: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for customer, end, reason in zip(
        lives.customer[~lives.is_open].tolist(),
        lives.ended_day[~lives.is_open].tolist(),
        lives.end_reason[~lives.is_open].tolist(),
        strict=True,
    ):
        ends[customer].append((end, reason))
    days, reasons = np.full(len(months), 10**6), np.full(len(months), UNKNOWN, np.int8)
    for row, (customer, month) in enumerate(zip(months.customer.tolist(), months.month.tolist(), strict=True)):
        day = month * simulation.step_days
        later = [each for each in ends.get(customer, ()) if each[0] > day]
        if later:
            days[row], reasons[row] = min(later)[0] - day, min(later)[1]
    return days, reasons


def history(simulation: Simulation, known_day: int) -> Snapshot:
    """All rows of a simulation, with the outcomes that are known on a day."""
    months, (days, reasons) = simulation.months, departures(simulation)
    at = months.month.astype(np.int64) * simulation.step_days
    within = {
        horizon: np.where(at + horizon + GRACE_DAYS <= known_day, days <= horizon, UNKNOWN).astype(np.int8)
        for horizon in LATER_HORIZONS
    }
    label = (days <= HORIZON_DAYS).astype(np.int8)
    involuntary = np.where(label == 1, reasons == END_REASONS.index("involuntary"), UNKNOWN).astype(np.int8)
    schema = built_in_schema()
    columns = pa.table({name: _column(months, name) for name in schema.features})
    return Snapshot(
        schema,
        typed_columns(schema, columns),
        label,
        FIRST_DAY + at,
        pa.array(months.customer, pa.int64()),
        later=LaterOutcomes(within, involuntary),
    )


def run(seed: int, *, preset: str = "documented", customers: int = 6_000) -> dict[str, dict[str, float | None]]:
    """One seed: observed / expected, ECE and its limit by chance, and log loss of each horizon and of each cause."""
    simulation = simulate(preset, customers=customers, months=MONTHS + JUDGED + AHEAD, seed=seed)
    rows = history(simulation, MONTHS * STEP_DAYS)
    at, (days, _) = simulation.months.month.astype(np.int64), departures(simulation)
    past = np.flatnonzero(at * STEP_DAYS + HORIZON_DAYS + GRACE_DAYS <= MONTHS * STEP_DAYS)
    later = np.flatnonzero((at >= MONTHS) & (at < MONTHS + JUDGED))
    begun = time.process_time()
    trained = train(rows.take(past), version="1.0.0", seed=seed, effort=Effort(1))
    model, report = trained.model, trained.report.outlook
    assert report is not None
    part = rows.take(later)
    scores = model.predict(part.features)
    found: dict[str, dict[str, float | None]] = {"training": {"cpu_s": time.process_time() - begun}}
    within = model.outlook.within(scores.probability, scores.margin)
    checks = {check.days: check.judged for check in report.horizons}
    for horizon, said in zip((HORIZON_DAYS, *LATER_HORIZONS), within, strict=True):
        came = (days[later] <= horizon).astype(np.int8)
        repeated = 1 - (1 - scores.probability) ** (horizon / HORIZON_DAYS)
        judged = checks.get(horizon)
        told = {} if judged is None else _reported(judged)
        found[f"{horizon} days"] = {} if said is None else {**_figures(came, said), **told}
        found[f"{horizon} days, the score repeated"] = _figures(came, repeated)
    if isinstance(model.outlook.causes, CauseModel):
        values = to_matrix(model.schema, model.categories, part.features).values
        involuntary = scores.probability * model.outlook.causes.share(model.schema, values, 1)
        assert part.later is not None
        why = part.later.left_involuntarily
        for name, code, p in (("voluntary", 0, scores.probability - involuntary), ("involuntary", 1, involuntary)):
            found[name] = _figures((why == code).astype(np.int8), p)
    return found


def _reported(judged: Judged) -> dict[str, float | None]:
    low, high = judged.ratio_interval
    return {
        "reported_ratio": judged.ratio,
        "reported_ece": judged.ece,
        "reported_half_width": (high - low) / 2,
        "reported_interval_holds_1": float(low <= 1 <= high),
    }


def _figures(label: np.ndarray, p: np.ndarray) -> dict[str, float | None]:
    return {
        "rate": float(label.mean()),
        "ratio": float(label.sum() / p.sum()),
        "ece": metrics.ece(label, p),
        "ece_limit": perfect_ece(p),
        "log_loss": metrics.log_loss(label, np.clip(p, 1e-6, 1 - 1e-6)),
        "auc": metrics.auc(label, p),
    }


def main() -> int:
    """Print each seed, then the mean, the smallest and the largest of every figure."""
    command = argparse.ArgumentParser(prog="python -m tests.evaluate.horizons", description=__doc__)
    command.add_argument("--seeds", nargs="*", type=int, default=list(range(1, 11)))
    command.add_argument("--preset", default="documented")
    command.add_argument("--customers", type=int, default=6_000)
    options = command.parse_args()
    seeds = []
    for seed in options.seeds:
        seeds.append(run(seed, preset=options.preset, customers=options.customers))
        for part, figures in seeds[-1].items():
            shown = {name: None if value is None else round(value, 4) for name, value in figures.items()}
            print(seed, part, shown, flush=True)
    for part in seeds[0]:
        for name in seeds[0][part]:
            values = [value for each in seeds if (value := each[part].get(name)) is not None]
            if values:
                print(f"{part}: {name} {fmean(values):.4f} ({min(values):.4f} to {max(values):.4f}), n {len(values)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
