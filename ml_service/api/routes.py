"""The routes: each reads the request, makes one call and writes the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import orjson
from flask import Response, current_app, jsonify, request
from pydantic import Field

from ml_service.api import codec
from ml_service.api.openapi import DocumentedBlueprint, failures
from ml_service.api.schemas import (
    BacktestLine,
    FailureLine,
    FeatureImportances,
    Health,
    ModelDetails,
    ModelList,
    ModelSummary,
    Readiness,
    ReportLine,
)
from ml_service.api.service import MLService
from ml_service.model.registry import StoredModel
from ml_service.training.process import TrainingRun
from shared.clock import iso, utc_now
from shared.contracts.api import (
    ARROW_TYPE,
    HTML_TYPE,
    JSON_TYPE,
    NDJSON_TYPE,
    Backtest,
    IsoDate,
    PredictRequest,
    PredictResponse,
    Progress,
    TrainReport,
    Version,
)
from shared.contracts.dependence import DependenceAnswer
from shared.errors import InvalidInput, NotFound, ServiceError, UnsupportedMedia

blueprint = DocumentedBlueprint("ml", __name__, url_prefix="/api")

_MODEL_VERSION = {"model_version": Annotated[Version, Field(description="The newest on disk if absent")]}
_AS_OF = {"as_of": Annotated[IsoDate, Field(description="Date of the rows of an Arrow stream, for the time of year")]}
_VERSION = {"version": Version}
_SNAPSHOT = {
    ARROW_TYPE: Annotated[
        bytes, Field(description="`shared.contracts.arrow.train_schema`, with TrainParams as the schema's metadata")
    ]
}
#: Statuses that scoring and training share.
_REFUSED = failures(400, 404, 409, 413, 415, 422, 500)


def _service() -> MLService:
    service: MLService = current_app.extensions["ml_service"]
    return service


@blueprint.operation("GET", "/health", {JSON_TYPE: Health}, public=True)
def health() -> Response:
    """Report that the service runs, and whether a verified model is in memory."""
    registry = _service().registry
    return jsonify(
        status="OK",
        service="RetainStream ML Service",
        model_loaded=registry.holds_a_model,
        version=registry.newest(),
        timestamp=iso(utc_now()),
    )


@blueprint.operation("GET", "/health/ready", {JSON_TYPE: Readiness}, also={503: {JSON_TYPE: Readiness}}, public=True)
def ready() -> Response:
    """Report that the newest model can score, and by which method; 503 with the reason if it can't."""
    problem, fallback = _service().problem(), _service().fallback()
    response = jsonify(
        ready=problem is None,
        reason=problem,
        version=_service().registry.newest(),
        scored_by=None if problem else "xgboost" if fallback else "tables",
        no_tables_because=fallback,
        timestamp=iso(utc_now()),
    )
    response.status_code = 200 if problem is None else 503
    return response


@blueprint.operation("GET", "/openapi.json", {JSON_TYPE: dict[str, Any]}, public=True)
def openapi() -> Response:
    """This document."""
    return jsonify(blueprint.document)


@blueprint.operation(
    "POST",
    "/predict",
    {JSON_TYPE: PredictResponse, ARROW_TYPE: bytes},
    body={JSON_TYPE: PredictRequest, ARROW_TYPE: bytes},
    parameters={**_MODEL_VERSION, **_AS_OF},
    also=_REFUSED,
)
def predict() -> Response:
    """Score rows and give the reasons, in the media type of the request."""
    version = codec.checked_version(request.args.get("model_version"))
    if request.mimetype == ARROW_TYPE:
        scored = _service().score_table(request.get_data(), version, request.args.get("as_of"))
        return Response(scored, mimetype=ARROW_TYPE)
    if request.mimetype == JSON_TYPE:
        return jsonify(_service().score_request(codec.read_predict_request(request.get_data()), version))
    raise UnsupportedMedia(f"Send {JSON_TYPE} or {ARROW_TYPE}.")


@blueprint.operation(
    "POST", "/dependence", {JSON_TYPE: DependenceAnswer}, body={JSON_TYPE: PredictRequest}, also=_REFUSED
)
def dependence() -> Response:
    """Explain rows, and sum up the points of each feature by its value."""
    if request.mimetype != JSON_TYPE:
        raise UnsupportedMedia(f"Send {JSON_TYPE}.")
    found = _service().dependence(codec.read_predict_request(request.get_data()))
    return jsonify(found.model_dump())


@blueprint.operation(
    "POST",
    "/train",
    {JSON_TYPE: TrainReport, NDJSON_TYPE: Progress | ReportLine | FailureLine},
    body=_SNAPSHOT,
    body_required=False,
    also={**_REFUSED, **failures(503)},
)
def train() -> Response:
    """Train on the snapshot sent, or on the simulated subscribers if the body is empty; disconnecting stops it."""
    return _answer(_service().start_training(_training_body()))


@blueprint.operation(
    "POST",
    "/backtest",
    {JSON_TYPE: Backtest, NDJSON_TYPE: Progress | BacktestLine | FailureLine},
    body=_SNAPSHOT,
    also={**_REFUSED, **failures(503)},
)
def backtest() -> Response:
    """Train and evaluate a model at each past date of the snapshot; no model is kept."""
    body = _training_body()
    if body is None:
        raise InvalidInput("A backtest needs a snapshot with dates.")
    return _answer(_service().start_backtest(body))


def _answer(run: TrainingRun) -> Response:
    if NDJSON_TYPE in request.accept_mimetypes.values():
        response = Response(_Lines(run), mimetype=NDJSON_TYPE)
        response.headers["X-Accel-Buffering"] = "no"
        return response
    for _ in run:
        pass
    (answer,) = run.result().values()
    return Response(orjson.dumps(answer), mimetype=JSON_TYPE)


def _training_body() -> bytes | None:
    body = request.get_data()
    if not body:
        return None
    if request.mimetype == JSON_TYPE:
        if codec.read_json(body) != {}:
            raise InvalidInput(f"Send training data as {ARROW_TYPE}; a JSON body must be empty.")
        return None
    if request.mimetype != ARROW_TYPE:
        raise UnsupportedMedia(f"Send {ARROW_TYPE}, or no body to train on the simulated subscribers.")
    return body


class _Lines:
    """The NDJSON lines of a training; the server calls `close` when the caller disconnects."""

    def __init__(self, run: TrainingRun) -> None:
        self._run = run

    def __iter__(self) -> Iterator[bytes]:
        try:
            for progress in self._run:
                yield orjson.dumps(progress.model_dump(), option=orjson.OPT_APPEND_NEWLINE)
            yield _line(self._run.result())
        except ServiceError as error:
            yield _line({"error": {"code": error.code, "message": error.message, "details": error.details}})

    def close(self) -> None:
        self._run.close()


def _line(content: dict[str, Any]) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_APPEND_NEWLINE)


@blueprint.operation(
    "GET", "/features", {JSON_TYPE: FeatureImportances}, parameters=_MODEL_VERSION, also=failures(404, 409, 422, 500)
)
def features() -> Response:
    """The features of a model and their importance."""
    model = _service().registry.get(codec.checked_version(request.args.get("model_version")))
    if model.report is None:
        raise NotFound(f"Model {model.version} has no report.")
    return jsonify(model_version=model.version, features=model.report["importance"])


@blueprint.operation("GET", "/models", {JSON_TYPE: ModelList})
def models() -> Response:
    """All versions on disk, newest first, each verified for this answer."""
    registry = _service().registry
    listed: ModelList = {
        "newest": registry.newest(),
        "models": [_summary(registry.inspect(version)) for version in registry.versions()],
    }
    return jsonify(listed)


@blueprint.operation("GET", "/models/<version>", {JSON_TYPE: ModelDetails}, parameters=_VERSION, also=failures(404))
def model(version: str) -> Response:
    """One version: whether it is intact, its manifest and its report."""
    stored = _service().registry.inspect(version)
    details: ModelDetails = {**_summary(stored), "manifest": stored.manifest, "report": stored.report}
    return jsonify(details)


@blueprint.operation(
    "GET", "/models/<version>/report", {"text/html": str}, parameters=_VERSION, also=failures(404, 500)
)
def report(version: str) -> Response:
    """The training report of one version as an HTML page."""
    page = _service().registry.get(version).report_page
    if page is None:
        raise NotFound(f"Model {version} has no report page.")
    return Response(page, content_type=HTML_TYPE)


def _summary(stored: StoredModel) -> ModelSummary:
    manifest, report = stored.manifest or {}, stored.report or {}
    return {
        "model_version": stored.version,
        "verified": stored.problem is None,
        "problem": stored.problem,
        "created_at": manifest.get("created_at"),
        "algorithm": manifest.get("algorithm"),
        "data_sha256": manifest.get("data_sha256"),
        "threshold": manifest.get("threshold"),
        "training_samples": report.get("training_samples"),
        "features": report.get("features"),
        "auc": report.get("auc"),
    }
