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


def contradictions(customer: dict[str, Any]) -> Iterator[str]:
    """Where figures of one customer's answer, of four digits or a cent, don't follow from one another."""
    outlook, p = customer["outlook"], customer["churn_probability"]
    value, within = outlook["value"], [each["probability"] for each in outlook["within"]]
    points = sum(each["points"] for each in customer["reasons"]) + customer["other_points"]
    causes = outlook["causes"]["voluntary"] + outlook["causes"]["involuntary"]
    stays = value["survival"][:3] + value["survival"][5:]
    pairs = {
        "the points": (customer["base_probability"] + points + customer["time_of_year_points"], p, 5e-5),
        "the confidence": (customer["confidence"], p if customer["confidence"] == p else 1 - p, 1e-4),
        "the outlook's score": (outlook["churn_probability"], p, 1e-3 * p),
        "the first horizon": (within[0], p, 1e-3 * p),
        "the causes": (causes, p, 2e-3 * p),
        "the revenue at risk": (value["revenue_at_risk"], p * value["monthly_price"], 0.01),
        "the value at risk": (value["value_at_risk"], p * value["value_if_stays"], 0.01),
        "the lifetime value": (value["lifetime_value"], (1 - p) * value["value_if_stays"], 0.11),
        "the price": (customer["monthly_price"], value["monthly_price"], 0.0),
        **{f"month {at}": (left, 1 - q, 2e-4) for at, (left, q) in enumerate(zip(stays, within, strict=False))},
    }
    yield from (f"{what}: {shown} is not {said}" for what, (shown, said, by) in pairs.items() if abs(shown - said) > by)
    if customer["model_version"] != outlook["model_version"]:
        yield "the model versions"


def shown_customer() -> dict[str, Any]:
    """The customer of the page's example."""
    (shown,) = [shown for name, _, _, shown in EXAMPLES if name.partition("?")[0] == "GET /api/customers/<customer_id>"]
    found: dict[str, Any] = json.loads(shown)["data"]
    return found


def test_the_figures_of_the_customers_example_belong_together() -> None:
    customer = shown_customer()
    assert list(contradictions(customer)) == []
    assert list(contradictions({**customer, "churn_probability": customer["churn_probability"] / 2}))


def test_each_route_has_an_example() -> None:
    shown = {name.partition("?")[0] for name, *_ in EXAMPLES}
    documented = {f"{m} {r}" for m, r in ACCESS if r.startswith("/api/") and f"{m} `{r}`" in PAGE}
    assert {f"{m} {r}" for m, r in ACCESS if r.startswith("/api/")} == documented | UNLISTED
    assert documented | UNLISTED == shown


def test_only_what_is_too_large_for_a_page_is_left_out() -> None:
    cut = {name for name, _, kind, shown in EXAMPLES if kind == "json" and f'"{LEFT_OUT}"' in shown}
    assert cut == {
        "GET /api/model/versions/<version>", "GET /api/schema", "POST /api/schema/extend", "GET /api/openapi.json",
        "PATCH /api/schema", "POST /api/customers/import/schema", "DELETE /api/customers/<customer_id>",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "got"), [({"a": 1}, {"b": 1}), ({"a": [{"b": 1}]}, {"a": [{}]}), ({"a": "x"}, {"a": 1}), ({}, {"a": 1})]
)
def test_a_field_that_differs_is_seen(shown: Any, got: Any) -> None:
    assert list(differences(shown, got))
