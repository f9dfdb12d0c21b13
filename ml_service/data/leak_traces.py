"""Traces of a leak in features that do not give the outcome away alone: what changes when somebody leaves.

Law: a trace is a caution, because honest features can leave one too; only a value that next to no stayer has refuses
the training of a table without dates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from ml_service.arrays import Dates, Flags, Floats, Folds, Indices, Ints, Labels
from ml_service.data.leakage import (
    HIGHEST_AUC,
    MIN_LEAVERS,
    RARE_ROWS,
    levels_of,
    sample_rows,
    shares,
    single_feature_auc,
)
from ml_service.data.leaks import Leak, LeaverValues
from ml_service.data.splitting import FOLDS, stratified_group_folds
from shared.schema.features import Schema
from shared.wilson import Z95

#: Values that leavers have this many times as often as stayers, and this share of the leavers, call for a caution: the
#: first limit is for the largest or smallest values of a number, the second for single values, which are often events.
TAIL_RATIO, VALUE_RATIO, MASS_SHARE = 10.0, 20.0, 0.2
#: So few values of a category are too few to find one by chance.
FEW_VALUES = 10
#: Values of this share of the leavers, whose owners left with at least this probability, are written by the outcome.
CERTAIN_SHARE, CERTAIN = 0.3, 0.9
#: An earlier value of the same customer is one that is so many days older.
EARLIER_DAYS = (21, 45)
#: A feature is tested against its earlier values if it tells so much alone, and if so many leavers have earlier ones.
TELLING_AUC, MIN_EARLIER = 0.75, 50
#: A feature falls off if its earlier values keep less than this share of what it tells (of its AUC above 1/2).
KEPT = 0.3
#: Numbers follow from others if a product of their powers explains this share of the variance of their logarithm.
FOLLOWS = 0.98
MAX_ROWS = 20_000


@dataclass(frozen=True)
class Rows:
    """Training rows, sampled.

    Attributes
    ----------
    values : ndarray of float64, shape (n_rows, n_features)
    label : ndarray of int8, shape (n_rows,)
    groups : ndarray of int64, shape (n_rows,)
    folds : ndarray of int8, shape (n_rows,)
    prevalence : float
        Share of leavers before sampling.
    """

    values: Floats
    label: Labels
    groups: Ints
    folds: Folds
    prevalence: float


def find_traces(
    schema: Schema, values: Floats, label: Labels, groups: Ints, days: Dates | None, *, seed: int
) -> list[Leak]:
    """Find traces of the outcome in the features.

    Parameters
    ----------
    schema : Schema
    values : ndarray of float64, shape (n_rows, n_features)
        Matrix of the training rows.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer.
    groups : ndarray of int64, shape (n_rows,)
        Rows of one group are of one customer.
    days : ndarray of datetime64[D], shape (n_rows,), or None
        Date of each row.
    seed : int

    Returns
    -------
    traces : list of Leak
        At most one per feature, in the order of the schema.
    """
    rows = _rows(values, label, groups, sample_rows(label, seed, MAX_ROWS), seed)
    found: dict[str, Leak] = {}
    for position, name in enumerate(schema.feature_names):
        trace = _by_mass(name, rows, position, category=name in schema.categories, dated=days is not None)
        if trace is not None:
            found[name] = trace
    for trace in (*_by_earlier_values(schema, values, label, groups, days, seed), *_by_relation(schema, rows, days)):
        found.setdefault(trace.name, trace)
    return [found[name] for name in schema.feature_names if name in found]


def _rows(values: Floats, label: Labels, groups: Ints, at: Ints, seed: int) -> Rows:
    folds = stratified_group_folds(groups[at], label[at], FOLDS, seed)
    return Rows(values[at], label[at], groups[at], folds, float(label.mean()))


# --- values that leavers have, and stayers do not -------------------------------------------------------------------


def _by_mass(name: str, rows: Rows, position: int, *, category: bool, dated: bool) -> Leak | None:
    column, label = rows.values[:, position], rows.label
    known = np.unique(column[~np.isnan(column)])
    if category or len(known) <= 2:
        # Many values are judged on other rows than those that they are chosen on.
        learned, limit = (rows.folds % 2 == 1) | (len(known) <= FEW_VALUES), VALUE_RATIO
        judged = ~learned | learned.all()
        codes = column if category else np.where(np.isnan(column), np.nan, np.searchsorted(known, column))
        chosen = _levels_of_leavers(codes, label, learned)
        has = np.isin(codes, chosen)
        what = f"one of {len(chosen)} values" if len(chosen) > 1 else "one value"
        region = _codes_region(chosen, known, category=category)
        has, label = has[judged], label[judged]
    else:
        (has, what, region), limit = _tail_of_leavers(column, label), TAIL_RATIO
    if not has.any():
        return None
    ratio = _least_ratio(*_counts(has, label))
    leavers, stayers = float(has[label == 1].mean()), float(has[label == 0].mean())
    if ratio <= limit or leavers < MASS_SHARE:
        return None
    odds = ratio * rows.prevalence
    certain = leavers >= CERTAIN_SHARE and odds / (odds + 1 - rows.prevalence) >= CERTAIN
    evidence = f"{what} for {shares(leavers, stayers)} (at least {limit:g} times as often)."
    share = rows.prevalence * leavers + (1 - rows.prevalence) * stayers
    values = LeaverValues(share=share, of_stayers=stayers, **region)
    return Leak(name, evidence, refuses=certain and not dated, values=values)


def _codes_region(chosen: Indices, known: Floats, *, category: bool) -> dict[str, Any]:
    if category:
        return {"codes": tuple(chosen.tolist())}
    # A number of two values: one of them is chosen, or none.
    return {} if len(chosen) != 1 else {"at_most" if chosen[0] == 0 else "at_least": float(known[chosen[0]])}


def _counts(has: Flags, label: Labels) -> tuple[int, int, int, int]:
    return int(has[label == 1].sum()), int((label == 1).sum()), int(has[label == 0].sum()), int((label == 0).sum())


def _least_ratio(a: int, n: int, c: int, m: int) -> float:
    """The ratio of a of n to c of m at the ends of both 95 % intervals (Clopper, Pearson, 1934)."""
    return float(beta.ppf(0.025, a, n - a + 1) / beta.ppf(0.975, c + 1, m - c)) if a and c < m else 0.0


def _ratio_bounds(a: Ints, n: int, c: Ints, m: int) -> Floats:
    """Lower bounds of ratios (Katz et al., 1978), fast; counts gain half."""
    error = np.sqrt(1 / (a + 0.5) - 1 / (n + 0.5) + 1 / (c + 0.5) - 1 / (m + 0.5))
    bounds: Floats = np.exp(np.log((a + 0.5) / (n + 0.5) * (m + 0.5) / (c + 0.5)) - Z95 * error)
    return bounds


def _tail_of_leavers(column: Floats, label: Labels) -> tuple[Flags, str, dict[str, float]]:
    """The rows with the largest, or the smallest, values that set leavers apart best; none if there are none."""
    best, has, what, region = 0.0, np.zeros(len(column), dtype=bool), "", {}
    known = np.flatnonzero(~np.isnan(column))
    n, m = int((label == 1).sum()), int((label == 0).sum())
    for sign, side in ((-1, "at_least"), (1, "at_most")):
        order = known[np.argsort(sign * column[known], kind="stable")]
        ends = np.flatnonzero(np.append(np.diff(column[order]) != 0, [True])) if len(order) else np.zeros(0, np.intp)
        left = np.cumsum(label[order] == 1)[ends]
        stayed = np.cumsum(label[order] == 0)[ends]
        enough = (left >= max(MIN_LEAVERS, MASS_SHARE * n)) & (stayed < m / 2)
        if not enough.any():
            continue
        bounds = np.where(enough, _ratio_bounds(left, n, stayed, m), 0.0)
        at = int(np.argmax(bounds))
        if bounds[at] > best:
            best, has = float(bounds[at]), np.isin(np.arange(len(column)), order[: ends[at] + 1])
            region = {side: float(column[order[ends[at]]])}
            what = f"{side.replace('_', ' ')} {region[side]:g}"
    return has, what, region


def _levels_of_leavers(column: Floats, label: Labels, learned: Flags) -> Indices:
    """The codes that leavers have much more often, among the rows `learned`."""
    levels = levels_of(column)
    left = np.bincount(levels[learned], weights=label[learned], minlength=levels.max() + 1)
    rows = np.bincount(levels[learned], minlength=levels.max() + 1)
    n, m = left.sum(), rows.sum() - left.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (left / n) / ((rows - left + 0.5) / m)
    chosen = (rows >= RARE_ROWS) & (ratio > VALUE_RATIO)
    chosen[0] = False  # a missing value: `leakage` judges it
    return np.flatnonzero(chosen) - 1


# --- values that tell nothing a month before ------------------------------------------------------------------------


def _by_earlier_values(
    schema: Schema, values: Floats, label: Labels, groups: Ints, days: Dates | None, seed: int
) -> Iterator[Leak]:
    if days is None:
        return
    now, before = earlier_rows(groups, days)
    if int(label[now].sum()) < MIN_EARLIER:
        return
    chosen = sample_rows(label[now], seed, MAX_ROWS)
    now, before = now[chosen], before[chosen]
    folds = stratified_group_folds(groups[now], label[now], FOLDS, seed)
    for position, (name, feature) in enumerate(schema.features.items()):
        at_the_time, earlier = (
            single_feature_auc(values[at, position], label[now], folds, category=feature.kind == "category")
            for at in (now, before)
        )
        if at_the_time is None or earlier is None or at_the_time < TELLING_AUC:
            continue
        if earlier - 0.5 < KEPT * (at_the_time - 0.5):
            low, high = EARLIER_DAYS
            yield Leak(
                name,
                f"alone, it reaches an AUC of {at_the_time:.3f} out of fold, but its values {low} to {high} days "
                f"earlier only {earlier:.3f}: it may be written when somebody leaves.",
                refuses=False,
            )


def earlier_rows(groups: Ints, days: Dates) -> tuple[Indices, Indices]:
    """Find rows of which the same customer has an earlier one, 21 to 45 days before.

    Parameters
    ----------
    groups : ndarray of int64, shape (n_rows,)
    days : ndarray of datetime64[D], shape (n_rows,)

    Returns
    -------
    rows, earlier : ndarray of intp, shape (n_pairs,) each
    """
    number = days.astype("datetime64[D]").astype(np.int64)
    number -= number.min()
    _, customer = np.unique(groups, return_inverse=True)
    # One key per customer and day: customers lie further apart than any two days of one.
    key = customer.astype(np.int64) * (int(number.max()) + 2 * EARLIER_DAYS[1]) + number
    order = np.argsort(key, kind="stable")
    found = np.searchsorted(key[order], key - EARLIER_DAYS[1])
    earlier = order[np.minimum(found, len(order) - 1)]
    rows = np.flatnonzero((key[earlier] >= key - EARLIER_DAYS[1]) & (key[earlier] <= key - EARLIER_DAYS[0]))
    return rows, earlier[rows]


# --- numbers that follow from others, but not for leavers -----------------------------------------------------------


def _by_relation(schema: Schema, rows: Rows, days: Dates | None) -> Iterator[Leak]:
    """The number that follows best from others among stayers, if leavers break the rule."""
    numbers = [position for position, name in enumerate(schema.feature_names) if name in schema.numbers]
    with np.errstate(invalid="ignore"):
        numbers = [p for p in numbers if np.mean(rows.values[:, p] > 0) > 0.9]
    if len(numbers) < 2:
        return
    usable: Flags = np.all(rows.values[:, numbers] > 0, axis=1)
    stays = usable & (rows.label == 0)
    if int((usable & (rows.label == 1)).sum()) < MIN_LEAVERS or int(stays.sum()) < 10 * len(numbers):
        return
    logs = np.log(np.where(usable[:, None], rows.values[:, numbers], 1.0))
    fits = [_follows(logs, stays, k) for k in range(len(numbers))]
    # Where each follows from the others, the one that varies most is the sum of what the others say.
    best = max(range(len(numbers)), key=lambda k: (round(fits[k][0], 3), float(np.var(logs[stays, k]))))
    explained, coefficients = fits[best]
    if explained < FOLLOWS:
        return
    rest = np.where(usable, logs[:, best] - _with_one(np.delete(logs, best, axis=1)) @ coefficients, np.nan)
    auc = single_feature_auc(rest, rows.label, rows.folds, category=False)
    if auc is None or auc < TELLING_AUC:
        return
    others = [schema.feature_names[p] for p in np.delete(numbers, best)]
    named = [name for name, power in zip(others, coefficients[1:], strict=True) if abs(power) > 0.1]
    evidence = (
        f"it follows from {', '.join(named)} for those who stay; by what it differs from that, it reaches an AUC of "
        f"{auc:.3f} out of fold: it may stop before somebody leaves."
    )
    refuses = days is None and auc > HIGHEST_AUC
    yield Leak(schema.feature_names[numbers[best]], evidence, refuses=refuses, beside=tuple(named))


def _follows(logs: Floats, stays: Flags, k: int) -> tuple[float, Floats]:
    """The share of variance that the other columns explain among stayers, and the coefficients."""
    others, target = _with_one(np.delete(logs, k, axis=1)[stays]), logs[stays, k]
    spread = float(np.var(target))
    coefficients: Floats = np.linalg.lstsq(others, target, rcond=None)[0]
    return (1 - float(np.var(target - others @ coefficients)) / spread if spread > 0 else 0.0), coefficients


def _with_one(columns: Floats) -> Floats:
    return np.column_stack([np.ones(len(columns)), columns])
