"""Decoding of request bodies and encoding of answers: JSON for a few rows, Arrow streams for many.

Law: every body becomes typed columns or raises an error of `shared.errors`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
from pydantic import ValidationError

from ml_service.arrays import Dates
from ml_service.data.dataset import row_keys_of
from ml_service.data.feature_matrix import Matrix, to_matrix, typed_columns
from ml_service.evaluation import fact_warnings, serving_check
from ml_service.model.churn_model import ChurnModel
from ml_service.model.predictions import Explanation
from shared.contracts import arrow
from shared.contracts.api import ARROW_TYPE, TOP_REASONS, PredictRequest
from shared.contracts.fact_warnings import FactWarning
from shared.errors import Detail, InvalidInput, MalformedRequest, TooLarge, invalid
from shared.parsing_limits import MAX_INT64, MAX_JSON_BYTES, refuse_hard_json
from shared.time_of_year import NO_DATE, level_at

_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}")
_INT64 = range(-MAX_INT64 - 1, MAX_INT64 + 1)


@dataclass(frozen=True)
class Rows:
    """The rows to score, with their keys and their date if sent."""

    matrix: Matrix
    row_keys: pa.Array | None
    as_of: date | None

    @property
    def dates(self) -> Dates | None:
        """The date of each row, shape (n_rows,)."""
        return None if self.as_of is None else np.full(len(self.matrix.values), self.as_of, dtype="datetime64[D]")


def checked_version(text: str | None) -> str | None:
    """Check the format of a version; raises InvalidInput."""
    if text is not None and not _VERSION.fullmatch(text):
        message = "Three numbers separated by dots are expected, such as 2.4.1."
        raise invalid("model_version", message)
    return text


def checked_date(text: str | None) -> date | None:
    """Read the date of the rows; raises InvalidInput."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise invalid("as_of", "A date is expected, such as 2026-01-31.") from None


def read_json(body: bytes) -> Any:
    """Decode a JSON body.

    Raises
    ------
    MalformedRequest
        If it is not JSON, or nested too deeply.
    TooLarge
        If it is larger than `MAX_JSON_BYTES`.
    InvalidInput
        If NaN, Infinity or a number out of range is its only error.
    """
    if len(body) > MAX_JSON_BYTES:
        raise TooLarge(f"A JSON body can have at most {MAX_JSON_BYTES // 2**20} MB; send many rows as {ARROW_TYPE}.")
    refuse_hard_json(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        _refuse_bad_numbers(body)
        raise MalformedRequest(f"The body is not JSON: {error}.") from None


def _refuse_bad_numbers(body: bytes) -> None:
    """Raise InvalidInput if NaN, Infinity or a number out of range is the only error."""

    def refuse(literal: str) -> NoReturn:
        raise InvalidInput(
            f"{literal} is not a JSON number; send null for a missing value and finite numbers otherwise."
        )

    def finite(literal: str) -> float:
        return float(literal) if np.isfinite(float(literal)) else refuse(literal[:40])

    try:
        json.loads(body, parse_constant=refuse, parse_float=finite)
    except (ValueError, RecursionError):
        return


def read_predict_request(body: bytes) -> PredictRequest:
    """Decode a prediction request in JSON; raises MalformedRequest or InvalidInput."""
    raw = read_json(body)
    if not isinstance(raw, dict):
        raise InvalidInput(
            "A JSON object with `columns` is expected.", details=[{"field": "columns", "message": "Missing."}]
        )
    try:
        return PredictRequest.model_validate(raw)
    except ValidationError as error:
        details = _details(error)
        raise InvalidInput.of(details) from None


def _details(error: ValidationError) -> list[Detail]:
    details: dict[tuple[str, int | None], Detail] = {}
    for each in error.errors(include_url=False, include_input=False):
        loc = each["loc"]
        row = next((part for part in loc if isinstance(part, int)), None)
        names = [str(part) for part in loc[: loc.index(row) if row is not None else len(loc)]]
        in_a_cell = names[:1] == ["columns"] and row is not None
        message = "A number, text, true, false or null is expected." if in_a_cell else each["msg"]
        detail: Detail = {"field": ".".join(names) or "body", "message": message}
        if row is not None:
            detail["row"] = row
        details.setdefault((detail["field"], row), detail)
    return list(details.values())


def rows_of_request(model: ChurnModel, request: PredictRequest) -> Rows:
    """The rows of a JSON request, without features that were left out of the model; raises InvalidInput."""
    left_out = set(model.left_out)
    columns = {name: cells for name, cells in request.columns.items() if name not in left_out}
    matrix = model.matrix_of_lists(columns if left_out else request.columns)
    rows, keys = len(matrix.values), request.row_keys
    if keys is not None and len(keys) != rows:
        raise invalid("row_keys", f"There are {len(keys)} keys for {rows} rows.")
    if keys is not None and not all(key in _INT64 for key in keys):
        raise invalid("row_keys", "A key must be a 64-bit integer.")
    return Rows(matrix, None if keys is None else pa.array(keys, pa.int64()), checked_date(request.as_of))


def read_arrow(body: bytes) -> pa.Table:
    """Decode an Arrow stream and validate its buffers; raises MalformedRequest."""
    try:
        table = arrow.decode(body)
        table.validate(full=True)
    except (pa.ArrowException, UnicodeDecodeError, OverflowError) as error:
        raise MalformedRequest(f"The body is not a valid Arrow IPC stream: {error}") from None
    return table


def rows_of_table(model: ChurnModel, table: pa.Table, as_of: str | None = None) -> Rows:
    """The rows of an Arrow table, without columns that are not features; raises InvalidInput."""
    matrix = to_matrix(model.schema, model.categories, typed_columns(model.schema, table))
    return Rows(matrix, row_keys_of(table), checked_date(as_of))


def json_answer(
    model: ChurnModel, rows: Rows, explanation: Explanation, *, with_outlook: bool = False
) -> dict[str, Any]:
    """A `PredictResponse` as plain values."""
    predictions = _predictions(model, explanation, fact_warnings.row_warnings(model, rows.matrix))
    if with_outlook:
        scores = explanation.scores
        outlooks = model.outlook.of_rows(model.schema, rows.matrix.values, scores.probability, scores.margin)
        for prediction, outlook in zip(predictions, outlooks, strict=True):
            prediction["outlook"] = outlook.model_dump()
    return {**_model_fields(model, rows, explanation), "predictions": predictions}


def _model_fields(model: ChurnModel, rows: Rows, explanation: Explanation) -> dict[str, Any]:
    year = model.time_of_year
    return {
        "model_version": model.version,
        "threshold": model.threshold,
        "base_probability": explanation.base_probability,
        "base_margin": model.base_margin,
        "level": 0.0 if rows.as_of is None else level_at(year, rows.as_of),
        "no_level_because": NO_DATE if year is not None and rows.as_of is None else None,
    }


def _predictions(
    model: ChurnModel, explanation: Explanation, warnings: list[list[FactWarning]]
) -> list[dict[str, Any]]:
    names = model.schema.feature_names
    scores, points = explanation.scores, explanation.points
    columns = (
        scores.probability.tolist(),
        scores.confidence.tolist(),
        scores.label.tolist(),
        scores.out_of_fold.tolist(),
        scores.margin.tolist(),
        points.other.tolist(),
        points.order.tolist(),
        points.contributions.tolist(),
        points.points.tolist(),
        explanation.time_of_year.tolist(),
        warnings,
    )
    return [
        {
            "churn_probability": probability,
            "confidence": confidence,
            "label": label,
            "out_of_fold": out_of_fold,
            "margin": margin,
            "other_points": other,
            "time_of_year_points": of_year,
            "reasons": [
                {"feature": names[i], "contribution": share, "points": part}
                for i, share, part in zip(order, shares, parts, strict=True)
            ],
            "warnings": found,
        }
        for probability, confidence, label, out_of_fold, margin, other, order, shares, parts, of_year, found in zip(
            *columns, strict=True
        )
    ]


def arrow_answer(model: ChurnModel, sent: Rows, explanation: Explanation) -> bytes:
    """An Arrow stream of `shared.contracts.arrow.answer_schema`; missing reasons are -1 and null."""
    about = {
        **_model_fields(model, sent, explanation),
        arrow.UNKNOWN_VALUES: fact_warnings.unknown_values(model, sent.matrix.unknown),
        arrow.LEAVER_VALUES: serving_check.values_seen(model, sent.matrix),
    }
    schema = arrow.answer_schema(about)
    scores, points = explanation.scores, explanation.points
    positions = _positions(model)
    columns: list[pa.Array] = [pa.array(scores.probability), pa.array(scores.confidence), pa.array(scores.out_of_fold)]
    listed, rows = points.order.shape[1], len(scores.probability)
    for k in range(TOP_REASONS):
        if k < listed:
            columns += [pa.array(positions[points.order[:, k]]), pa.array(points.points[:, k])]
        else:
            columns += [pa.array(np.full(rows, -1, np.int16)), pa.nulls(rows, pa.float64())]
    return arrow.encode(schema, [pa.record_batch(columns, schema=schema)])


def _positions(model: ChurnModel) -> npt.NDArray[np.int16]:
    """The position of each of the model's features in the schema of the table that it was trained on."""
    known = enumerate(model.table_schema.features)
    return np.array([position for position, name in known if name in model.schema.features], dtype=np.int16)
