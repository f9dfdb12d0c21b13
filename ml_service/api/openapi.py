"""The OpenAPI 3.1 document, made from the contracts' own models.

Law: a body that a route reads or writes is described by the class that checks it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.contracts.api import (
    ARROW_TYPE,
    JSON_TYPE,
    NDJSON_TYPE,
    Backtest,
    Importance,
    PredictRequest,
    PredictResponse,
    Progress,
    TrainParams,
    TrainReport,
)

Json = dict[str, Any]
_MODELS: tuple[type[BaseModel], ...] = (
    Backtest,
    Importance,
    PredictRequest,
    PredictResponse,
    Progress,
    TrainParams,
    TrainReport,
)
_BINARY: Json = {"schema": {"type": "string", "format": "binary"}}
_ERRORS = {
    "400": "The body can't be read",
    "401": "Access token required",
    "403": "Invalid or expired token",
    "404": "No such model",
    "409": "No model yet, a version that exists, or a training that runs",
    "413": "The body is too large",
    "415": "A body of another type",
    "422": "Fields or rows that are not what was expected",
    "500": "A model on disk is corrupt",
    "503": "Try again",
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json) -> Json:
    return {JSON_TYPE: {"schema": schema}}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _operation(
    name: str, summary: str, content: Json, *errors: str, body: Json | None = None, parameters: list[Json] | None = None
) -> Json:
    failures = {code: {"description": _ERRORS[code], "content": _json(_ref("Failure"))} for code in errors}
    operation: Json = {
        "operationId": name,
        "summary": summary,
        "tags": ["ml"],
        "responses": {"200": {"description": "Done", "content": content}, **failures},
    }
    if body is not None:
        operation["requestBody"] = body
    if parameters:
        operation["parameters"] = parameters
    if "401" not in errors:
        operation["security"] = []
    return operation


_TEXT: Json = {"type": "string"}
_TEXT_OR_NULL: Json = {"type": ["string", "null"]}
_PLAIN_OR_NULL: Json = {"type": ["object", "null"]}
_VERSION_QUERY: Json = {
    "name": "model_version",
    "in": "query",
    "required": False,
    "description": "The newest on disk if absent",
    "schema": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
}
_VERSION_PATH: Json = {
    **_VERSION_QUERY,
    "name": "version",
    "in": "path",
    "required": True,
    "description": "Such as 2.4.1",
}
_AUTH = ("401", "403")


def _summary() -> Json:
    nullable = {"type": ["number", "null"]}
    return _object(
        model_version=_TEXT,
        verified={"type": "boolean"},
        problem=_TEXT_OR_NULL,
        created_at=_TEXT_OR_NULL,
        algorithm=_TEXT_OR_NULL,
        data_sha256=_TEXT_OR_NULL,
        threshold=nullable,
        training_samples=nullable,
        features=nullable,
        auc=nullable,
    )


def _health_paths() -> Json:
    health = _object(
        status=_TEXT, service=_TEXT, model_loaded={"type": "boolean"}, version=_TEXT_OR_NULL, timestamp=_TEXT
    )
    ready = _object(
        ready={"type": "boolean"},
        reason=_TEXT_OR_NULL,
        version=_TEXT_OR_NULL,
        scored_by=_TEXT_OR_NULL,
        no_tables_because=_TEXT_OR_NULL,
        timestamp=_TEXT,
    )
    is_ready = _operation("ready", "Whether the newest model can score", _json(ready))
    is_ready["responses"]["503"] = {"description": "No verified model; `reason` says why", "content": _json(ready)}
    return {
        "/api/health": {"get": _operation("health", "Whether the service runs", _json(health))},
        "/api/health/ready": {"get": is_ready},
        "/api/openapi.json": {"get": _operation("openapi", "This document", _json({"type": "object"}))},
    }


def _work_paths() -> Json:
    predict_body = {"required": True, "content": {**_json(_ref("PredictRequest")), ARROW_TYPE: _BINARY}}
    train_body = {
        "required": False,
        "content": {ARROW_TYPE: _BINARY},
        "description": (
            "shared.contracts.arrow.train_schema with TrainParams as metadata; none: the simulated 120,000 records"
        ),
    }
    predicted = {**_json(_ref("PredictResponse")), ARROW_TYPE: _BINARY}
    line = _object(report=_ref("TrainReport"))
    trained = {**_json(_ref("TrainReport")), NDJSON_TYPE: {"schema": {"oneOf": [_ref("Progress"), line]}}}
    tested_line = _object(backtest=_ref("Backtest"))
    tested = {**_json(_ref("Backtest")), NDJSON_TYPE: {"schema": {"oneOf": [_ref("Progress"), tested_line]}}}
    refused = ("400", *_AUTH, "404", "409", "413", "415", "422", "500")
    return {
        "/api/predict": {
            "post": _operation(
                "predict",
                "Score rows and say why, in the form of the request",
                predicted,
                *refused,
                body=predict_body,
                parameters=[_VERSION_QUERY],
            )
        },
        "/api/backtest": {
            "post": _operation(
                "backtest", "Judge a model of each past date; none is kept", tested, *refused, "503", body=train_body
            )
        },
        "/api/train": {
            "post": _operation(
                "train", "Train a model; closing an NDJSON answer stops it", trained, *refused, "503", body=train_body
            )
        },
    }


def _reading_paths() -> Json:
    features = _object(model_version=_TEXT, features={"type": "array", "items": _ref("Importance")})
    one = _summary()
    one["properties"] |= {"manifest": _PLAIN_OR_NULL, "report": {"anyOf": [_ref("TrainReport"), {"type": "null"}]}}
    listed = _object(newest=_TEXT_OR_NULL, models={"type": "array", "items": _summary()})
    return {
        "/api/features": {
            "get": _operation(
                "features",
                "A model's features and their importance",
                _json(features),
                *_AUTH,
                "404",
                "409",
                "422",
                "500",
                parameters=[_VERSION_QUERY],
            )
        },
        "/api/models": {"get": _operation("models", "Versions on disk, each verified now", _json(listed), *_AUTH)},
        "/api/models/{version}/report": {
            "get": _operation(
                "report",
                "One version's report as a page",
                {"text/html": {"schema": _TEXT}},
                *_AUTH,
                "404",
                "500",
                parameters=[_VERSION_PATH],
            )
        },
        "/api/models/{version}": {
            "get": _operation(
                "model", "One version: manifest and report", _json(one), *_AUTH, "404", parameters=[_VERSION_PATH]
            )
        },
    }


@cache
def document() -> Json:
    """The whole document, plain values."""
    _, schemas = models_json_schema(
        [(m, "serialization") for m in _MODELS], ref_template="#/components/schemas/{model}"
    )
    error = _object(code=_TEXT, request_id=_TEXT)
    error["properties"]["details"] = {"type": "array", "items": {"type": "object"}}
    failure = _object(success={"const": False}, message=_TEXT, error=error)
    return {
        "openapi": "3.1.0",
        "info": {"title": "RetainStream ML Service", "version": "1.0.0"},
        "security": [{"service_token": []}],
        "paths": {**_health_paths(), **_work_paths(), **_reading_paths()},
        "components": {
            "schemas": {**schemas["$defs"], "Failure": failure},
            "securitySchemes": {"service_token": {"type": "http", "scheme": "bearer"}},
        },
    }
