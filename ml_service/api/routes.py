"""The routes: read the request, make one call, write the answer.

Law: nothing is computed here; every failure is raised, never written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, jsonify, request

from ml_service.api import codec
from ml_service.api.openapi import document
from ml_service.api.service import MLService
from ml_service.model.registry import OnDisk
from ml_service.training.process import TrainingRun
from shared.clock import iso, utc_now
from shared.contracts.api import ARROW_TYPE, HTML_TYPE, JSON_TYPE, NDJSON_TYPE
from shared.errors import InvalidInput, NotFound, ServiceError, UnsupportedMedia

blueprint = Blueprint("ml", __name__, url_prefix="/api")
OPEN = ("ml.health", "ml.ready", "ml.openapi")


def _service() -> MLService:
    service: MLService = current_app.extensions["ml_service"]
    return service


@blueprint.get("/health")
def health() -> Response:
    """It runs; and whether a verified model is in memory."""
    registry = _service().registry
    return jsonify(
        status="OK",
        service="RetainStream ML Service",
        model_loaded=registry.holds_a_model,
        version=registry.newest(),
        timestamp=iso(utc_now()),
    )


@blueprint.get("/health/ready")
def ready() -> Response:
    """200 where the newest model can score, and by what; 503 with the reason otherwise."""
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


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """OpenAPI 3.1 of this service."""
    return jsonify(document())


@blueprint.post("/predict")
def predict() -> Response:
    """Score rows and say why; the answer comes in the form of the request."""
    version = codec.checked_version(request.args.get("model_version"))
    if request.mimetype == ARROW_TYPE:
        return Response(_service().score_table(request.get_data(), version), mimetype=ARROW_TYPE)
    if request.mimetype == JSON_TYPE:
        return jsonify(_service().score_request(codec.read_predict_request(request.get_data()), version))
    raise UnsupportedMedia(f"Send {JSON_TYPE} or {ARROW_TYPE}.")


@blueprint.post("/train")
def train() -> Response:
    """Train on a snapshot, or without a body on the simulated subscribers."""
    return _answer(_service().start_training(_training_body()))


@blueprint.post("/backtest")
def backtest() -> Response:
    """Judge a model of each past date on a snapshot with dates; nothing is kept."""
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
            raise InvalidInput(f"Training data come as {ARROW_TYPE}; a JSON body must be empty.")
        return None
    if request.mimetype != ARROW_TYPE:
        raise UnsupportedMedia(f"Send {ARROW_TYPE}, or no body to train on the simulated subscribers.")
    return body


class _Lines:
    """NDJSON lines of a training. The server calls `close` when the caller goes away, read or not."""

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


@blueprint.get("/features")
def features() -> Response:
    """The features of a model and their importance."""
    model = _service().registry.get(codec.checked_version(request.args.get("model_version")))
    if model.report is None:
        raise NotFound(f"Model {model.version} carries no report.")
    return jsonify(model_version=model.version, features=model.report["importance"])


@blueprint.get("/models")
def models() -> Response:
    """What is on disk, newest first, each verified now."""
    registry = _service().registry
    found = [registry.inspect(version) for version in registry.versions()]
    return jsonify(newest=registry.newest(), models=[_summary(each) for each in found])


@blueprint.get("/models/<version>")
def model(version: str) -> Response:
    """One version: verified or not, its manifest and its report."""
    found = _service().registry.inspect(version)
    return jsonify({**_summary(found), "manifest": found.about, "report": found.report})


@blueprint.get("/models/<version>/report")
def report(version: str) -> Response:
    """One version's report as a page."""
    model = _service().registry.get(version)
    if model.report_page is None:
        raise NotFound(f"Model {version} carries no report page.")
    return Response(model.report_page, content_type=HTML_TYPE)


def _summary(found: OnDisk) -> dict[str, Any]:
    about, report = found.about or {}, found.report or {}
    return {
        "model_version": found.version,
        "verified": found.problem is None,
        "problem": found.problem,
        "created_at": about.get("created_at"),
        "algorithm": about.get("algorithm"),
        "data_sha256": about.get("data_sha256"),
        "threshold": about.get("threshold"),
        "training_samples": report.get("training_samples"),
        "features": report.get("features"),
        "auc": report.get("auc"),
    }
