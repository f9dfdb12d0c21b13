"""The bodies of the ML service's HTTP API, for both services.

Law: a field is renamed here or nowhere. `shared.contracts.arrow` has the same answers in columns.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts.fact_warnings import FactWarning
from shared.contracts.outlook import Outlook, OutlookReport
from shared.contracts.report import (
    Blanked,
    CalibrationCheck,
    Cohort,
    Comparison,
    Curves,
    Dependence,
    Interval,
    Labels,
    Leak,
    LevelSpread,
    LiveFit,
    Probability,
    Profit,
    RollingChoice,
    Segment,
    Strict,
    TimeOfYear,
)

JSON_TYPE = "application/json"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
NDJSON_TYPE = "application/x-ndjson"
#: Ids of the other requests that one call was coalesced from, comma separated, for the log.
RIDES_ALONG = "X-Rides-Along"
HTML_TYPE = "text/html; charset=utf-8"

#: Reasons in every prediction; the others are summed up as "other".
TOP_REASONS = 3
#: The numbers in their columns' names: reason_1, points_1 and so on.
REASON_NUMBERS = tuple(range(1, TOP_REASONS + 1))
#: Days ahead that a prediction covers: H in docs/definitions.md#symbols.
HORIZON_DAYS = 30
#: Days within which a new subscription means that the customer did not leave: docs/definitions.md#churn-label.
GRACE_DAYS = 30

Cell = float | int | str | bool | None
#: The reasons in an answer; `other_points` sums up those left out.
Shown = Literal["top", "all", "none"]
IsoDate = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$", max_length=32)]


class PredictRequest(Strict):
    """A few rows, by column; many rows are sent as an Arrow stream with `model_version` in the query string."""

    model_version: Version | None = Field(None, description="Version to score with; the newest on disk if absent")
    columns: dict[str, list[Cell]] = Field(description="Feature name to its values, all of one length")
    row_keys: list[int] | None = Field(
        None, description="Keys of rows, so that rows used in training get out-of-fold scores"
    )
    as_of: IsoDate | None = Field(
        None, description="Date of the rows, for the level of the time of year; without it, no level is added"
    )
    reasons: Shown = Field("top", description="The reasons to return: the top three, every feature's, or none")
    outlook: bool = Field(False, description="Whether to return further horizons and causes")


# A plain dict, unlike the others: an answer has many of these.
@with_config(Strict.model_config)
class Reason(TypedDict):
    """The contribution of one feature to one prediction."""

    feature: str
    contribution: Annotated[float, Field(description="SHAP value, log-odds before calibration")]
    points: Annotated[
        float, Field(description="Change of probability, in [-1, 1]; with the others adds up to p - base_probability")
    ]


class Prediction(Strict):
    """The answer for one row."""

    churn_probability: Probability
    confidence: Probability
    label: Literal[0, 1] = Field(description="1 if churn_probability >= threshold")
    out_of_fold: bool = Field(description="Scored by a model that had not seen this row in training")
    margin: float = Field(
        description="Log-odds before calibration: the base margin of the model that scored this row (a fold's, "
        "where out_of_fold) plus all contributions"
    )
    reasons: list[Reason] = Field(description="Largest first")
    other_points: float = Field(description="Points of the features not listed")
    time_of_year_points: float = Field(
        0.0, description="Points of the date's level; base_probability + all points add up to churn_probability"
    )
    warnings: list[FactWarning] = Field(
        default_factory=list, description="Facts that this score can rely on less; empty from an older service"
    )
    outlook: Outlook | None = Field(None, description="Null where the request did not ask for it")


class PredictResponse(Strict):
    """Answer to a PredictRequest, in the order of its rows."""

    model_version: Version
    threshold: Probability
    base_probability: Probability
    base_margin: float
    level: float = Field(
        0.0, description="The date adds this to everybody's log-odds after calibration; 0 where the model has no level"
    )
    no_level_because: str | None = Field(None, description="Why a model with a level added none")
    predictions: list[Prediction]


class TrainParams(Strict):
    """Parameters of a training: JSON in the Arrow schema metadata (key `retainstream`) of the snapshot."""

    model_version: Version
    table_schema: dict[str, Any] = Field(description="shared.schema.features.Schema.as_dict()")
    seed: int = 0
    champion_version: Version | None = Field(None, description="Evaluated with the new model on the same test rows")
    decided_version: Version | None = Field(
        None, description="The last version that went live by a decided comparison; the champion if absent"
    )
    allow_leaks: list[str] = Field(
        default_factory=list, description="Features that the leak guard allows; the report names each"
    )
    without: list[str] = Field(default_factory=list, description="Features of the schema to leave out of the model")
    notes: list[str] = Field(default_factory=list, description="Warnings about the data, for the report")
    again: bool = Field(True, description="If false, ends with `unchanged` where a version of `made` is the same")
    made: list[Version] = Field(default_factory=list, description="All versions of this customer base, newest first")
    trials: int = Field(4, ge=1, le=1000, description="Configurations searched; the first four are the portfolio")
    time_budget_s: float | None = Field(None, gt=0, description="No configuration starts after it; truncates `trials`")


class BalancedFigures(Strict):
    """Precision, recall and F1 at a prevalence of 1/2; see docs/definitions.md#balanced-precision."""

    threshold: Probability
    precision: Probability | None
    recall: Probability | None
    f1_score: Probability | None


class TestFigures(Strict):
    """The figures of a model on its test rows, at their natural prevalence."""

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
    """Share of a feature in the mean |SHAP| over a sample of recent rows; the shares of all features sum to 1."""

    name: str
    label: str
    short: str
    importance: Probability


class Baseline(Strict):
    """A simple model for comparison, evaluated on the same test rows."""

    auc: float | None
    log_loss: float | None
    note: str


class TrainReport(Strict):
    """The report of a training: the fields of docs/api.md#figures, then their context and all other figures."""

    auc: Probability | None
    precision: Probability | None
    recall: Probability | None
    f1_score: Probability | None
    training_samples: int
    model_version: Version
    timestamp: str
    algorithm: Literal["XGBoost"] = "XGBoost"
    features: int
    left_out: list[str] = Field(default_factory=list, description="Features of the table that the model does without")
    horizon_days: int | None = Field(
        HORIZON_DAYS, description="Days that a score covers; null for a table without dates that does not say it"
    )
    natural_rate: Probability | None = Field(
        None, description="Churn rate that the scores are shifted to; the figures on test rows are at the table's own"
    )
    split: Literal["time", "stratified"]
    training_period: tuple[str, str] | None
    training_prevalence: Probability
    test: TestFigures
    baselines: dict[str, Baseline] = Field(description="constant, best_single_rule, logistic_regression, v1_0")
    champion: TestFigures | None = Field(description="The model named champion_version on the same test rows")
    importance: list[Importance]
    live: LiveFit | None = Field(
        None, description="The model that scores; the figures judge its sibling, which was fitted without the test rows"
    )
    parameters: dict[str, Any]
    base_probability: Probability
    out_of_fold_rows: int = Field(description="Training rows whose listed scores are out of fold; 0 with dates")
    data_sha256: str
    model_sha256: str = Field(
        "", description="SHA-256 of what determines scores; the same for the same data, seed and trials"
    )
    seed: int = 0
    search: dict[str, Any] = Field(
        default_factory=dict, description="Trials made, whether truncated, and their results"
    )
    allowed_leaks: list[Leak] = Field(default_factory=list)
    intervals: dict[str, Interval | None] = Field(
        default_factory=dict, description="95 % bootstrap over customers of the test figures of the same names"
    )
    level: LevelSpread | None = Field(None, description="For the interval of expected leavers; null without dates")
    time_of_year: TimeOfYear | None = Field(
        None, description="Level that a date adds to the log-odds of each score of the live model; null: nothing"
    )
    rolling: RollingChoice | None = Field(
        None, description="The windows and levels that were tried; null without dates and in older reports"
    )
    cohort: Cohort | None = Field(
        None, description="Lifetimes beyond the model's reach; null unless subscriptions are dated"
    )
    calibration: CalibrationCheck | None = None
    calibration_with_missing: CalibrationCheck | None = Field(
        None, description="On the test rows that lack a value; null where fewer than 200 do"
    )
    blanked: list[Blanked] = Field(
        default_factory=list,
        description="Features complete in training, each hidden on all test rows in turn",
    )
    curves: Curves | None = None
    profit: Profit | None = Field(None, description="Whom to contact at stated costs; null in older reports")
    segments: list[Segment] = Field(default_factory=list)
    dependence: list[Dependence] = Field(default_factory=list)
    comparison: Comparison | None = None
    ceiling: TestFigures | None = Field(None, description="The true probability's figures; simulated data only")
    outlook: OutlookReport | None = Field(None, description="Further horizons and causes; null in older reports")
    labels: Labels | None = Field(None, description="The basis of the labels; null where the table gives them")
    warnings: list[str]


class Origin(Strict):
    """One date of a backtest: a model of the data known then, evaluated on the rows of that date."""

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
    """A backtest with rolling origins, oldest first."""

    trials: int
    seed: int
    origins: list[Origin]


class Progress(Strict):
    """One NDJSON line while training runs."""

    progress: Probability
    stage: str


class ErrorBody(Strict):
    """The `error` of every failure, in both services."""

    code: str
    details: list[dict[str, Any]] | None = None
    request_id: str
