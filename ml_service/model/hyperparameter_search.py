"""Hyperparameter search: a fixed list of trials for each seed, all cross-validated on the same folds.

Law: trial k is the same however many follow it, so that a search that was cut short can be repeated by its number of
trials; shallow trees are preferred unless deeper ones are clearly better.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_service.data.splitting import fold_rows, stratified_group_folds
from ml_service.model.cross_validation import SAMPLE_FOLDS, Progress, SearchData, SearchResult
from ml_service.model.trees import boosting
from ml_service.model.trees.boosting import CrossValidation, FoldedRows

#: Trees up to this depth are compiled to tables; a deeper one must gain more than this over every shallow one.
SHALLOW, MAX_LOSS_COST, MAX_AUC_COST = 3, 0.0005, 0.001
#: Boosters in a bag, and the log loss that a bag must gain over its own members. It is not compared with the chosen
#: trial, whose log loss is the lowest of many on these folds and so too low by chance (by 0.0018 on the Iranian table).
BAG, BAG_GAIN = 5, 0.0003
#: Bags cost five times the trees, so only searches beyond the portfolio try them, on small tables.
BAG_ROWS = boosting.SMALL_TABLE
#: Trials before this one are drawn at random, later ones near the best so far.
RANDOM_TRIALS = 16

PORTFOLIO: tuple[dict[str, float], ...] = (
    {},
    {"max_depth": 8, "min_child_weight": 0.2, "colsample_bynode": 0.5, "reg_lambda": 5.0},
    {"max_depth": 4, "min_child_weight": 0.2},
    {"max_depth": 2, "colsample_bynode": 0.6, "learning_rate": 0.1},
)
#: Where a category has many values, this trial of the portfolio is replaced by a large minimum leaf weight.
WIDE_CATEGORY_TRIAL = 2


@dataclass(frozen=True)
class Trial:
    """One configuration: its changes to the base configuration, all its parameters and its cross-validation."""

    number: int
    changes: dict[str, Any]
    params: dict[str, Any]
    validation: CrossValidation

    @property
    def is_shallow(self) -> bool:
        """Whether the trees can be compiled to tables."""
        return bool(self.params["max_depth"] <= SHALLOW)


def search(
    rows: SearchData, *, trials: int, time_budget_s: float | None = None, seed: int, threads: int, progress: Progress
) -> SearchResult:
    """Choose a configuration and cross-validate it on all rows.

    Parameters
    ----------
    rows : SearchData
    trials : int
        Number of configurations to try; the first four are the portfolio.
    time_budget_s : float, optional
        No trial begins after this many seconds; at least one runs.
    seed, threads : int
        The result depends on the seed only.
    progress : callable
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    result : SearchResult

    Raises
    ------
    InsufficientData
        If the rows can't be split into folds with leavers and stayers in each.
    """
    folds = fold_rows(rows.label, rows.groups, seed)
    sample = rows.sampled(seed)
    threads = boosting.worthwhile_threads(len(rows.label), threads)
    all_folds = rows.folded(folds, seed, threads) if sample is rows else None
    # No tree of a search on a sample is kept; hidden cells would tip close decisions towards trees too deep for tables.
    sample_folds = all_folds or sample.folded(
        stratified_group_folds(sample.groups, sample.label, SAMPLE_FOLDS, seed), None, threads
    )
    proposals = Proposals(seed, sample.min_child_weight())
    base = _base_parameters(rows, len(sample.label), seed)
    finished = _run_trials(sample_folds, base, proposals, trials, time_budget_s, lambda d, s: progress(0.7 * d, s))
    best = choose(finished)
    summary = _summary(finished, best, trials, sampled=None if sample is rows else len(sample.label))
    if all_folds is not None:
        # Counts the finished trials, not those requested, so that their number repeats a search that was cut short.
        bag, final = _bag(all_folds, best, progress) if len(finished) > len(PORTFOLIO) else (1, best.validation)
        return SearchResult(best.params, bag, final, folds, {**summary, "bag": bag})
    all_folds = rows.folded(folds, seed, threads)
    params = {**_base_parameters(rows, len(rows.label), seed), **best.changes}
    stage = "cross-validating all rows"
    final = all_folds.grow(params, on_round=lambda n: progress(0.7 + 0.3 * n / (n + 200), f"{stage}, round {n}"))
    return SearchResult(params, 1, final, folds, {**summary, "bag": 1})


def _base_parameters(rows: SearchData, count: int, seed: int) -> dict[str, Any]:
    """The base configuration for a sample of this size."""
    return boosting.parameters(rows.schema, rows=count, leavers=int(rows.label.sum()), seed=seed)


def _run_trials(
    sample_folds: FoldedRows,
    base: dict[str, Any],
    proposals: Proposals,
    trials: int,
    time_budget_s: float | None,
    progress: Progress,
) -> list[Trial]:
    finished: list[Trial] = []
    started = time.monotonic()
    for number in range(trials):
        if finished and time_budget_s is not None and time.monotonic() - started > time_budget_s:
            break
        changes = proposals(number, finished)
        params = {**base, **changes}
        to_beat = min((trial.validation.log_loss for trial in finished), default=np.inf)
        validation = sample_folds.grow(params, on_round=_counted(number, trials, progress), to_beat=to_beat)
        finished.append(Trial(number, changes, params, validation))
    return finished


def _counted(number: int, trials: int, progress: Progress) -> Callable[[int], None]:
    stage = f"cross-validating configuration {number + 1} of {trials}"
    return lambda n: progress((number + n / (n + 200)) / trials, f"{stage}, round {n}")


@dataclass(frozen=True)
class Proposals:
    """The list of trials: first the portfolio, then random ones, then random ones near the best so far."""

    seed: int
    min_child_weight: float | None = None  # `SearchData.min_child_weight` of the rows

    def __call__(self, number: int, finished: list[Trial]) -> dict[str, Any]:
        """The parameters that trial `number` changes in the base configuration."""
        if number == WIDE_CATEGORY_TRIAL and self.min_child_weight is not None:
            return {"min_child_weight": self.min_child_weight}
        if number < len(PORTFOLIO):
            return dict(PORTFOLIO[number])
        rng = np.random.default_rng((self.seed, number))
        drawn = {
            "max_depth": int(rng.integers(2, 9)),
            "learning_rate": _log_uniform(rng, 0.03, 0.15),
            "min_child_weight": _log_uniform(rng, 0.1, max(20, 3 * (self.min_child_weight or 0))),
            "subsample": float(rng.uniform(0.5, 1)),
            "colsample_bynode": float(rng.uniform(0.3, 1)),
            "reg_lambda": _log_uniform(rng, 0.1, 20),
        }
        return drawn if number < RANDOM_TRIALS else _near_best_trial(number, drawn, finished, rng)


def _near_best_trial(
    number: int, drawn: dict[str, Any], finished: list[Trial], rng: np.random.Generator
) -> dict[str, Any]:
    # Even trials start from the best shallow one, odd trials from the best of all; half of its parameters are kept.
    kind = [trial for trial in finished if trial.is_shallow or number % 2]
    best = min(kind or finished, key=lambda trial: trial.validation.log_loss).params
    kept = {name: best[name] for name in drawn if rng.random() < 0.5}
    depth = int(np.clip(best["max_depth"] + rng.integers(-1, 2), 2, SHALLOW if number % 2 == 0 else 8))
    return {**drawn, **kept, "max_depth": depth}


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choose(finished: list[Trial]) -> Trial:
    """Choose the trial with the lowest log loss, or a shallow one that is nearly as good.

    Parameters
    ----------
    finished : list of Trial

    Returns
    -------
    trial : Trial
        The best shallow trial if it costs at most 0.0005 log loss and at most 0.001 AUC; else the best one.
    """
    best = min(finished, key=lambda trial: trial.validation.log_loss)
    shallow = min(
        (trial for trial in finished if trial.is_shallow), key=lambda trial: trial.validation.log_loss, default=best
    )
    costs_loss = shallow.validation.log_loss - best.validation.log_loss
    costs_auc = best.validation.auc - shallow.validation.auc
    return shallow if costs_loss <= MAX_LOSS_COST and costs_auc <= MAX_AUC_COST else best


def _bag(all_folds: FoldedRows, best: Trial, progress: Progress) -> tuple[int, CrossValidation]:
    rows = len(best.validation.margins)
    if rows >= BAG_ROWS:
        return 1, best.validation
    progress(0.75, f"trying a bag of {BAG}")
    bagged, member_loss = all_folds.bagged(best.params, best.validation.rounds, BAG)
    return (BAG, bagged) if bagged.log_loss < member_loss - BAG_GAIN else (1, best.validation)


def _summary(finished: list[Trial], best: Trial, requested: int, *, sampled: int | None) -> dict[str, Any]:
    return {
        "trials": len(finished),
        "trials_asked": requested,
        "truncated": len(finished) < requested,
        "chosen": best.number + 1,
        "changes": best.changes,
        "race_rows": sampled,
        "log_loss_by_trial": [round(trial.validation.log_loss, 6) for trial in finished],
        "auc_by_trial": [round(trial.validation.auc, 6) for trial in finished],
        "depth_by_trial": [trial.params["max_depth"] for trial in finished],
    }


def search_notes(summary: dict[str, Any]) -> Iterator[str]:
    """A sentence for the report if the time budget ended the search."""
    if summary["truncated"]:
        yield (
            f"The time budget ended the search after {summary['trials']} of {summary['trials_asked']} trials; "
            f"--trials {summary['trials']} reproduces the model."
        )
