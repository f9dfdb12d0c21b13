"""The search for a configuration: a fixed list of trials for a seed, judged on the same folds.

Law: shallow unless depth pays; trial k is the same however many follow it, so that a search that was cut short can be
made again by its number of trials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_service.arrays import Floats, Folds, Ints, Labels
from ml_service.data.splitting import deal, fold_rows
from ml_service.model import boosting
from ml_service.model.boosting import CrossValidation, FoldedRows
from shared.schema.features import Schema

#: Called with the share of the work that is done, in [0, 1], and with what is being done.
Progress = Callable[[float, str], None]

#: Depth that is explained exactly by tables; a deeper tree must gain more than this over all shallow ones.
SHALLOW, MOST_LOSS, MOST_AUC = 3, 0.0005, 0.001
#: Larger tables choose on a sample: enough rows to tell configurations apart by less than the rule above.
RACE_ROWS, RACE_FOLDS = 40_000, 3
#: Boosters of a bag, and what a bag must gain in log loss over its own members. The chosen trial is no measure of that:
#: its log loss is the least of many on these folds, on the iranian table by luck 0.0018 less than with other seeds.
BAG, BAG_GAIN = 5, 0.0003
#: Bags are tried where variance is the problem, and by searches that take their time: they cost five times the trees.
BAG_ROWS = boosting.SMALL_TABLE
#: xgboost sorts the levels of a category by their rates and cuts the row of them: of so many levels it finds an order
#: in noise. A leaf that holds a fiftieth of all evidence (a sum of p (1 - p)) averages it out.
WIDE_CATEGORY, EVIDENCE_SHARE = 10, 0.02
#: Drawn at random before the search begins to look around the best.
EXPLORING = 16

PORTFOLIO: tuple[dict[str, float], ...] = (
    {},
    {"max_depth": 8, "min_child_weight": 0.2, "colsample_bynode": 0.5, "reg_lambda": 5.0},
    {"max_depth": 4, "min_child_weight": 0.2},
    {"max_depth": 2, "colsample_bynode": 0.6, "learning_rate": 0.1},
)


#: What takes the place of the third where a category is wide; its weight comes from the table.
WIDE_PLACE = 2


@dataclass(frozen=True)
class Trial:
    """One configuration, what it changes of the first one, and what the folds said of it."""

    number: int
    changes: dict[str, Any]
    params: dict[str, Any]
    found: CrossValidation

    @property
    def is_shallow(self) -> bool:
        """Its trees can be compiled to tables."""
        return bool(self.params["max_depth"] <= SHALLOW)


@dataclass(frozen=True)
class Found:
    """What the search decided.

    Attributes
    ----------
    cross_validation
        Of the chosen configuration on all rows, all folds; of bags where `bag` is above 1.
    folds
        Shape (rows,): the fold that held each row out there.
    about
        How it was found, for the report.
    """

    params: dict[str, Any]
    bag: int
    cross_validation: CrossValidation
    folds: Folds
    about: dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """What is searched on: the model's matrix, labels, and groups that no fold may part; shape (rows, ...) each."""

    schema: Schema
    values: Floats
    label: Labels
    groups: Ints

    def sampled(self, seed: int) -> Rows:
        """All rows, or of a large table whole groups drawn at random until there are enough."""
        if len(self.label) <= RACE_ROWS:
            return self
        _, inverse = np.unique(self.groups, return_inverse=True)
        order = np.random.default_rng(seed).permutation(int(inverse.max()) + 1)
        rows = np.argsort(order[inverse], kind="stable")[:RACE_ROWS]
        rows.sort()
        return Rows(self.schema, self.values[rows], self.label[rows], self.groups[rows])

    def folded(self, folds: Folds, seed: int, threads: int) -> FoldedRows:
        """These rows, binned once per fold."""
        return FoldedRows(self.schema, self.values, self.label, folds, threads=threads, seed=seed)

    def leaf_weight(self) -> float | None:
        """`min_child_weight` that suits wide categories; None where there are none."""
        names = list(self.schema.feature_names)
        columns = [self.values[:, names.index(name)] for name in self.schema.categories]
        if not any(np.nanmax(codes, initial=-1.0) >= WIDE_CATEGORY for codes in columns):
            return None
        rate = float(self.label.mean())
        return max(1.0, EVIDENCE_SHARE * len(self.label) * rate * (1 - rate))


def search(
    rows: Rows, *, trials: int, time_budget_s: float | None = None, seed: int, threads: int, progress: Progress
) -> Found:
    """Choose a configuration and grow it fold by fold on all rows.

    Parameters
    ----------
    trials
        The first four are the portfolio.
    time_budget_s
        No trial begins after it; at least one is made.

    Raises
    ------
    InsufficientData
        Where the rows can't be dealt into folds.
    """
    folds = fold_rows(rows.label, rows.groups, seed)
    sample = rows.sampled(seed)
    threads = boosting.worthwhile_threads(len(rows.label), threads)
    whole = rows.folded(folds, seed, threads) if sample is rows else None
    race = whole or sample.folded(deal(sample.groups, sample.label, RACE_FOLDS, seed), seed, threads)
    proposals = Proposals(seed, sample.leaf_weight())
    made = _race(
        race, _base(rows, len(sample.label), seed), proposals, trials, time_budget_s, lambda d, s: progress(0.7 * d, s)
    )
    best = choose(made)
    about = _about(made, best, trials, sampled=None if sample is rows else len(sample.label))
    if whole is not None:
        # Trials made, not asked for: a search that was cut short is made again by the number it made.
        bag, final = _bag(whole, best, progress) if len(made) > len(PORTFOLIO) else (1, best.found)
        return Found(best.params, bag, final, folds, {**about, "bag": bag})
    whole = rows.folded(folds, seed, threads)
    params = {**_base(rows, len(rows.label), seed), **best.changes}
    final = whole.grow(params, on_round=lambda n: progress(0.7 + 0.3 * n / (n + 200), _round("all rows", n)))
    return Found(params, 1, final, folds, {**about, "bag": 1})


def _base(rows: Rows, count: int, seed: int) -> dict[str, Any]:
    """The first configuration for so many of the rows."""
    return boosting.parameters(rows.schema, rows=count, leavers=int(rows.label.sum()), seed=seed)


def _round(what: str, number: int) -> str:
    return f"cross-validating {what}, round {number}"


def _race(
    race: FoldedRows,
    base: dict[str, Any],
    proposals: Proposals,
    trials: int,
    time_budget_s: float | None,
    progress: Progress,
) -> list[Trial]:
    made: list[Trial] = []
    begun = time.monotonic()
    for number in range(trials):
        if made and time_budget_s is not None and time.monotonic() - begun > time_budget_s:
            break
        changes = proposals(number, made)
        params = {**base, **changes}
        to_beat = min((trial.found.log_loss for trial in made), default=np.inf)
        found = race.grow(params, on_round=_counted(number, trials, progress), to_beat=to_beat)
        made.append(Trial(number, changes, params, found))
    return made


def _counted(number: int, trials: int, progress: Progress) -> Callable[[int], None]:
    name = f"configuration {number + 1} of {trials}"
    return lambda n: progress((number + n / (n + 200)) / trials, _round(name, n))


@dataclass(frozen=True)
class Proposals:
    """The fixed list of trials: known ones first, then drawn, then near the best so far.

    Attributes
    ----------
    leaf_weight
        `Rows.leaf_weight` of what is searched on.
    """

    seed: int
    leaf_weight: float | None = None

    def __call__(self, number: int, made: list[Trial]) -> dict[str, Any]:
        """The changes that trial `number` makes to the base."""
        if number == WIDE_PLACE and self.leaf_weight is not None:
            return {"min_child_weight": self.leaf_weight}
        if number < len(PORTFOLIO):
            return dict(PORTFOLIO[number])
        rng = np.random.default_rng((self.seed, number))
        drawn = {
            "max_depth": int(rng.integers(2, 9)),
            "learning_rate": _log_uniform(rng, 0.03, 0.15),
            "min_child_weight": _log_uniform(rng, 0.1, max(20, 3 * (self.leaf_weight or 0))),
            "subsample": float(rng.uniform(0.5, 1)),
            "colsample_bynode": float(rng.uniform(0.3, 1)),
            "reg_lambda": _log_uniform(rng, 0.1, 20),
        }
        return drawn if number < EXPLORING else _near_the_best(number, drawn, made, rng)


def _near_the_best(number: int, drawn: dict[str, Any], made: list[Trial], rng: np.random.Generator) -> dict[str, Any]:
    # Near the best of its kind, shallow and any in turn: half of the numbers stay as they were.
    kind = [trial for trial in made if trial.is_shallow or number % 2]
    best = min(kind or made, key=lambda trial: trial.found.log_loss).params
    kept = {name: best[name] for name in drawn if rng.random() < 0.5}
    depth = int(np.clip(best["max_depth"] + rng.integers(-1, 2), 2, SHALLOW if number % 2 == 0 else 8))
    return {**drawn, **kept, "max_depth": depth}


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choose(made: list[Trial]) -> Trial:
    """The best log loss; a shallow one instead where it costs at most 0.0005 of it and at most 0.001 of AUC."""
    best = min(made, key=_loss)
    shallow = min((trial for trial in made if trial.is_shallow), key=_loss, default=best)
    costs_loss = shallow.found.log_loss - best.found.log_loss
    costs_auc = best.found.auc - shallow.found.auc
    return shallow if costs_loss <= MOST_LOSS and costs_auc <= MOST_AUC else best


def _loss(trial: Trial) -> float:
    return trial.found.log_loss


def _bag(whole: FoldedRows, best: Trial, progress: Progress) -> tuple[int, CrossValidation]:
    rows = len(best.found.margins)
    if rows >= BAG_ROWS:
        return 1, best.found
    progress(0.75, f"trying a bag of {BAG}")
    bagged, alone = whole.bagged(best.params, best.found.rounds, BAG)
    return (BAG, bagged) if bagged.log_loss < alone - BAG_GAIN else (1, best.found)


def _about(made: list[Trial], best: Trial, asked: int, *, sampled: int | None) -> dict[str, Any]:
    return {
        "trials": len(made),
        "trials_asked": asked,
        "truncated": len(made) < asked,
        "chosen": best.number + 1,
        "race_rows": sampled,
        "log_loss_by_trial": [round(trial.found.log_loss, 6) for trial in made],
        "auc_by_trial": [round(trial.found.auc, 6) for trial in made],
        "depth_by_trial": [trial.params["max_depth"] for trial in made],
    }


def described(about: dict[str, Any]) -> Iterator[str]:
    """Sentences on a search that was cut short."""
    if about["truncated"]:
        yield (
            f"The time budget ended the search after {about['trials']} of {about['trials_asked']} trials; "
            f"--trials {about['trials']} makes the same model again."
        )
