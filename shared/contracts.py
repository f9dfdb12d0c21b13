"""The ML service's HTTP API, as both sides read it.

Law: a field is renamed here or nowhere. The same answers in columns are in `shared.arrow`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
NDJSON_TYPE = "application/x-ndjson"
HTML_TYPE = "text/html; charset=utf-8"

#: Reasons that travel with every prediction; the rest is "other".
TOP_REASONS = 3
#: Days ahead that a prediction speaks of (DEFINITIONS.md, H).
HORIZON_DAYS = 30
#: Days within which a new subscription means that nobody left (DEFINITIONS.md).
GRACE_DAYS = 30

Cell = float | int | str | bool | None
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", max_length=32)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class PredictRequest(Strict):
    """A few rows in columns; many go as an Arrow stream with `model_version` in the query."""

    model_version: Version | None = Field(None, description="Version to score with; the newest on disk if absent")
    columns: dict[str, list[Cell]] = Field(description="Feature name to its values, all of one length")
    row_keys: list[int] | None = Field(
        None, description="Keys of rows, so that rows used in training get out-of-fold scores"
    )
    all_reasons: bool = Field(False, description="Every feature's contribution instead of the top three")


class Reason(Strict):
    """One feature's part in one prediction."""

    feature: str
    contribution: float = Field(description="SHAP value, log-odds before calibration")
    points: float = Field(
        description="Change of probability, in [-1, 1]; with the others adds up to p - base_probability"
    )


class Prediction(Strict):
    """One row's answer."""

    churn_probability: Probability
    confidence: Probability
    label: Literal[0, 1] = Field(description="1 if churn_probability >= threshold")
    out_of_fold: bool = Field(description="Scored by a model that had not seen this row in training")
    margin: float = Field(description="Log-odds before calibration = base_margin + sum of all contributions")
    reasons: list[Reason] = Field(description="Largest first")
    other_points: float = Field(description="Points of the features not listed")


class PredictResponse(Strict):
    """Answer to PredictRequest, in the order of its rows."""

    model_version: Version
    threshold: Probability
    base_probability: Probability
    base_margin: float
    unknown_categories: dict[str, int] = Field(
        description="Feature to count of values the model has never seen, scored as missing"
    )
    predictions: list[Prediction]


class TrainParams(Strict):
    """Travels as JSON in the Arrow schema metadata (key `retainstream`) of a training snapshot."""

    model_version: Version
    table_schema: dict[str, Any] = Field(description="shared.features.Schema.as_dict()")
    seed: int = 0
    champion_version: Version | None = Field(None, description="Judged beside the new model on the same test rows")
    allow_leaks: list[str] = Field(
        default_factory=list, description="Features that the leak guard lets pass; each stands in the report"
    )
    trials: int = Field(4, ge=1, le=1000, description="Configurations searched; the first four are the portfolio")
    time_budget_s: float | None = Field(None, gt=0, description="No configuration begins after it; truncates `trials`")


class BalancedFigures(Strict):
    """Precision, recall and F1 at prevalence 1/2 (DEFINITIONS.md)."""

    threshold: Probability
    precision: Probability | None
    recall: Probability | None
    f1_score: Probability | None


class TestFigures(Strict):
    """What a model did on rows it had not seen, at their natural prevalence."""

    __test__ = False

    n: int
    positives: int
    prevalence: Probability
    period: tuple[str, str] | None = Field(None, description="First and last as_of of the test rows")
    auc: Probability | None
    average_precision: Probability | None
    log_loss: float
    brier: float
    brier_skill: float | None
    ece: float
    lift_at_10_percent: float | None
    threshold: Probability
    precision: Probability | None
    recall: Probability | None
    f1_score: Probability | None
    balanced: BalancedFigures


class Importance(Strict):
    """Share of mean |SHAP| over a sample of recent rows; all features sum to 1."""

    name: str
    label: str
    short: str
    importance: Probability


class Baseline(Strict):
    """Something simple to beat, on the same test rows."""

    auc: float | None
    log_loss: float | None
    note: str


Interval = tuple[float, float]
#: Points of a curve, [x, y] each; at most 101.
Curve = list[tuple[float, float]]


class Reliability(Strict):
    """One bin of equal mass: what was said, what came true."""

    predicted: Probability
    observed: Probability
    low: Probability = Field(description="Wilson 95 % interval of `observed`")
    high: Probability
    n: int


class Curves(Strict):
    """What the report draws."""

    reliability: list[Reliability]
    roc: Curve = Field(description="False positive rate, recall")
    precision_recall: Curve = Field(description="Recall, precision")
    gain: Curve = Field(description="Share of rows by score, share of leavers among them")
    lift: Curve = Field(description="Share of rows by score, churn rate over the overall rate")


class CalibrationCheck(Strict):
    """Whether the probabilities mean what they say, on the test rows."""

    slope: float | None = Field(description="Of a logistic regression of the outcome on logit(p); 1 is perfect")
    intercept: float | None
    ece: float
    ece_limit: float = Field(description="99th percentile of a perfectly calibrated model on as many rows")
    confidence_gap: float = Field(description="Mean |accuracy - confidence| over ten bins of equal mass")
    confidence_holds: bool = Field(description="Gap at most 0.015, no bin claims more than max(0.03, 3 SE) too much")
    tail_n: int = Field(description="Rows with p >= 0.7")
    tail_rate: Probability | None
    tail_upper: Probability | None = Field(description="Wilson upper bound of their churn rate; at least 0.7 is right")


class Segment(Strict):
    """A part of the test rows."""

    feature: str
    value: str
    n: int
    positives: int
    prevalence: Probability
    mean_probability: Probability
    auc: Probability | None
    log_loss: float
    champion_log_loss: float | None = None
    collapsed: bool = Field(False, description="Much worse than the champion here, beyond doubt")


class Comparison(Strict):
    """New against champion on the same test rows, paired."""

    difference: float = Field(description="Log loss, new minus champion; below 0 is better")
    interval: Interval = Field(description="95 %, bootstrap over customers")
    not_worse: bool = Field(description="The interval does not lie above 0")
    collapsed: list[str] = Field(description="Segments where the new model is much worse, beyond doubt")


class Dependence(Strict):
    """How a feature moves the score: SHAP in log-odds by value."""

    feature: str
    label: str
    values: list[str | float]
    median: list[float]
    low: list[float] = Field(description="First decile")
    high: list[float] = Field(description="Ninth decile")
    n: list[int]


class Leak(Strict):
    """A feature that the leak guard would have refused."""

    feature: str
    evidence: str


class TrainReport(Strict):
    """The old fields first (CONTRACT.md), then what they need to be judged."""

    auc: Probability | None
    precision: Probability | None
    recall: Probability | None
    f1_score: Probability | None
    training_samples: int
    model_version: Version
    timestamp: str
    algorithm: Literal["XGBoost"] = "XGBoost"
    features: int
    horizon_days: int = HORIZON_DAYS
    split: Literal["time", "stratified"]
    training_period: tuple[str, str] | None
    training_prevalence: Probability
    test: TestFigures
    baselines: dict[str, Baseline] = Field(description="constant, best_single_rule, logistic_regression, v1_0")
    champion: TestFigures | None = Field(description="The model named champion_version on the same test rows")
    importance: list[Importance]
    parameters: dict[str, Any]
    base_probability: Probability
    out_of_fold_rows: int = Field(description="Training rows whose listed scores are out of fold; 0 with dates")
    data_sha256: str
    model_sha256: str = Field("", description="Of what decides a score: the same data, seed and trials give it again")
    seed: int = 0
    search: dict[str, Any] = Field(default_factory=dict, description="Trials made, whether truncated, what each found")
    allowed_leaks: list[Leak] = Field(default_factory=list)
    intervals: dict[str, Interval | None] = Field(
        default_factory=dict, description="95 % bootstrap over customers of the test figures of the same names"
    )
    calibration: CalibrationCheck | None = None
    calibration_with_missing: CalibrationCheck | None = Field(
        None, description="On the test rows that lack a value; null where fewer than 200 do"
    )
    curves: Curves | None = None
    segments: list[Segment] = Field(default_factory=list)
    dependence: list[Dependence] = Field(default_factory=list)
    comparison: Comparison | None = None
    ceiling: TestFigures | None = Field(None, description="The true probability's figures; simulated data only")
    warnings: list[str]


class Origin(Strict):
    """One date of a backtest: a model of what was known then, judged on the rows of that date."""

    as_of: str
    training_samples: int
    training_prevalence: Probability
    n: int
    prevalence: Probability
    mean_probability: Probability | None = None
    auc: Probability | None = None
    log_loss: float | None = None
    ece: float | None = None
    note: str | None = None


class Backtest(Strict):
    """Rolling origins, oldest first."""

    trials: int
    seed: int
    origins: list[Origin]


class Progress(Strict):
    """One NDJSON line while training runs."""

    progress: Probability
    stage: str


class ErrorBody(Strict):
    """The one body of every failure, in both services."""

    code: str
    details: list[dict[str, Any]] | None = None
    request_id: str
