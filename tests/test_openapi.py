"""The document of the API and its page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from gateway.app import create_app
from gateway.settings import Settings
from tests.shapes import is_failure
from tests.stack import Stack

pytestmark = pytest.mark.xdist_group("stack")
UNDOCUMENTED = {"/api/openapi.json", "/api/docs", "/api/docs/assets/<path:name>"}
JSON = "application/json"
METHODS = {"get", "post", "put", "patch", "delete"}
OUTSIDE = re.compile(r"""(?:src|href|url\(|import|fetch\()\s*[=(]?\s*["'`]?\s*(?:https?:)?//""")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("openapi")
    return create_app(Settings(_env_file=None, APP_ENV="test", DATABASE_PATH=folder / "none.db", ML_SERVICE_TOKEN="x"))


@pytest.fixture(scope="module")
def document(stack: Stack) -> dict[str, Any]:
    answer = stack.anonymous().get("/api/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    return dict(answer.json())


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, item[method]) for path, item in document["paths"].items() for method in METHODS & item.keys()
    ]


def _routes(app: Flask) -> set[tuple[str, str]]:
    found = set()
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/") and rule.rule not in UNDOCUMENTED:
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            found |= {(method.lower(), path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def _references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(_references(value) for value in node))
    return set()


def _resolve(document: dict[str, Any], node: Any) -> Any:
    while isinstance(node, dict) and "$ref" in node:
        reference, node = node["$ref"], document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["info"]["version"])
    assert set(document) <= {
        "openapi",
        "info",
        "jsonSchemaDialect",
        "servers",
        "paths",
        "webhooks",
        "components",
        "security",
        "tags",
        "externalDocs",
    }


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = _references(document)
    assert references
    for reference in references:
        assert reference.startswith("#/components/"), reference
        assert _resolve(document, {"$ref": reference}) is not None


def test_the_schemas_use_the_types_of_3_1(document: dict[str, Any]) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert not isinstance(node.get("nullable"), bool), "nullable is of OpenAPI 3.0"
            kind = node.get("type")
            allowed = {"string", "number", "integer", "boolean", "object", "array", "null"}
            if isinstance(kind, str) and ("properties" in node or "items" in node):
                assert kind in allowed
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document["components"]["schemas"])


def test_every_route_is_listed_and_nothing_else(app: Flask, document: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in _operations(document)} == _routes(app)


def test_every_operation_has_a_summary_and_a_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(names) == len(set(names))
    without = [f"{method} {path}" for method, path, o in _operations(document) if not o.get("summary")]
    assert without == []


def test_every_operation_says_what_it_answers(document: dict[str, Any]) -> None:
    without = []
    for method, path, operation in _operations(document):
        success = [status for status in operation["responses"] if status.startswith("2")]
        contents = [
            (kind, _resolve(document, content["schema"]))
            for status in success
            for kind, content in operation["responses"][status].get("content", {}).items()
        ]
        # Files and streams are text or bytes; whatever is JSON says its fields.
        told = [
            schema.get("properties") if kind == JSON else schema.get("type") == "string" for kind, schema in contents
        ]
        if not told or not all(told):
            without.append(f"{method.upper()} {path}")
        assert all(response.get("description") for response in operation["responses"].values()), path
    assert without == []


def test_every_answer_in_an_envelope_is_described_as_one(document: dict[str, Any]) -> None:
    for _, path, operation in _operations(document):
        for status, response in operation["responses"].items():
            if JSON not in response.get("content", {}):
                continue
            schema = _resolve(document, response["content"][JSON]["schema"])
            if status.startswith("2") and not path.startswith("/api/health"):
                assert {"success", "data"} <= set(schema["properties"]), path
            elif status.startswith("4"):
                assert {"success", "message", "error"} <= set(schema["properties"]), path


def test_every_parameter_of_a_path_is_declared(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path)), f"{method} {path}"
        for each in operation.get("parameters", []):
            assert each["schema"], path
            assert each["in"] != "path" or each["required"] is True


def test_what_needs_a_token_says_so(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    open_to_all = {"/api/health", "/api/health/ready", "/api/auth/login", "/api/auth/register"}
    for _, path, operation in _operations(document):
        needed = operation.get("security", document.get("security"))
        assert bool(needed) == (path not in open_to_all), path
        for alternative in needed or ():
            assert set(alternative) <= set(schemes)


def test_long_work_says_that_it_may_answer_202(document: dict[str, Any]) -> None:
    for path in ("/api/model/train", "/api/dashboard/predict", "/api/predictions/generate"):
        assert "202" in document["paths"][path]["post"]["responses"], path


def test_the_documented_answers_are_what_is_answered(stack: Stack, document: dict[str, Any]) -> None:
    """Every read's answer has the fields that the document requires of it, and no answer is a surprise."""
    api = stack.analyst()
    for method, path, operation in _operations(document):
        if method != "get" or "{" in path or path.startswith(("/api/health", "/api/users")):
            continue
        answer = api.get(path)
        assert str(answer.status_code) in operation["responses"], f"{path}: {answer.status_code}"
        if answer.status_code != 200 or answer.headers["Content-Type"] != JSON:
            continue
        schema = _resolve(document, operation["responses"]["200"]["content"][JSON]["schema"])
        data = _resolve(document, schema["properties"]["data"])
        first = answer.json()["data"]
        if data.get("type") == "array":
            data, first = _resolve(document, data["items"]), first[0]
        forms = [_resolve(document, form) for form in data.get("anyOf", [data])]
        assert any(set(form["required"]) <= set(first) for form in forms), path


def test_the_page_of_the_document_needs_nothing_from_outside(stack: Stack) -> None:
    api = stack.anonymous()
    page = api.get("/api/docs")
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert not OUTSIDE.search(page.text)
    assert "<script>" not in page.text, "an inline script would need a weaker policy"
    links = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert links
    for link in links:
        assert link.startswith("/"), link
        answer = api.get(link)
        assert answer.status_code == 200, link
        if link.endswith(".css"):
            assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", answer.text)
        if link.startswith("/page/"):
            assert not OUTSIDE.search(answer.text)
            assert "/api/openapi.json" in answer.text or not link.endswith("docs.js")


def test_the_page_of_the_document_is_kept_to_its_own_origin(stack: Stack) -> None:
    headers = stack.anonymous().get("/api/docs").headers
    policy = {part.split()[0]: part.split()[1:] for part in headers["Content-Security-Policy"].split(";")}
    assert policy["default-src"] == ["'self'"]
    assert "'unsafe-inline'" not in policy.get("script-src", policy["default-src"])
    assert policy["frame-ancestors"] == ["'none'"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("name", ["../../../app.py", "%2e%2e/%2e%2e/app.py", "no-such.js", "..%5capp.py"])
def test_the_assets_are_only_the_assets(stack: Stack, name: str) -> None:
    for folder in ("/api/docs/assets/", "/page/"):
        is_failure(stack.anonymous().get(f"{folder}{name}"), 404)


def test_the_ml_services_document_lists_its_routes(stack: Stack) -> None:
    document = stack.ml("GET", "/api/openapi.json").json()
    listed = {(method, path) for method, path, _ in _operations(document)}
    for row in (
        ("get", "/api/health"),
        ("get", "/api/health/ready"),
        ("post", "/api/predict"),
        ("post", "/api/train"),
        ("get", "/api/features"),
        ("get", "/api/models"),
        ("get", "/api/models/{version}"),
    ):
        assert row in listed
    for reference in _references(document):
        assert _resolve(document, {"$ref": reference}) is not None
