"""Scores to probabilities: beta calibration, three numbers that are stored as JSON.

Law: calibration is monotone (slopes >= 0), so it never changes who ranks before whom.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from ml_service.arrays import Floats, Labels

#: Beyond this a slope only says that the scores separate the classes perfectly.
STEEPEST = 50.0


@dataclass(frozen=True)
class BetaCalibration:
    """logit(p) = a ln(s) - b ln(1 - s) + c, where s = sigmoid(margin); a, b >= 0.

    References
    ----------
    Kull, Silva Filho, Flach: Beta calibration (AISTATS 2017). With a = b = 1, c = 0 it changes nothing.
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        if not (self.a >= 0 and self.b >= 0 and np.isfinite([self.a, self.b, self.c]).all()):
            raise ValueError("a calibration needs finite numbers and slopes a, b >= 0")

    def __call__(self, margin: npt.ArrayLike) -> Floats:
        """Probabilities in [0, 1] of log-odds, shape kept."""
        m = np.asarray(margin, dtype=np.float64)
        # ln s = min(m, 0) - r and -ln(1 - s) = max(m, 0) + r with r = ln(1 + exp(-|m|)): nothing overflows.
        rest = np.log(1 + np.exp(-np.abs(m)))
        z = self.b * np.maximum(m, 0) + self.a * np.minimum(m, 0) + (self.b - self.a) * rest + self.c
        return np.asarray(expit(z))

    def as_dict(self) -> dict[str, float]:
        """The three numbers, for JSON."""
        return asdict(self)


def fit_beta(margin: Floats, label: Labels) -> BetaCalibration:
    """Fit by maximum likelihood on scores of rows that the scoring model had not seen.

    Parameters
    ----------
    margin
        Out-of-fold log-odds, shape (rows,).
    label
        0 or 1, shape (rows,); both must occur.
    """
    x = np.column_stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin), np.ones_like(margin)])
    y = label.astype(np.float64)

    def loss(w: Floats) -> tuple[float, Floats]:
        z = x @ w
        return float(np.mean(np.logaddexp(0, z) - y * z)), np.asarray(x.T @ (expit(z) - y) / len(y))

    bounds = [(0.0, STEEPEST), (0.0, STEEPEST), (-STEEPEST, STEEPEST)]
    found = minimize(
        loss,
        np.array([1.0, 1.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    )
    return BetaCalibration(*(float(w) for w in found.x))


def shift_prior(probability: npt.ArrayLike, *, cohort: float, natural: float) -> Floats:
    """Move probabilities learned on a resampled cohort back to the natural prevalence.

    logit(p_natural) = logit(p) + logit(pi_natural) - logit(pi_cohort): docs/definitions.md#prior-shift.

    Parameters
    ----------
    cohort, natural
        Prevalence of the rows trained on, and of the population; both strictly between 0 and 1.
    """
    if not (0 < cohort < 1 and 0 < natural < 1):
        raise ValueError("a prevalence lies strictly between 0 and 1")
    p = np.asarray(probability, dtype=np.float64)
    return np.asarray(expit(logit(p) + logit(natural) - logit(cohort)))
