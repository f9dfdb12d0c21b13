"""The parts of a training report that evaluate a model: curves, calibration, segments, comparison.

Law: each part has its n; a figure that can't be computed is null.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]
Interval = tuple[float, float]
#: Points of a curve, [x, y] each; at most 101.
Curve = list[tuple[float, float]]


class Strict(BaseModel):
    """A model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Reliability(Strict):
    """Predicted and observed churn rate in one bin of equal mass."""

    predicted: Probability
    observed: Probability
    low: Probability = Field(description="Wilson 95 % interval of `observed`")
    high: Probability
    n: int


class Curves(Strict):
    """The curves of a report."""

    reliability: list[Reliability]
    roc: Curve = Field(description="False positive rate, recall")
    precision_recall: Curve = Field(description="Recall, precision")
    gain: Curve = Field(description="Share of rows by score, share of leavers among them")
    lift: Curve = Field(description="Share of rows by score, churn rate over the overall rate")


class LevelSpread(Strict):
    """How far the churn rate of a period strays from the model of the periods before; see docs/definitions.md#level."""

    sigma: float | None = Field(ge=0, description="In log-odds, without chance; null with under 4 periods")
    periods: int
    quantile: float = Field(description="97.5 % of Student's t with periods - 1 degrees of freedom; 1.96 without sigma")


YearForm = Literal["harmonic", "calendar_month", "slow_level"]


class TimeOfYear(Strict):
    """The level that a date adds to the log-odds of every score; see docs/definitions.md#time-of-year."""

    form: YearForm
    constant: float = Field(description="On every date: it sets the mean over the training rows to 0")
    cosine: float = Field(0.0, description="Times cos(2 pi day of the year / 365.25)")
    sine: float = Field(0.0, description="Times sin(2 pi day of the year / 365.25)")
    months: list[float] = Field(default_factory=list, description="By calendar month, January first; empty: 0")


class Candidate(Strict):
    """One way to fit, judged on the periods of rolling origins."""

    name: str
    window: int | None = Field(description="Newest dates that the model is fitted to; null: all")
    level: Literal["none"] | YearForm
    origins: int = Field(description="Periods on which it was judged")
    log_loss: float | None = Field(description="Mean over these periods; null where there are too few")
    difference: float | None = Field(description="log_loss minus that of all dates and no level, on the same periods")
    interval: Interval | None = Field(description="95 % of the difference: Student's t over the periods")


class RollingChoice(Strict):
    """The window and the level that were chosen on training rows by rolling origins."""

    lag_days: int = Field(description="Days between the newest row that is known at an origin and the origin")
    candidates: list[Candidate] = Field(description="Empty where the history is too short to try any")
    chosen: str
    why: str


class LiveFit(Strict):
    """The model that goes live: the judged configuration, fitted again to all rows whose outcome is known."""

    rows: int
    leavers: int
    prevalence: Probability
    period: tuple[str, str] | None = Field(description="First and last date of the rows")
    threshold: Probability


class CalibrationCheck(Strict):
    """Calibration of the probabilities on the test rows."""

    expected: float = Field(description="Sum of p")
    ratio: float = Field(description="Leavers / expected leavers: calibration in the large")
    ratio_interval: Interval = Field(description="95 %, of chance and of the level's spread between periods")
    slope: float | None = Field(description="Slope of a logistic regression of the outcome on logit(p); 1 is perfect")
    slope_interval: Interval | None = Field(description="95 %")
    intercept: float | None
    ece: float
    level_free_ece: float = Field(description="ECE after adding to all log-odds the number that sets the level right")
    ece_limit: float = Field(description="99th percentile of a perfectly calibrated model on as many rows")
    confidence_gap: float = Field(description="Mean |accuracy - confidence| over ten bins of equal mass")
    confidence_holds: bool = Field(description="Gap at most 0.015, no bin overconfident by more than max(0.03, 3 SE)")
    tail_n: int = Field(description="Rows with p >= 0.7")
    tail_rate: Probability | None
    tail_said: Probability | None = Field(description="Mean of their p")
    tail_chance: Probability | None = Field(description="Probability of so few leavers among them if every p is true")


class Segment(Strict):
    """The figures of a segment of the test rows."""

    feature: str
    value: str
    n: int
    positives: int
    prevalence: Probability
    mean_probability: Probability
    auc: Probability | None
    log_loss: float
    champion_log_loss: float | None = None
    collapsed: bool = Field(False, description="Significantly and much worse than the champion here")


class Comparison(Strict):
    """Paired comparison of the new model with the champion on the same test rows."""

    difference: float = Field(description="Log loss, new minus champion; below 0 is better")
    interval: Interval = Field(description="95 %, bootstrap over customers")
    margin: float = Field(description="0.5 % of the champion's log loss")
    verdict: Literal["not_worse", "worse", "undecided"] = Field(
        description="Not worse if the interval ends below the margin; else worse if it lies above 0; else undecided"
    )
    decided_version: str = Field(description="The last version that went live by a decided comparison")
    behind_decided: float = Field(description="Log loss, new minus that of `decided_version`, on the same rows")
    collapsed: list[str] = Field(description="Segments where the new model is significantly and much worse")


class Profit(Strict):
    """Expected maximum profit of a campaign, and whom to contact for it; see docs/definitions.md#empc."""

    share: Probability = Field(description="Share of the customers to contact, from the highest score down")
    share_interval: Interval | None = Field(description="95 %, bootstrap over customers")
    empc: float = Field(ge=0, description="Profit per customer of the base, in the currency of the amounts below")
    empc_interval: Interval | None = Field(description="95 %, bootstrap over customers")
    n: int
    prevalence: Probability = Field(description="Churn rate that the figures are at: the natural one where it is known")
    clv: float = Field(description="Assumed value of a leaver who is kept")
    offer: float = Field(description="Assumed cost of the offer, for everybody who accepts it")
    contact: float = Field(description="Assumed cost of a contact")
    gamma_alpha: float = Field(description="The share of leavers who accept is assumed to follow Beta(alpha, beta)")
    gamma_beta: float


class Cohort(Strict):
    """Lifetimes of the whole base: a shifted-beta-geometric distribution by months; see docs/definitions.md#sbg."""

    alpha: float = Field(gt=0)
    beta: float = Field(gt=0)
    ages: list[float] = Field(
        min_length=1, description="Ages of subscriptions at the last month's beginning, in months: medians of tenths"
    )
    at_risk: int = Field(description="Subscriptions at risk, counted once a month")
    left: int
    months: tuple[str, str] = Field(description="The first and the last calendar month that were counted")


class Dependence(Strict):
    """Dependence of the score on a feature: SHAP values in log-odds by the value of the feature."""

    feature: str
    label: str
    values: list[str | float]
    median: list[float]
    low: list[float] = Field(description="First decile")
    high: list[float] = Field(description="Ninth decile")
    n: list[int]


class Blanked(Strict):
    """Change of the scores if a feature that was complete in training is missing."""

    feature: str
    factor: float = Field(
        ge=0, description="Mean probability of test rows without it, divided by that of the same rows with it"
    )


class Leak(Strict):
    """A feature that the leak guard would have refused, but was told to allow."""

    feature: str
    evidence: str


class Labels(Strict):
    """The basis of a training's labels; filled in by the gateway, for labels that follow from subscriptions."""

    complete_to: str = Field(description="The day up to which all ends are known")
    ends: int = Field(
        description="Known ends inside the matured span: after its first date, up to 30 days after its last"
    )
    ends_labelled: int = Field(description="Those of them that became the label 1 of some row")
    few_ends: list[str] = Field(description="Dates with improbably few ends, warned of")
    left_out: list[str] = Field(description="Dates left out: improbably few ends, and none on a third of their days")
