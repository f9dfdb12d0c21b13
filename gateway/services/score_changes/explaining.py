"""Why a customer's score changed between two runs: data, later corrections, model, calibration, time of year.

Law: the parts add up to the change of the log-odds; unchanged facts give no data part, an unchanged model no model
part. See docs/definitions.md#score-change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

from database.customers import customer_base
from database.engine.session import Connection, Database
from database.models import models
from database.scoring import score_changes
from database.scoring.score_changes import Score
from gateway.clients.ml_client import MLClient
from gateway.services.score_changes.baseline_shapley import path
from shared.clock import days_later
from shared.contracts.api import HORIZON_DAYS, Cell, PredictRequest
from shared.errors import Conflict, NotFound
from shared.schema.features import Schema

NO_TWO = "There are no two scores of this customer that could be compared: {which}."
NO_FACTS = "The facts of {day} that the score of run {run} was made from are not kept."
#: Probabilities nearer to 0 or 1 have no log-odds in floating point.
EDGE = 1e-15
FactRow = Mapping[str, Cell]


@dataclass(frozen=True)
class Parts:
    """Parts of the change of the log-odds.

    Attributes
    ----------
    data, corrected : float
        Facts that changed from one date to the other; facts of the first date that were corrected after its score.
    model, calibration : float
        Trees, and the map from their margins to probabilities, with the models' levels.
    time_of_year : float
        The levels of the two dates; 0 where the models have none.
    unexplained : float
        Difference of the models' answers now from the stored scores; 0 but for the rounding of sums.
    """

    data: float
    corrected: float
    model: float
    calibration: float
    time_of_year: float
    unexplained: float


@dataclass(frozen=True)
class FeaturePart:
    """One feature's parts, and its facts: of the first score, as corrected since, of the second."""

    feature: str
    before: Cell
    before_corrected: Cell
    after: Cell
    data: float
    corrected: float


@dataclass(frozen=True)
class ScoreChange:
    """A change from `before` to `after`, its parts, and those of each feature that changed, the largest first."""

    before: Score
    after: Score
    parts: Parts
    features: list[FeaturePart]
    schema: Schema


@dataclass(frozen=True)
class Levels:
    """Levels of the time of year, in log-odds: of each model on (the earlier date, the later date)."""

    then: tuple[float, float]
    now: tuple[float, float]


@dataclass(frozen=True)
class Values:
    """Log-odds and margins of rows, by one model."""

    odds: list[float]
    margins: list[float]


def log_odds(probability: float) -> float:
    """Return ln(p / (1 - p))."""
    kept = min(max(probability, EDGE), 1 - EDGE)
    return log(kept) - log(1 - kept)


@dataclass(frozen=True)
class _Compared:
    """Two scores, the facts of the first, as corrected since, and of the second, the models' schemas and levels."""

    before: Score
    after: Score
    levels: Levels
    facts: tuple[FactRow, FactRow, FactRow]
    schemas: tuple[Schema, Schema]
    schema: Schema


def explain(
    database: Database, ml: MLClient, customer_id: int, *, since: str | None, until: str | None, request_id: str | None
) -> ScoreChange:
    """Split the change between a customer's last scores at two dates.

    Parameters
    ----------
    since, until
        ISO dates; by default, that of the newest score, and 30 days before.

    Raises
    ------
    NotFound
        There are no two scores.
    Conflict
        The facts of a score are not kept.
    """
    with database.read() as connection:
        known = _compared(connection, customer_id, since, until)
    x0, corrected, x1 = known.facts
    correction, change = path(x0, corrected), path(corrected, x1)
    rows = [*correction.rows, *change.rows]
    keys = [customer_id] * len(rows)
    then = _evaluate(ml, known.schemas[0], known.before.version, rows, keys, request_id)
    is_same = known.before.version == known.after.version
    now = then if is_same else _evaluate(ml, known.schemas[1], known.after.version, rows, keys, request_id)
    mean = [(a + b) / 2 for a, b in zip(then.odds, now.odds, strict=True)]
    at = len(correction.rows)
    by_correction, by_change = correction.shares(mean[:at]), change.shares(mean[at:])
    names = [name for name in x0 if name in by_correction or name in by_change]
    features = [
        FeaturePart(name, x0[name], corrected[name], x1[name], by_change.get(name, 0.0), by_correction.get(name, 0.0))
        for name in names
    ]
    features.sort(key=lambda each: -abs(each.data + each.corrected))
    ends = Ends(first=0, corrected=at, last=-1)
    parts = split_change(known.before, known.after, (then, now), ends, known.levels)
    return ScoreChange(known.before, known.after, parts, features, known.schema)


def _compared(connection: Connection, customer_id: int, since: str | None, until: str | None) -> _Compared:
    present = customer_base.get(connection)
    after = score_changes.newest(connection, customer_id, until=until)
    if present is None or after is None:
        raise NotFound(NO_TWO.format(which="none is stored"))
    first = since or days_later(after.as_of, -HORIZON_DAYS)
    before = score_changes.newest(connection, customer_id, until=first)
    if before is None or before.run_id == after.run_id:
        raise NotFound(NO_TWO.format(which="none is old enough"))
    x0, x1 = (_facts(connection, present.schema, each) for each in (before, after))
    now = score_changes.facts_of(connection, present.schema, [customer_id], before.facts_as_of, known_by=None)
    schemas = [customer_base.schema_of(connection, each.schema_checksum) or present.schema for each in (before, after)]
    levels = _levels(connection, (before.version, after.version), (before.as_of, after.as_of))
    return _Compared(before, after, levels, (x0, now[customer_id], x1), (schemas[0], schemas[1]), present.schema)


@dataclass(frozen=True)
class Ends:
    """Places of the first facts, the corrected ones and the last among the rows."""

    first: int
    corrected: int
    last: int


def split_change(before: Score, after: Score, sides: tuple[Values, Values], at: Ends, levels: Levels) -> Parts:
    """Split a change, given both models' values of the facts and their levels of the dates."""
    then, now = sides
    ends = (at.first, at.last)

    def mean(row: int) -> float:
        return (then.odds[row] + now.odds[row]) / 2

    maps = [(now.odds[k] - now.margins[k]) - (then.odds[k] - then.margins[k]) for k in ends]
    maps += [b - a for a, b in zip(levels.then, levels.now, strict=True)]
    told = now.odds[at.last] + levels.now[1] - then.odds[at.first] - levels.then[0]
    stored = log_odds(after.probability) - log_odds(before.probability)
    return Parts(
        data=mean(at.last) - mean(at.corrected),
        corrected=mean(at.corrected) - mean(at.first),
        model=sum(now.margins[k] - then.margins[k] for k in ends) / 2,
        calibration=sum(maps) / 2,
        time_of_year=sum(later - earlier for earlier, later in (levels.then, levels.now)) / 2,
        unexplained=stored - told,
    )


def _levels(connection: Connection, versions: tuple[str, str], days: tuple[str, str]) -> Levels:
    found = []
    for version in versions:
        model = models.get(connection, version)
        found.append((0.0, 0.0) if model is None else (model.level(days[0]), model.level(days[1])))
    return Levels(found[0], found[1])


def _facts(connection: Connection, schema: Schema, score: Score) -> dict[str, Cell]:
    found = score_changes.facts_of(
        connection, schema, [score.customer_id], score.facts_as_of, known_by=score.known_by
    ).get(score.customer_id)
    if found is None:
        raise Conflict(NO_FACTS.format(day=score.facts_as_of, run=score.run_id))
    return found


def _evaluate(
    ml: MLClient, schema: Schema, version: str, rows: Sequence[FactRow], keys: list[int], request_id: str | None
) -> Values:
    request = PredictRequest(
        model_version=version,
        columns={name: [row[name] for row in rows] for name in schema.feature_names},
        row_keys=keys,
        reasons="none",
    )
    answer = ml.score_few(request, request_id=request_id)
    return Values(
        [log_odds(each.churn_probability) for each in answer.predictions], [each.margin for each in answer.predictions]
    )


def parts_of_many(
    database: Database, ml: MLClient, customer_ids: Sequence[int], *, then: int, now: int, request_id: str | None
) -> dict[int, Parts]:
    """Split the changes of several customers between two runs, without those whose facts or scores are not kept."""
    with database.read() as connection:
        present = customer_base.get(connection)
        scores = [score_changes.of_run(connection, run_id, customer_ids) for run_id in (then, now)]
        both = [key for key in customer_ids if all(key in side for side in scores)]
        if present is None or not both:
            return {}
        before, after = ([side[key] for key in both] for side in scores)
        x0 = _facts_of_side(connection, present.schema, before)
        corrected = _facts_of_side(connection, present.schema, before, as_known_now=True)
        x1 = _facts_of_side(connection, present.schema, after)
        pair = (before[0], after[0])
        schemas = [customer_base.schema_of(connection, each.schema_checksum) or present.schema for each in pair]
        levels = _levels(connection, (pair[0].version, pair[1].version), (pair[0].as_of, pair[1].as_of))
    kept = [key for key in both if key in x0 and key in x1]
    if not kept:
        return {}
    rows = [side[key] for key in kept for side in (x0, corrected, x1)]
    keys = [key for key in kept for _ in range(3)]
    first, last = (
        _evaluate(ml, schema, each.version, rows, keys, request_id) for schema, each in zip(schemas, pair, strict=True)
    )
    return {
        key: split_change(scores[0][key], scores[1][key], (first, last), Ends(3 * k, 3 * k + 1, 3 * k + 2), levels)
        for k, key in enumerate(kept)
    }


def _facts_of_side(
    connection: Connection, schema: Schema, scores: Sequence[Score], *, as_known_now: bool = False
) -> dict[int, dict[str, Cell]]:
    """Read the facts of the scores of one run, a query for each date of facts."""
    found: dict[int, dict[str, Cell]] = {}
    for day in {each.facts_as_of for each in scores}:
        of_day = [each for each in scores if each.facts_as_of == day]
        known_by = None if as_known_now else of_day[0].known_by
        ids = [each.customer_id for each in of_day]
        found |= score_changes.facts_of(connection, schema, ids, day, known_by=known_by)
    return found
