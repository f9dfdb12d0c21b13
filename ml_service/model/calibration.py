"""Beta calibration: from a model's margins to probabilities.

Law: calibration is monotone (slopes >= 0), so it never changes the ranking.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from ml_service.arrays import Floats, Labels

#: Bound of the coefficients; a larger slope would only mean that the margins separate the classes perfectly.
MAX_COEFFICIENT = 50.0


@dataclass(frozen=True)
class BetaCalibration:
    """Map margins to probabilities by logit(p) = a ln(s) - b ln(1 - s) + c, where s = sigmoid(margin).

    The default is the identity: p = sigmoid(margin).

    Parameters
    ----------
    a : float, default=1.0
        Slope of ln(s), at least 0.
    b : float, default=1.0
        Slope of -ln(1 - s), at least 0.
    c : float, default=0.0
        Intercept.

    Raises
    ------
    ValueError
        If a slope is negative or a coefficient is not finite.

    References
    ----------
    Kull, Silva Filho, Flach, "Beta calibration: a well-founded and easily implemented improvement on logistic
    calibration for binary classifiers", AISTATS 2017.

    Examples
    --------
    >>> BetaCalibration()([0.0])
    array([0.5])
    >>> BetaCalibration(a=2.0, b=2.0)([-1.0, 1.0]).round(3)
    array([0.119, 0.881])
    """

    a: float = 1.0
    b: float = 1.0
    c: float = 0.0

    def __post_init__(self) -> None:
        if not (self.a >= 0 and self.b >= 0 and np.isfinite([self.a, self.b, self.c]).all()):
            raise ValueError("a calibration needs finite coefficients and slopes a, b >= 0")

    def __call__(self, margin: npt.ArrayLike, level: npt.ArrayLike = 0.0) -> Floats:
        """Calibrate margins.

        Parameters
        ----------
        margin : array-like of float
            Log-odds, of any shape.
        level : array-like of float, default=0.0
            Added to the log-odds of the result; of the same shape, or one number.

        Returns
        -------
        probability : ndarray of float64
            In [0, 1], of the same shape.
        """
        m = np.asarray(margin, dtype=np.float64)
        # ln s = min(m, 0) - r and -ln(1 - s) = max(m, 0) + r with r = ln(1 + exp(-|m|)): nothing overflows.
        rest = np.log(1 + np.exp(-np.abs(m)))
        z = self.b * np.maximum(m, 0) + self.a * np.minimum(m, 0) + (self.b - self.a) * rest + self.c + level
        return np.asarray(expit(z))

    def slope(self, margin: float) -> float:
        """Compute the derivative of the probability with respect to the margin.

        Parameters
        ----------
        margin : float
            Log-odds.

        Returns
        -------
        slope : float
            At least 0.
        """
        s, p = float(expit(margin)), float(self(margin))
        return p * (1 - p) * (self.a * (1 - s) + self.b * s)

    def shifted(self, *, cohort: float, natural: float) -> BetaCalibration:
        """Return the calibration whose probabilities are those of `shift_prior`: only the intercept differs.

        Parameters
        ----------
        cohort : float
            Prevalence of the training rows, strictly between 0 and 1.
        natural : float
            Prevalence of the population, strictly between 0 and 1.

        Returns
        -------
        calibration : BetaCalibration
        """
        return replace(self, c=self.c + float(logit(natural) - logit(cohort)))

    def as_dict(self) -> dict[str, float]:
        """Return the coefficients as plain values, for JSON."""
        return asdict(self)


def fit_beta(margin: Floats, label: Labels) -> BetaCalibration:
    """Fit a beta calibration by maximum likelihood.

    Parameters
    ----------
    margin : ndarray of float64, shape (n_rows,)
        Out-of-fold log-odds: each row's comes from a model that was not trained on it.
    label : ndarray of int8, shape (n_rows,)
        1 for a leaver, 0 for a stayer; both must occur.

    Returns
    -------
    calibration : BetaCalibration

    References
    ----------
    Kull, Silva Filho, Flach, "Beta calibration: a well-founded and easily implemented improvement on logistic
    calibration for binary classifiers", AISTATS 2017.
    """
    x = np.column_stack([-np.logaddexp(0, -margin), np.logaddexp(0, margin), np.ones_like(margin)])
    y = label.astype(np.float64)

    def loss(w: Floats) -> tuple[float, Floats]:
        z = x @ w
        return float(np.mean(np.logaddexp(0, z) - y * z)), np.asarray(x.T @ (expit(z) - y) / len(y))

    bounds = [(0.0, MAX_COEFFICIENT), (0.0, MAX_COEFFICIENT), (-MAX_COEFFICIENT, MAX_COEFFICIENT)]
    optimum = minimize(
        loss,
        np.array([1.0, 1.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000},
    )
    return BetaCalibration(*(float(w) for w in optimum.x))


def shift_prior(probability: npt.ArrayLike, *, cohort: float, natural: float) -> Floats:
    """Convert probabilities learned on a resampled cohort to the natural prevalence.

    logit(p_natural) = logit(p) + logit(pi_natural) - logit(pi_cohort); see docs/definitions.md#prior-shift.

    Parameters
    ----------
    probability : array-like of float
        Probabilities at the prevalence of the cohort, of any shape.
    cohort : float
        Prevalence of the training rows, strictly between 0 and 1.
    natural : float
        Prevalence of the population, strictly between 0 and 1.

    Returns
    -------
    probability : ndarray of float64
        Natural probabilities, in the shape given.

    Raises
    ------
    ValueError
        If a prevalence is outside (0, 1).

    References
    ----------
    King, Zeng, "Logistic Regression in Rare Events Data", Political Analysis 9 (2001).

    Examples
    --------
    >>> shift_prior([0.5], cohort=0.5, natural=0.1)
    array([0.1])
    """
    if not (0 < cohort < 1 and 0 < natural < 1):
        raise ValueError("a prevalence must lie strictly between 0 and 1")
    p = np.asarray(probability, dtype=np.float64)
    return np.asarray(expit(logit(p) + logit(natural) - logit(cohort)))
