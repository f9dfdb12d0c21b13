"""OpenAPI 3.1: each route is registered with its request and answer types; the document is generated from these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeAlias

from flask import Blueprint, Response
from pydantic import TypeAdapter

from ml_service.api.schemas import Failure
from shared.contracts.api import JSON_TYPE

Json = dict[str, Any]
#: Types with a JSON schema in pydantic: of a body by media type, of a parameter by name.
Types: TypeAlias = Mapping[str, Any]
View = Callable[..., Response]

#: Flask writes a path parameter as <name>, OpenAPI as {name}.
_BRACES = str.maketrans("<>", "{}")


def failures(*statuses: int) -> dict[int, Types]:
    """Map each status to the common body of failures."""
    return {status: {JSON_TYPE: Failure} for status in statuses}


class DocumentedBlueprint(Blueprint):
    """A Flask blueprint that registers each route together with its description."""

    def __init__(self, name: str, import_name: str, *, url_prefix: str) -> None:
        super().__init__(name, import_name, url_prefix=url_prefix)
        self.public_paths: set[str] = set()
        #: Operations by path and method, with Python types in place of their JSON schemas.
        self._paths: dict[str, Json] = {}

    def operation(
        self,
        method: str,
        rule: str,
        answer: Types,
        *,
        also: Mapping[int, Types] | None = None,
        body: Types | None = None,
        body_required: bool = True,
        parameters: Types | None = None,
        public: bool = False,
    ) -> Callable[[View], View]:
        """Register a view function, with its docstring as the summary and its other answers in `also`."""
        answers = {200: answer, **(also or {}), **failures(401, 403)}

        def register(view: View) -> View:
            operation: Json = {
                "operationId": view.__name__,
                "summary": view.__doc__,
                "tags": [self.name],
                "parameters": [_parameter(rule, name, kind) for name, kind in (parameters or {}).items()],
                "responses": {
                    str(status): {"description": HTTPStatus(status).phrase, "content": _content(types)}
                    for status, types in sorted(answers.items())
                },
            }
            if body is not None:
                operation["requestBody"] = {"required": body_required, "content": _content(body)}
            if public:
                operation["security"] = []
                self.public_paths.add(f"{self.url_prefix}{rule}")
            self._paths.setdefault(f"{self.url_prefix}{rule}".translate(_BRACES), {})[method.lower()] = operation
            self.add_url_rule(rule, view_func=view, methods=[method])
            return view

        return register

    @cached_property
    def document(self) -> Json:
        """The OpenAPI document of all registered routes."""
        definitions: Json = {}
        return {
            "openapi": "3.1.0",
            "info": {"title": "RetainStream ML Service", "version": "1.0.0"},
            "security": [{"service_token": []}],
            "paths": _with_schemas(self._paths, definitions),
            "components": {
                "schemas": definitions,
                "securitySchemes": {"service_token": {"type": "http", "scheme": "bearer"}},
            },
        }


def _parameter(rule: str, name: str, kind: Any) -> Json:
    in_path = f"<{name}>" in rule
    return {"name": name, "in": "path" if in_path else "query", "required": in_path, "schema": kind}


def _content(types: Types) -> Json:
    return {media: {"schema": kind} for media, kind in types.items()}


def _with_schemas(node: Any, definitions: Json) -> Any:
    """A copy with JSON schemas in place of types; the schemas they refer to are added to `definitions`."""
    if isinstance(node, list):
        return [_with_schemas(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _schema(v, definitions) if key == "schema" else _with_schemas(v, definitions) for key, v in node.items()
    }


def _schema(kind: Any, definitions: Json) -> Json:
    schema = TypeAdapter(kind).json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    definitions |= schema.pop("$defs", {})
    if schema.get("type") != "object" or "title" not in schema:
        return schema
    definitions[schema["title"]] = schema
    return {"$ref": f"#/components/schemas/{schema['title']}"}
