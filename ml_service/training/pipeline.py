"""The training pipeline: split a snapshot, check for leaks, fit and calibrate a model, and write its report.

Law: the figures of the report come from test rows only, and no test row influences the sibling that they judge. The
model that goes live is the sibling's configuration, fitted again to all rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from ml_service.data.column_checks import check_columns
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import learn_categories, to_matrix
from ml_service.data.grouping import customer_groups, stable_order
from ml_service.data.leak_traces import find_traces
from ml_service.data.leakage import guard
from ml_service.data.leaks import Leak
from ml_service.data.splitting import Split, split_rows
from ml_service.evaluation import serving_check
from ml_service.evaluation.evaluation import Evaluation
from ml_service.evaluation.report import build_report
from ml_service.evaluation.warnings import report_warnings
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import Progress
from ml_service.model.hyperparameter_search import PORTFOLIO, search_notes
from ml_service.reporting.html import report_page
from ml_service.training.fitting import fit
from ml_service.training.level_spread import level_spread, roll_live
from ml_service.training.outlook import fit_outlook, outlook_warnings
from shared.contracts import api
from shared.contracts.api import TrainReport
from shared.schema.features import Schema


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes
    ----------
    model : ChurnModel
        Fitted to all usable rows, with its sibling and the report.
    report : TrainReport
        Judges the sibling.
    split : Split
        The training rows and the test rows of the sibling.
    """

    model: ChurnModel
    report: TrainReport
    split: Split


@dataclass(frozen=True)
class Effort:
    """Limits of the hyperparameter search.

    Attributes
    ----------
    trials : int, default=4
        Number of configurations to try.
    time_budget_s : float, optional
        No trial begins after this many seconds.
    """

    trials: int = len(PORTFOLIO)
    time_budget_s: float | None = None


def no_progress(_done: float, _stage: str) -> None:
    """Ignore progress."""


def split_snapshot(snapshot: Snapshot, seed: int) -> Split:
    """Split the rows of a snapshot by date, or at random if there is at most one date.

    Parameters
    ----------
    snapshot : Snapshot
    seed : int
        Seed of a random split.

    Returns
    -------
    split : Split

    Raises
    ------
    InsufficientData
        If there are too few leavers or stayers.
    InvalidInput
        If a feature is an id.
    """
    kept = snapshot.usable_rows(seed)
    part = snapshot if len(kept) == len(snapshot.label) else snapshot.take(kept)
    groups = customer_groups(part.row_keys, part.matrix()[0].values)
    split = split_rows(
        part.label,
        part.as_of,
        groups,
        seed,
        named=snapshot.schema.label,
        grace_days=snapshot.grace_days,
        order=stable_order(part.row_keys, groups, seed),
    )
    check_columns(snapshot.schema, snapshot.features)
    return split.among(kept)


def train(
    snapshot: Snapshot,
    *,
    version: str,
    seed: int = 0,
    threads: int = 1,
    effort: Effort = Effort(),
    allow_leaks: Sequence[str] = (),
    without: Sequence[str] = (),
    champion: ChurnModel | None = None,
    decided: ChurnModel | None = None,
    notes: Sequence[str] = (),
    progress: Progress = no_progress,
) -> Trained:
    """Fit a model on the training rows of a snapshot, evaluate it on the test rows, and fit it again to all rows.

    Parameters
    ----------
    snapshot : Snapshot
    version : str
        For example ``"2.4.1"``.
    seed : int, default=0
        Seed of the split, of the search and of the trees.
    threads : int, default=1
        Threads of xgboost.
    effort : Effort, optional
        Limits of the hyperparameter search.
    allow_leaks : sequence of str, optional
        Features that are accepted even if they are leaks; the report lists the leaks among them.
    without : sequence of str, optional
        Features of the snapshot that the model does without.
    champion : ChurnModel, optional
        Sibling of the live model; evaluated on the same test rows for comparison.
    decided : ChurnModel, optional
        Sibling of the last version that went live by a decided comparison, if it is not the champion.
    notes : sequence of str, optional
        Further warnings for the report.
    progress : callable, optional
        Called with the share of the work that is done, in [0, 1], and the name of the stage.

    Returns
    -------
    trained : Trained

    Raises
    ------
    InvalidInput
        If a feature is an id, `allow_leaks` or `without` names something that is not a feature, or no feature is left.
    InsufficientData
        If the training rows or the test rows have too few leavers or stayers.
    LeakFound
        If a feature alone gives the outcome away.
    NoSignal
        If the features rank leavers no better than chance.
    """
    table, snapshot = snapshot, snapshot.without(without)
    progress(0.02, "splitting")
    split = split_snapshot(snapshot, seed)
    progress(0.03, "checking for leaks")
    leaks, categories = _guard(snapshot, split, allow_leaks, seed)
    unfitted = ChurnModel(table.schema, version=version, seed=seed, threads=threads, without=without)
    fitted = fit(unfitted, snapshot, split, trials=effort.trials, time_budget_s=effort.time_budget_s, progress=progress)
    sibling, live = fitted.sibling, fitted.live
    if split.kind == "time":
        live.training[serving_check.KEY] = list(
            serving_check.leaver_values(leaks, [categories.get(leak.name, []) for leak in leaks])
        )
    origins = roll_live(snapshot, split, fitted, lambda done, stage: progress(0.6 + 0.1 * done, stage))
    level = level_spread(snapshot, split, fitted, origins)
    live.outlook, outlook = fit_outlook(snapshot, split, fitted, origins, level)
    # Models are judged at the rate of the test rows, which are rows of the table.
    rivals = [None if rival is None else rival.at_rate(None) for rival in (champion, decided)]
    evaluation = Evaluation(snapshot, split, sibling, live, table.features, rivals[0], rivals[1], level)
    report = build_report(evaluation, progress)
    report.rolling = None if fitted.choice is None else fitted.choice.told
    report.outlook = outlook
    report.allowed_leaks = [api.Leak(feature=leak.name, evidence=leak.evidence) for leak in leaks if leak.refuses]
    report.warnings = [
        *(_about(leak, by_name=leak.name in allow_leaks) for leak in leaks),
        *_vouched(snapshot.schema, {leak.name for leak in leaks if leak.refuses}),
        *report_warnings(evaluation, report),
        *outlook_warnings(outlook),
        *search_notes(live.search),
        *notes,
    ]
    return _finished(live.at_rate(snapshot.natural_rate), report, split)


def _finished(model: ChurnModel, report: TrainReport, split: Split) -> Trained:
    """The model that scores, with its report: figures on test rows, and what its scores depend on."""
    report.natural_rate = model.natural_rate
    report.base_probability, report.model_sha256 = model.base_probability, model.checksum()
    report.parameters["calibration"] = model.calibration.as_dict()
    report.time_of_year = model.time_of_year
    if report.live is not None:
        report.live.threshold = model.threshold
    model.report, model.report_page = report.model_dump(mode="json"), report_page(report)
    return Trained(model, report, split)


def _guard(
    snapshot: Snapshot, split: Split, allowed: Sequence[str], seed: int
) -> tuple[list[Leak], dict[str, list[str]]]:
    """The leaks that are let pass, and the values of the categories that their codes stand for."""
    features = snapshot.features.take(split.training)
    categories = learn_categories(snapshot.schema, features)
    values = to_matrix(snapshot.schema, categories, features).values
    groups = customer_groups(snapshot.row_keys.take(pa.array(split.training)), values)
    label = snapshot.label[split.training]
    days = None if snapshot.as_of is None else snapshot.as_of[split.training]
    traces = find_traces(snapshot.schema, values, label, groups, days, seed=seed)
    leaks = guard(
        snapshot.schema, values, label, groups, allowed=allowed, seed=seed, dated=days is not None, traces=traces
    )
    return leaks, categories


def _vouched(schema: Schema, told: Collection[str]) -> Iterator[str]:
    """A warning that names the vouched features of which nothing else is told."""
    names = [name for name in schema.vouched if name not in told]
    if names:
        yield f"The schema vouches that these are known when customers are scored: {', '.join(names)}."


def _about(leak: Leak, *, by_name: bool) -> str:
    """A warning of the report about a feature that the leak guard let pass."""
    if not leak.refuses:
        return f"{leak.name}: {leak.evidence} Check that its value is known when customers are scored."
    how = "was allowed by name" if by_name else "is vouched for by the schema (known_at_scoring)"
    return f"{leak.name} {how}; evidence of a leak: {leak.evidence}"
