"""Every worked example of docs/api.md, run against the product: the answers have the fields that the page shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.security.roles import ACCESS
from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, ROOT, Stack

pytestmark = pytest.mark.xdist_group("examples")
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^### (\S+ /api\S+)\n\n```sh\n(.+?)\n```\n```(\w+)\n(.+?)\n```$", PAGE, re.M | re.S)
LEFT_OUT = "..."
#: Fields that hold a number or a text, as the feature they are of.
OF_A_FEATURE = {"value"}
#: Parts of the page that documents the API, which its table of routes does not name.
UNLISTED = {"GET /api/docs/assets/<path:name>"}


@pytest.fixture(scope="module")
def given(new_stack: Callable[..., Stack]) -> Iterator[tuple[Stack, dict[str, str]]]:
    """A product of its own, because the examples change it; and the variables that the page names."""
    stack = new_stack().start()
    stack.analyst()
    stack.person("admin")
    tokens = stack.anonymous().post("/api/auth/login", {"email": DEMO_EMAIL, "password": DEMO_PASSWORD}).json()["data"]
    names = {"URL": stack.url, "TOKEN": stack.tokens["analyst"], "ADMIN": stack.tokens["admin"]}
    names["SCHEMA"] = str(ROOT / "shared" / "schema" / "retainstream.toml")
    yield stack, {**os.environ, **names, "REFRESH": tokens["refresh_token"]}
    stack.stop()


def differences(shown: Any, got: Any, at: str = "answer") -> Iterator[str]:
    """Where the fields of an answer are not those of the page; values may differ, and so may what is unknown."""
    if isinstance(shown, dict) and isinstance(got, dict):
        if LEFT_OUT in shown:
            return
        if set(shown) != set(got):
            yield f"{at}: the page shows {sorted(set(shown) - set(got))}, the answer has {sorted(set(got) - set(shown))}"
        for name in (set(shown) & set(got)) - OF_A_FEATURE:
            yield from differences(shown[name], got[name], f"{at}.{name}")
    elif isinstance(shown, list) and isinstance(got, list):
        if shown and got:
            yield from differences(shown[0], got[0], f"{at}[0]")
    elif shown is not None and got is not None and isinstance(shown, bool | str) != isinstance(got, bool | str):
        yield f"{at}: the page shows {shown!r}, the answer has {got!r}"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_each_example_answers_as_the_page_shows(given: tuple[Stack, dict[str, str]]) -> None:
    stack, variables = given
    wrong = []
    for name, command, kind, shown in EXAMPLES:
        done = subprocess.run(
            ["bash", "-c", command],
            env=variables,
            cwd=stack.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout, f"{name}: {done.stderr}"
        first = done.stdout.splitlines()[0]
        if kind == "json":
            wrong += [f"{name}: {d}" for d in differences(json.loads(shown), json.loads(first))]
        elif not first.startswith(shown):
            wrong.append(f"{name}: the page shows {shown!r}, the answer begins {first[:200]!r}")
    assert wrong == []


def test_each_route_has_an_example() -> None:
    shown = {name.partition("?")[0] for name, *_ in EXAMPLES}
    documented = {f"{m} {r}" for m, r in ACCESS if r.startswith("/api/") and f"{m} `{r}`" in PAGE}
    assert {f"{m} {r}" for m, r in ACCESS if r.startswith("/api/")} == documented | UNLISTED
    assert documented | UNLISTED == shown


def test_only_what_is_too_large_for_a_page_is_left_out() -> None:
    cut = {name for name, _, kind, shown in EXAMPLES if kind == "json" and f'"{LEFT_OUT}"' in shown}
    assert cut == {
        "GET /api/model/versions/<version>", "GET /api/schema", "POST /api/schema/extend", "GET /api/openapi.json",
        "PATCH /api/schema", "POST /api/customers/import/schema",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "got"), [({"a": 1}, {"b": 1}), ({"a": [{"b": 1}]}, {"a": [{}]}), ({"a": "x"}, {"a": 1}), ({}, {"a": 1})]
)
def test_a_field_that_differs_is_seen(shown: Any, got: Any) -> None:
    assert list(differences(shown, got))
