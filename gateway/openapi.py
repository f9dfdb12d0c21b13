"""The only module that uses the OpenAPI library: the app class, blueprints, the document and its page.

Law: a route declares its input and answers by its signature and `answers(...)`; the document follows from that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_type_hints

from flask import Flask, Response, jsonify, send_from_directory
from flask_openapi import APIBlueprint, Info, OpenAPI
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gateway import __version__
from shared.contracts.api import ErrorBody
from shared.errors import InvalidInput
from shared.validation import details_of
from shared.web.error_responses import error_response

T = TypeVar("T")
#: Failures of every request with a body, and of every request; all have the same schema.
_OF_BODIES = {"400": "The body is not JSON", "413": "The body is too large", "415": "The content type is wrong"}
_OF_ALL = {"414": "The path and its query are too long", "503": "Something that this needs is unavailable or busy"}
_CONVERTER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")


class Failure(BaseModel):
    """The body of every failure."""

    success: Literal[False]
    message: str
    error: ErrorBody


class Success(BaseModel, Generic[T]):
    """The envelope of every success but health's."""

    success: Literal[True]
    data: T
    message: str | None = None


class Legacy(BaseModel):
    """A body of the routes that old clients call: unknown fields are ignored, an empty body is `{}`."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_an_object(cls, value: Any) -> Any:
        return {} if value is None else value


class Body(BaseModel):
    """A body of our own routes: unknown fields are refused, an empty body is `{}`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _empty_is_an_object(cls, value: Any) -> Any:
        return {} if value is None else value


class Query(BaseModel):
    """Parameters of a query string; `gateway.security.queries` refuses unknown ones, except on the old routes.

    Attributes
    ----------
    open_prefix
        Names that begin with it are parameters too: those of features, which the schema names.
    """

    model_config = ConfigDict(extra="ignore")
    open_prefix: ClassVar[str | None] = None


@dataclass(frozen=True)
class Parameters:
    """The names of the query parameters that a route declares."""

    names: tuple[str, ...] = ()
    open_prefix: str | None = None

    def has(self, name: str) -> bool:
        """Return whether a name is declared."""
        return name in self.names or (self.open_prefix is not None and name.startswith(self.open_prefix))

    def told(self) -> tuple[str, ...]:
        """Return the names as a message lists them."""
        return (*self.names, f"{self.open_prefix}<name>") if self.open_prefix else self.names


class AssetPath(BaseModel):
    """A file of the page."""

    name: str


class Keyset(Query):
    """The paging of every list of our own."""

    limit: int = Field(50, ge=1, le=100, description="Rows per page")
    after: str | None = Field(None, max_length=200, description="`next` of the previous page")


def make_app(import_name: str) -> OpenAPI:
    """Make an app whose routes document themselves; nothing is served yet."""
    description = "Predicts who will leave in the next 30 days, why, and what to do about it."
    info = Info(title="RetainStream", version=__version__, description=description)
    schemes: dict[str, Any] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "access_token_cookie",
            "description": "Over TLS its name is `__Host-access_token_cookie`.",
        },
        "key": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "A machine's key, on the routes that name its scope; it also works as a bearer token.",
        },
    }
    app = OpenAPI(
        import_name,
        info=info,
        security_schemes=schemes,
        validation_error_model=Failure,
        validation_error_callback=_refuse,
        doc_ui=False,
        static_folder=None,
    )
    app.openapi_version = "3.1.0"
    app.url_map.merge_slashes = False  # `//` is another path: no redirect to a host that the request names
    return app


def blueprint(name: str, import_name: str, *, prefix: str, signed_in: bool = True) -> APIBlueprint:
    """Make a blueprint whose routes document the failures they can answer."""
    failures: dict[Any, Any] = {str(status): Failure for status in ((401, 403) if signed_in else ()) + (422, 429)}
    return APIBlueprint(
        name,
        import_name,
        url_prefix=prefix,
        abp_tags=[{"name": name}],
        abp_security=[{"bearer": []}, {"cookie": []}] if signed_in else None,
        abp_responses=failures,
    )


def answers(data: Any, *, status: int = 200, also: tuple[int, ...] = ()) -> dict[Any, Any]:
    """Document a route's answer: the envelope around `data`, and further failures."""
    return {str(status): Success[data], **{str(code): Failure for code in also}}


def ok(data: Any, *, message: str | None = None, status: int = 200) -> Response:
    """Answer with the envelope of a success.

    Parameters
    ----------
    data
        The model that documents the route, a list of them, or the result of a job. Fields that were not set are
        left out.
    """
    body: dict[str, Any] = {"success": True, "data": _plain(data)}
    if message is not None:
        body["message"] = message
    response = jsonify(body)
    response.status_code = status
    return response


def _plain(data: Any) -> Any:
    if isinstance(data, BaseModel):
        return data.model_dump(exclude_unset=True)
    return [_plain(each) for each in data] if isinstance(data, list) else data


def _refuse(error: ValidationError) -> Response:
    return error_response(InvalidInput.of(details_of(error)))


def serve_docs(app: OpenAPI, scopes_of: Callable[[str, str], tuple[str, ...]] = lambda method, rule: ()) -> None:
    """Serve the document at /api/openapi.json and a page at /api/docs that works without the internet.

    Parameters
    ----------
    scopes_of
        Returns the scopes that let a key use a method and rule; the document lists them as a further way to sign in.
    """
    spec = find_spec("flask_openapi_swagger")
    assert spec is not None
    assert spec.origin is not None
    assets = Path(spec.origin).parent / "templates" / "swagger"

    @app.get("/api/openapi.json", doc_ui=False)
    def openapi_json() -> Response:
        return jsonify(_completed(_with_open_names(app, _with_keys(app, scopes_of))))

    @app.get("/api/docs", doc_ui=False)
    def docs_page() -> Response:
        response = send_from_directory(Path(__file__).parent / "page", "docs.html")
        # Swagger UI writes style attributes; scripts stay limited to our own files.
        response.headers["Content-Security-Policy"] = (
            "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
            "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        )
        return response

    @app.get("/api/docs/assets/<path:name>", doc_ui=False)
    def docs_asset(path: AssetPath) -> Response:
        return send_from_directory(assets, path.name, max_age=86_400)


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add the failures that every operation of its kind can answer."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answered = operation["responses"]
            if path.startswith("/api/health"):
                continue
            _allow_empty_bodies(document, operation)
            for status, text in {**(_OF_BODIES if method != "get" else {}), **_OF_ALL}.items():
                answered.setdefault(status, {**answered["429"], "description": text})
    return document


def _allow_empty_bodies(document: dict[str, Any], operation: dict[str, Any]) -> None:
    # An empty body is `{}`: where no field is required, no body is.
    body = operation.get("requestBody", {})
    reference = body.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = document["components"]["schemas"].get(reference.rpartition("/")[2])
    if schema is not None:
        body["required"] = bool(schema.get("required"))


def declared_parameters(app: Flask) -> dict[str, Parameters]:
    """Return the query parameters of every route of the document, by `METHOD rule`."""
    assert isinstance(app, OpenAPI)
    found = {}
    for rule in app.url_map.iter_rules():
        if _CONVERTER.sub(r"{\1}", rule.rule) not in app.paths:
            continue
        query = get_type_hints(app.view_functions[rule.endpoint]).get("query")
        fields = query.model_fields.items() if query is not None else ()
        names = tuple(field.alias or name for name, field in fields)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found[f"{method} {rule.rule}"] = Parameters(names, getattr(query, "open_prefix", None))
    return found


def _with_open_names(app: OpenAPI, document: dict[str, Any]) -> dict[str, Any]:
    """Describe parameters whose names the schema gives: an exploded object, each property of which is a parameter."""
    for route, declared in declared_parameters(app).items():
        if declared.open_prefix is None:
            continue
        method, _, rule = route.partition(" ")
        listed = document["paths"][_CONVERTER.sub(r"{\1}", rule)][method.lower()]["parameters"]
        names = {"propertyNames": {"pattern": f"^{re.escape(declared.open_prefix)}"}}
        described = {
            "name": declared.open_prefix.rstrip("."),
            "in": "query",
            "style": "form",
            "explode": True,
            "description": f"Any feature: {declared.open_prefix}<name>=, <name>.min=, <name>.max=",
            "schema": {"type": "object", "additionalProperties": {"type": "string"}, **names},
        }
        if described not in listed:
            listed.append(described)
    return document


def _with_keys(app: OpenAPI, scopes_of: Callable[[str, str], tuple[str, ...]]) -> dict[str, Any]:
    document: dict[str, Any] = app.api_doc
    for rule in app.url_map.iter_rules():
        operations = document["paths"].get(_CONVERTER.sub(r"{\1}", rule.rule), {})
        for method, operation in operations.items():
            scopes = [{"key": [scope]} for scope in scopes_of(method.upper(), rule.rule)]
            if scopes and scopes[0] not in operation.get("security", []):
                operation["security"] = [*operation.get("security", []), *scopes]
    return document
