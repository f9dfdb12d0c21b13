"""Figures of predictions beside their outcomes, from bins of log-odds, each with its 95 % interval.

Law: an interval holds what chance does to the outcomes of these customers, given their scores; no library of numbers
is needed, so that the web process can add up any bins and tell their figures. See docs/definitions.md#live-figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import exp, log, pi, sqrt

from database.monitoring.outcome_bins import Bin
from shared.wilson import Z95, wilson

#: Width of a bin in log-odds: two scores in it count as tied.
BIN_WIDTH = 0.02
#: Probabilities are kept away from 0 and 1 by this.
EPSILON = 1e-9
#: Bins of equal mass of the ECE, and the share of the lift.
ECE_BINS, LIFT_SHARE = 15, 0.1
#: With fewer leavers, or fewer who stayed, figures that compare the two have no interval.
MIN_OF_EACH = 10
_ROUNDS = 50

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; None where it can't be computed."""

    value: float | None
    interval: Interval | None = None


@dataclass(frozen=True)
class Figures:
    """The figures of a group of predictions whose outcomes are known.

    Attributes
    ----------
    expected, variance
        Sums of p and of p (1 - p).
    observed_expected
        Leavers / expected leavers.
    slope
        Slope of a logistic regression of the outcome on logit(p).
    ece, ece_by_chance
        Calibration error, and what it would be on average if every p were true.
    listed
        Predictions that reach the decision threshold.
    """

    n: int
    leavers: int
    expected: float
    variance: float
    prevalence: Estimate
    observed_expected: Estimate
    auc: Estimate
    log_loss: Estimate
    brier: Estimate
    slope: Estimate
    ece: float | None
    ece_by_chance: float | None
    lift_at_10_percent: Estimate
    listed: int
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class _Tied:
    """Predictions that count as tied: how many, who left, their mean p and its log-odds, how many are listed.

    `noise` is the variance that chance gives each outcome, m (1 - m) with m the recalibrated p.
    """

    n: int
    leavers: int
    p: float
    x: float
    listed: int
    listed_leavers: int
    noise: float = 0.0

    @property
    def stayers(self) -> int:
        return self.n - self.leavers


def figures(bins: Iterable[Bin]) -> Figures:
    """Compute the figures of predictions in bins, which may be of several runs."""
    tied = list(_tied(bins))
    n, leavers = sum(each.n for each in tied), sum(each.leavers for each in tied)
    expected = sum(each.n * each.p for each in tied)
    fitted = _recalibrated(tied, leavers, n)
    tied = [_with_noise(each, fitted) for each in tied]
    noise = sum(each.n * each.noise for each in tied)
    prevalence = _share(leavers, n, noise)
    ratio = leavers / expected if expected else None
    scale = n / expected if expected else None
    listed, caught = sum(each.listed for each in tied), sum(each.listed_leavers for each in tied)
    many = min(leavers, n - leavers) >= MIN_OF_EACH
    ece, by_chance = _ece(tied, n)
    return Figures(
        n=n,
        leavers=leavers,
        expected=expected,
        variance=sum(each.n * each.p * (1 - each.p) for each in tied),
        prevalence=prevalence,
        observed_expected=Estimate(ratio, _scaled(prevalence.interval, scale)),
        auc=_auc(tied, leavers, n, many),
        log_loss=_mean(tied, n, _log_loss, lambda each: -each.x),
        brier=_mean(tied, n, _brier, lambda each: 1 - 2 * each.p),
        slope=_slope(tied, fitted) if many else Estimate(None),
        ece=ece,
        ece_by_chance=by_chance,
        lift_at_10_percent=_lift(tied, leavers, n, many),
        listed=listed,
        precision=_share(caught, listed, sum(each.listed * each.noise for each in tied)),
        recall=_recall(tied, caught, leavers),
    )


def _tied(bins: Iterable[Bin]) -> Iterator[_Tied]:
    for _, group in groupby(sorted(bins), key=lambda each: each.bin):
        here = list(group)
        n = sum(each.customers for each in here)
        p = min(max(sum(each.probability_sum for each in here) / n, EPSILON), 1 - EPSILON)
        listed = [each for each in here if each.listed]
        yield _Tied(
            n,
            sum(each.leavers for each in here),
            p,
            log(p / (1 - p)),
            sum(each.customers for each in listed),
            sum(each.leavers for each in listed),
        )


def _with_noise(each: _Tied, fitted: tuple[float, float] | None) -> _Tied:
    a, b = fitted or (0.0, 1.0)
    m = _expit(a + b * each.x)
    return _Tied(each.n, each.leavers, each.p, each.x, each.listed, each.listed_leavers, m * (1 - m))


def _expit(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


def _recalibrated(tied: Sequence[_Tied], leavers: int, n: int) -> tuple[float, float] | None:
    """Fit leaving to the log-odds: (intercept, slope); None where too few left or stayed, or the fit has no end."""
    if min(leavers, n - leavers) < MIN_OF_EACH or len(tied) < 2:
        return None
    a, b = 0.0, 1.0
    for _ in range(_ROUNDS):
        m = [_expit(a + b * each.x) for each in tied]
        off = [each.leavers - each.n * mean for each, mean in zip(tied, m, strict=True)]
        g0, g1 = sum(off), sum(o * each.x for o, each in zip(off, tied, strict=True))
        h00, h01, h11 = _information(tied, m)
        det = h00 * h11 - h01 * h01
        if det <= 1e-12 * h00 * h11:
            return None
        da, db = (h11 * g0 - h01 * g1) / det, (h00 * g1 - h01 * g0) / det
        a, b = a + da, b + db
        if abs(da) + abs(db) < 1e-9:
            return a, b
        if abs(a) > 50 or abs(b) > 50:
            return None
    return None


def _information(tied: Sequence[_Tied], m: Sequence[float]) -> tuple[float, float, float]:
    weights = [each.n * mean * (1 - mean) for each, mean in zip(tied, m, strict=True)]
    return (
        sum(weights),
        sum(w * each.x for w, each in zip(weights, tied, strict=True)),
        sum(w * each.x**2 for w, each in zip(weights, tied, strict=True)),
    )


def _slope(tied: Sequence[_Tied], fitted: tuple[float, float] | None) -> Estimate:
    if fitted is None:
        return Estimate(None)
    a, b = fitted
    h00, h01, h11 = _information(tied, [_expit(a + b * each.x) for each in tied])
    half = Z95 * sqrt(h00 / (h00 * h11 - h01 * h01))
    return Estimate(b, (b - half, b + half))


def _share(count: float, of: float, noise: float) -> Estimate:
    """A share, with Wilson's interval at the number of rows that would have the variance `noise` of the count."""
    if of <= 0:
        return Estimate(None)
    share = count / of
    chance = share * (1 - share) * of
    effective = of * (chance / noise if chance > 0 and noise > 0 else 1.0)
    return Estimate(share, _at(share, effective))


def _at(share: float, n: float) -> Interval:
    return wilson(share * n, n)


def _scaled(interval: Interval | None, by: float | None) -> Interval | None:
    return None if interval is None or by is None else (interval[0] * by, interval[1] * by)


def _mean(tied: Sequence[_Tied], n: int, loss: Callable[[_Tied], float], weight: Callable[[_Tied], float]) -> Estimate:
    """A mean loss; `weight` is what one more leaver adds to the sum."""
    if not n:
        return Estimate(None)
    value = sum(loss(each) for each in tied) / n
    half = Z95 * sqrt(sum(each.n * each.noise * weight(each) ** 2 for each in tied)) / n
    return Estimate(value, (max(0.0, value - half), value + half))


def _log_loss(each: _Tied) -> float:
    return -(each.leavers * log(each.p) + each.stayers * log(1 - each.p))


def _brier(each: _Tied) -> float:
    return each.leavers * (1 - each.p) ** 2 + each.stayers * each.p**2


def _auc(tied: Sequence[_Tied], leavers: int, n: int, many: bool) -> Estimate:
    stayers = n - leavers
    if not leavers or not stayers:
        return Estimate(None)
    below, above, pairs, spread = 0, leavers, 0.0, []
    for each in tied:
        above -= each.leavers
        here_below, here_above = below + each.stayers / 2, above + each.leavers / 2
        pairs += each.leavers * here_below
        spread.append((here_below - here_above) / (leavers * stayers))
        below += each.stayers
    auc = pairs / (leavers * stayers)
    tilt = auc * (1 / leavers - 1 / stayers)
    noise = sum(each.n * each.noise * (s - tilt) ** 2 for each, s in zip(tied, spread, strict=True))
    return Estimate(auc, _at(auc, auc * (1 - auc) / noise) if many and noise > 0 and 0 < auc < 1 else None)


def _lift(tied: Sequence[_Tied], leavers: int, n: int, many: bool) -> Estimate:
    if not leavers:
        return Estimate(None)
    left, weights = LIFT_SHARE * n, []
    for each in reversed(tied):
        weights.append(min(1.0, max(0.0, left / each.n)))
        left -= each.n
    weights.reverse()
    caught = sum(w * each.leavers for w, each in zip(weights, tied, strict=True)) / leavers
    noise = sum(each.n * each.noise * (w - caught) ** 2 for w, each in zip(weights, tied, strict=True)) / leavers**2
    interval = _at(caught, caught * (1 - caught) / noise) if many and noise > 0 and 0 < caught < 1 else None
    return Estimate(caught / LIFT_SHARE, _scaled(interval, 1 / LIFT_SHARE))


def _recall(tied: Sequence[_Tied], caught: int, leavers: int) -> Estimate:
    if not leavers:
        return Estimate(None)
    recall = caught / leavers
    noise = sum(each.noise * (each.listed * (1 - recall) ** 2 + (each.n - each.listed) * recall**2) for each in tied)
    rows = recall * (1 - recall) * leavers**2 / noise if noise > 0 and 0 < recall < 1 else leavers
    return Estimate(recall, _at(recall, rows) if leavers >= MIN_OF_EACH else None)


def _ece(tied: Sequence[_Tied], n: int) -> tuple[float | None, float | None]:
    """Return the calibration error over bins of about equal mass, and its mean if every p were true."""
    if not n:
        return None, None
    sums: dict[int, list[float]] = {}
    before = 0
    for each in tied:
        here = sums.setdefault(int(ECE_BINS * (before + each.n / 2) / n), [0.0, 0.0])
        here[0] += each.leavers - each.n * each.p
        here[1] += each.n * each.p * (1 - each.p)
        before += each.n
    found = sum(abs(off) for off, _ in sums.values()) / n
    return found, sum(sqrt(2 * variance / pi) for _, variance in sums.values()) / n
