"""The example clients: run against the product, and typed as its own document says."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, ROOT, Stack

pytestmark = pytest.mark.xdist_group("stack")
EXAMPLES = ROOT / "examples"
LANGUAGES = {"client.py": [sys.executable], "client.js": ["node"]}
JS_TYPES = {"number": {"integer", "number"}, "string": {"string"}, "Object": {"object"}, "Object[]": {"array"}}
PY_TYPES: dict[Any, set[str]] = {
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


@pytest.mark.parametrize("name", list(LANGUAGES))
def test_a_client_imports_or_says_why_not(stack: Stack, new_stack: Any, tmp_path: Path, name: str) -> None:
    rules = stack.anonymous().get("/api/openapi.json").json()["paths"]
    if "/api/customers/import" not in rules:
        pytest.skip("this gateway has no route POST /api/customers/import yet")
    words = [str(EXAMPLES / "customers.csv"), str(ROOT / "shared" / "schemas" / "retainstream.toml")]
    line = [*interpreter(name), str(EXAMPLES / name), stack.url, DEMO_EMAIL, DEMO_PASSWORD, *words]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    # The demo's base has this schema: either the rows are in, or the server's sentence says why not.
    assert "imported" in done.stdout or re.search(r"\d{3}: \w+", done.stderr), done.stderr


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


def test_the_javascript_types_are_those_of_the_document(stack: Stack) -> None:
    schemas = document(stack)
    declared = re.findall(r"@typedef \{\{(.+)\}\} (\w+)", (EXAMPLES / "client.js").read_text())
    assert {name for _, name in declared} == {"JobOut", "Listed"}
    for fields, name in declared:
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
    for name in ("JobOut", "Listed"):
        for field, hint in typing.get_type_hints(getattr(module, name)).items():
            is_union = type(None) in typing.get_args(hint)
            kind = next(a for a in typing.get_args(hint) if a is not type(None)) if is_union else hint
            found, nullable = kinds(schemas[name]["properties"][field])
            assert found == PY_TYPES[typing.get_origin(kind) or kind], f"{name}.{field}"
            assert nullable == is_union, f"{name}.{field}"
