"""`make evaluate`: real tables beside the peers, ten seeds of the documented preset; the figures of the model card.

`make evaluate ARGS=alarm`, `ARGS=coverage` and `ARGS=drift` are long runs of what watches a model.

Law: everybody gets the same rows, folds and one thread; a figure stands beside its interval and its n.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from ml_service import metrics
from ml_service.acceptance import missed_floors
from ml_service.data.simulated import simulated
from ml_service.evaluation.bootstrap import losses, paired_difference, paired_figure
from ml_service.evaluation.calibration_checks import perfect_ece
from ml_service.model.churn_model import ChurnModel
from ml_service.training.pipeline import Effort, train
from tests.evaluate.monitoring import alarm, coverage, drift
from tests.evaluate.tables import DATA, ROOT, WIDE, Table, is_there, load

ENVIRONMENT = Path(os.environ.get("EVALUATE_PYTHON", ROOT / ".venv-evaluate" / "bin" / "python"))
TOLERANCE = 0.002


def ours(table: Table, trials: int) -> tuple[np.ndarray, list[dict[str, object]]]:
    """Our out-of-fold probabilities, and what was chosen in each fold."""
    label, probability, chosen = table.snapshot.label, np.empty(len(table.folds)), []
    for number in range(5):
        inside = np.flatnonzero(table.folds != number)
        outside = pa.array(np.flatnonzero(table.folds == number))
        model = ChurnModel(table.snapshot.schema, version="1.0.0").fit(
            table.snapshot.features.take(pa.array(inside)), label[inside], trials=trials
        )
        probability[table.folds == number] = model.predict(table.snapshot.features.take(outside)).probability
        chosen.append({name: model.parameters[name] for name in ("max_depth", "rounds", "bag")})
    return probability, chosen


def theirs(table: Table, more: list[str], keep: Path) -> dict[str, np.ndarray]:
    """The peers' out-of-fold probabilities, by the optional environment; nothing where there is none.

    They stay in `keep`, so that a table can be judged again without them (`--peers-from`).
    """
    if not ENVIRONMENT.exists():
        print(f"No peers: there is no {ENVIRONMENT}; `make evaluate PEERS=1` makes it.", file=sys.stderr)
        return {}
    schema = table.snapshot.schema
    categories = np.array([name in schema.categories for name in schema.feature_names])
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "table.npz"
        np.savez(source, values=table.values, label=table.snapshot.label, folds=table.folds, categories=categories)
        command = [str(ENVIRONMENT), str(Path(__file__).with_name("peers.py")), str(source), str(keep)]
        threads = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run([*command, *more], check=True, env=threads)
        return dict(np.load(keep))


def judged(table: Table, probability: np.ndarray) -> dict[str, float]:
    """AUC mean of the folds, log loss and ECE pooled."""
    label = table.snapshot.label
    areas = [metrics.auc(label[table.folds == k], probability[table.folds == k]) or 0.5 for k in range(5)]
    return {
        "auc": float(np.mean(areas)),
        "log_loss": float(losses(label, np.clip(probability, 1e-6, 1 - 1e-6)).mean()),
        "ece": metrics.ece(label, probability),
    }


def compared(table: Table, trials: list[int], peers: dict[str, np.ndarray]) -> dict[str, object]:
    """One table: everybody's figures, and ours of every effort beside the best peer of each figure."""
    return {
        "n": len(table.snapshot.label),
        "prevalence": float(table.snapshot.label.mean()),
        "peers": {name: judged(table, probability) for name, probability in peers.items()},
        "ours": {f"{number} trials": _mine(table, number, peers) for number in trials},
    }


def _mine(table: Table, trials: int, peers: dict[str, np.ndarray]) -> dict[str, object]:
    begun = time.process_time()
    mine, chosen = ours(table, trials)
    seconds = time.process_time() - begun
    own = judged(table, mine)
    print(f"{table.name}, {trials} trials: {own}, {seconds:.0f} s of CPU", file=sys.stderr, flush=True)
    result: dict[str, object] = {**own, "ece_limit": perfect_ece(mine), "cpu_s": seconds, "chosen": chosen}
    return {**result, "holds": _beside(table, mine, own, peers)} if peers else result


def _beside(table: Table, mine: np.ndarray, own: dict[str, float], peers: dict[str, np.ndarray]) -> dict[str, object]:
    label, groups = table.snapshot.label, np.arange(len(table.folds))
    figures = {name: judged(table, probability) for name, probability in peers.items()}
    by_auc = max(figures, key=lambda name: figures[name]["auc"])
    by_loss = min(figures, key=lambda name: figures[name]["log_loss"])
    area = paired_figure(metrics.auc, label, mine, peers[by_auc], groups, 0)
    clipped = {name: np.clip(p, 1e-6, 1 - 1e-6) for name, p in ((by_loss, peers[by_loss]), ("ours", mine))}
    gap, interval = paired_difference(losses(label, clipped["ours"]) - losses(label, clipped[by_loss]), groups, 0)
    assert area is not None
    behind = figures[by_auc]["auc"] - own["auc"]
    return {
        "auc": {
            "best": by_auc,
            "behind": behind,
            "interval": [-area[1], -area[0]],
            "holds": behind <= TOLERANCE or area[0] <= 0 <= area[1],
        },
        "log_loss": {
            "best": by_loss,
            "behind": gap,
            "interval": interval,
            "holds": gap <= TOLERANCE or interval[0] <= 0 <= interval[1],
        },
        "ece": {"holds": own["ece"] <= perfect_ece(mine)},
    }


def seed_run(seed: int, preset: str, trials: int) -> dict[str, object]:
    """One seed of a preset: the figures that have floors."""
    report = train(
        simulated(preset, seed=seed).snapshot, version="1.0.0", seed=seed, threads=1, effort=Effort(trials)
    ).report
    assert report.ceiling is not None
    assert report.calibration is not None
    return {
        "seed": seed, "preset": preset, "n": report.test.n, "prevalence": report.test.prevalence,
        "auc": report.test.auc, "ceiling": report.ceiling.auc, "log_loss": report.test.log_loss,
        "ece": report.test.ece, "ece_limit": report.calibration.ece_limit, "slope": report.calibration.slope,
        "confidence_holds": report.calibration.confidence_holds, "tail_n": report.calibration.tail_n,
        "tail_rate": report.calibration.tail_rate, "tail_said": report.calibration.tail_said,
        "precision": report.test.precision, "recall": report.test.recall, "f1_score": report.test.f1_score,
        "balanced": report.test.balanced.model_dump(), "v1_0": report.baselines["v1_0"].auc,
        "logistic": report.baselines["logistic_regression"].auc, "depth": report.parameters["max_depth"],
        "rounds": report.parameters["rounds"], "model_sha256": report.model_sha256,
        "missed": missed_floors(report) if preset == "documented" else [],
    }  # fmt: skip


#: Long runs by name: each takes its own arguments, and `--help`.
RUNS = {
    "alarm": (alarm.main, "false alarms in unchanged years, and months until a shift is told"),
    "coverage": (coverage.main, "how often the intervals of live figures hold the true figure, and their width"),
    "drift": (drift.main, "false alarms and planted shifts over a year of a million customers"),
}


def main() -> int:
    """Run what was asked for; 1 where a floor or a comparison is missed."""
    if sys.argv[1:2] and sys.argv[1] in RUNS:
        return RUNS[sys.argv[1]][0](sys.argv[2:])
    command = argparse.ArgumentParser(
        prog="python -m tests.evaluate",
        description="Evaluate the model in full, or do one of the long runs.",
        epilog="Long runs, each with a --help of its own: "
        + "; ".join(f"{name}: {what}" for name, (_, what) in RUNS.items()),
    )
    command.add_argument("--tables", nargs="*", default=["telco", "iranian", WIDE])
    command.add_argument("--seeds", nargs="*", type=int, default=list(range(1, 11)))
    command.add_argument("--preset", default="documented")
    command.add_argument(
        "--trials", nargs="+", type=int, default=[4], help="efforts on the tables; the seeds: the first"
    )
    command.add_argument("--skip", action="append", default=[], help="a peer to leave out")
    command.add_argument("--variants", action="store_true", help="variants of CatBoost in place of the peers")
    command.add_argument("--peers-from", type=Path, help="folder where an earlier run left the peers' probabilities")
    command.add_argument("--out", type=Path, default=ROOT / "out" / "evaluation.json")
    options = command.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, object] = {"tables": {}, "seeds": []}
    good = True
    for name in options.tables:
        if not is_there(name):
            print(f"{name}: skipped, it is not in {DATA} (RETAINSTREAM_DATA)", file=sys.stderr)
            continue
        table = load(name)
        result = compared(table, options.trials, _peers(table, options))
        good &= all(each["holds"] for mine in result["ours"].values() for each in mine.get("holds", {}).values())  # type: ignore[attr-defined]
        found["tables"][name] = result  # type: ignore[index]
        options.out.write_text(json.dumps(found, indent=2))
        print(name, json.dumps(result, indent=2), flush=True)
    for seed in options.seeds:
        result = seed_run(seed, options.preset, options.trials[0])
        good &= not result["missed"]
        found["seeds"].append(result)  # type: ignore[attr-defined]
        options.out.write_text(json.dumps(found, indent=2))
        print(json.dumps(result), flush=True)
    return 0 if good else 1


def _peers(table: Table, options: argparse.Namespace) -> dict[str, np.ndarray]:
    if options.peers_from is not None:
        return dict(np.load(options.peers_from / f"peers-{table.name}.npz"))
    if options.variants:
        return theirs(table, ["--variants"], options.out.parent / f"variants-{table.name}.npz")
    skip = [f"--skip={name}" for name in options.skip]
    return theirs(table, skip, options.out.parent / f"peers-{table.name}.npz")


if __name__ == "__main__":
    sys.exit(main())
