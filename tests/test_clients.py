"""The example clients: run against the product, and typed as its own document says."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, PASSWORD, ROOT, Stack

pytestmark = pytest.mark.xdist_group("stack")
EXAMPLES = ROOT / "examples"
LANGUAGES = {"client.py": [sys.executable], "client.js": ["node"]}
JS_TYPES = {"number": {"integer", "number"}, "string": {"string"}, "Object": {"object"}, "Object[]": {"array"},
            "Listed[]": {"array"}, "boolean": {"boolean"}}  # fmt: skip
PY_TYPES: dict[Any, set[str]] = {
    bool: {"boolean"},
    int: {"integer"},
    float: {"number"},
    str: {"string"},
    dict: {"object"},
    list: {"array"},
}


def interpreter(name: str) -> list[str]:
    if shutil.which(LANGUAGES[name][0]) is None:
        pytest.skip(f"{LANGUAGES[name][0]} is not installed")
    return LANGUAGES[name]


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_a_client_signs_in_scores_lists_and_exports(stack: Stack, tmp_path: Path, name: str) -> None:
    line = [*interpreter(name), str(EXAMPLES / name), stack.url, DEMO_EMAIL, DEMO_PASSWORD]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    at_risk = [text for text in done.stdout.splitlines() if text.startswith("at risk")]
    assert len(at_risk) == stack.analyst().data("/api/customers?risk=High&limit=1")["total"]
    written = (tmp_path / "customers.csv").read_bytes()
    assert f"exported {len(written)} bytes" in done.stdout
    assert written.count(b"\r\n") == 1 + stack.value("SELECT count(*) FROM customers")


@pytest.fixture(scope="module")
def own(new_stack: Callable[..., Stack]) -> Iterator[Stack]:
    """An installation without customers: what is imported needs its schema, and no model is there yet."""
    stack = new_stack(empty=True, DEMO="0")
    stack.start("gateway", "worker")
    stack.person("analyst")
    yield stack
    stack.stop()


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_a_client_imports_a_table_with_its_schema(own: Stack, tmp_path: Path, name: str) -> None:
    head, *lines = (EXAMPLES / "customers.csv").read_text(encoding="utf-8").splitlines()
    table = tmp_path / f"of {name}.csv"
    table.write_text("\n".join([head, *(f"{name}-{text}" for text in lines)]) + "\n", encoding="utf-8")
    words = [str(table), str(ROOT / "shared" / "schema" / "retainstream.toml")]
    line = [*interpreter(name), str(EXAMPLES / name), own.url, "analyst@example.com", PASSWORD, *words]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.stdout == "imported 1000 of 1000 rows, 1000 new customers\n", done.stderr
    assert own.value("SELECT count(*) FROM customers WHERE user_id LIKE ?", f"{name}-%") == 1000
    assert own.value("SELECT count(*) FROM imports WHERE file_name = ?", table.name) == 1
    # Nothing is trained here: scoring is refused, in the server's words.
    assert (done.returncode != 0, "No model is live yet" in done.stderr) == (True, True), done.stderr


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_a_table_that_is_refused_is_told_in_the_servers_words(own: Stack, tmp_path: Path, name: str) -> None:
    (tmp_path / "bad.csv").write_text("user_id\n1\n", encoding="utf-8")
    words = ["bad.csv", str(ROOT / "shared" / "schema" / "retainstream.toml")]
    line = [*interpreter(name), str(EXAMPLES / name), own.url, "analyst@example.com", PASSWORD, *words]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "422: The file has no columns" in done.stderr


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_wrong_credentials_are_told_in_the_servers_words(stack: Stack, tmp_path: Path, name: str) -> None:
    line = [*interpreter(name), str(EXAMPLES / name), stack.url, DEMO_EMAIL, "wrong-password"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "401: Invalid email or password" in done.stderr


# --- types ----------------------------------------------------------------------------------------------------------


def document(stack: Stack) -> dict[str, Any]:
    return dict(stack.anonymous().get("/api/openapi.json").json()["components"]["schemas"])


def kinds(about: dict[str, Any]) -> tuple[set[str], bool]:
    """JSON types of a property, and whether it may be null."""
    parts = about.get("anyOf", [about])
    found = {part.get("type", "object") for part in parts}
    return found - {"null"}, "null" in found


def called(name: str) -> dict[tuple[str, str], str]:
    """Method and path of each call that a client makes, and the path as it stands in the client."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    found = re.findall(r"""ask\("(\w+)", ["`](/api[\w/-]*)""", text)
    return {(method.lower(), path): path for method, path in found}


def answered(document: dict[str, Any], method: str, path: str) -> set[str]:
    """Names of the types that an answer's data have, of the answer and of its first lists."""
    schema = document["paths"][path][method]["responses"]["200"]["content"].get("application/json", {}).get("schema")
    if schema is None or "text/csv" in document["paths"][path][method]["responses"]["200"]["content"]:
        return set()
    data = document["components"]["schemas"][schema["$ref"].split("/")[-1]]["properties"]["data"]
    name = data["$ref"].split("/")[-1]
    inner = document["components"]["schemas"][name]["properties"].values()
    items = {about["items"]["$ref"].split("/")[-1] for about in inner if "$ref" in about.get("items", {})}
    return {name, *items}


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_a_client_calls_what_the_document_has_and_names_the_types_it_answers(stack: Stack, name: str) -> None:
    whole = stack.anonymous().get("/api/openapi.json").json()
    calls = called(name)
    assert set(calls) == {
        ("post", "/api/auth/login"), ("post", "/api/customers/import"), ("post", "/api/predictions/generate"),
        ("get", "/api/customers"), ("get", "/api/customers/export"),
    }  # fmt: skip
    types = set().union(*(answered(whole, *call) for call in calls)) | answered(whole, "get", "/api/jobs/{job_id}")
    left = types - set(declared(name))
    assert set(declared(name)) <= types
    assert left <= {"Person", "ReasonOut", "AllowedMissing"}, "types of fields that the clients leave untyped"


def declared(name: str) -> list[str]:
    """The types that a client declares."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    return re.findall(
        r"@typedef \{\{.+\}\} (\w+)" if name.endswith(".js") else r"^class (\w+)\(TypedDict\)", text, re.M
    )


def test_the_javascript_types_are_those_of_the_document(stack: Stack) -> None:
    schemas = document(stack)
    types = re.findall(r"@typedef \{\{(.+)\}\} (\w+)", (EXAMPLES / "client.js").read_text())
    assert [name for _, name in types] == declared("client.js")
    for fields, name in types:
        for field, mark, kind in re.findall(r"(\w+): (\??)([\w\[\]]+)", fields):
            found, nullable = kinds(schemas[name]["properties"][field])
            assert found <= JS_TYPES[kind], f"{name}.{field}"
            assert nullable == bool(mark), f"{name}.{field}"


def test_the_python_types_are_those_of_the_document(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("example_client", EXAMPLES / "client.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example_client", module)  # where the hints' names are looked up
    spec.loader.exec_module(module)
    schemas = document(stack)
    for name in declared("client.py"):
        for field, hint in typing.get_type_hints(getattr(module, name)).items():
            is_union = type(None) in typing.get_args(hint)
            kind = next(a for a in typing.get_args(hint) if a is not type(None)) if is_union else hint
            found, nullable = kinds(schemas[name]["properties"][field])
            assert found == PY_TYPES[typing.get_origin(kind) or kind], f"{name}.{field}"
            assert nullable == is_union, f"{name}.{field}"
