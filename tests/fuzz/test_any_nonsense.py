"""Nonsense on any route as anybody: told, and nothing breaks."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.examples import examples
from tests.shapes import LEAKS, is_failure
from tests.world import World

pytestmark = pytest.mark.xdist_group("bad-input")
JSON = "application/json"

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(["", "\x00", "' OR 1=1 --", "%", "../..", "NaN", "-1", "x" * 3000, "{}", "1e999", "usr_942183"]),
)
FIELDS = st.sampled_from(
    [
        "email",
        "password",
        "name",
        "role",
        "sample_size",
        "sampleSize",
        "customer_id",
        "features",
        "changes",
        "version",
        "reason",
        "force",
        "cookie",
        "refresh_token",
        "everywhere",
        "current_password",
        "new_password",
        "disabled",
        "x",
    ]
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3))
BODIES = st.one_of(
    st.dictionaries(FIELDS, VALUES, max_size=5).map(lambda v: json.dumps(v).encode()),
    VALUES.map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=40),
    st.just(b""),
)
QUERIES = st.dictionaries(
    st.sampled_from(["page", "limit", "after", "q", "state", "kind", "cut", "view", "since", "sort"]),
    SCALARS.map(lambda v: str(v).encode("utf-8", "replace").decode()),
    max_size=3,
)
KINDS = st.sampled_from([JSON, None, "", "text/plain", "application/json; charset=latin-1", "multipart/form-data", "x"])


def _rules(app: Flask) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(method=method, rule=rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def _told(answer: Any, what: str) -> None:
    """Fail unless this is an answer that a client may get for nonsense."""
    if answer.status_code < 400:
        answer.close()  # it may be a stream that nobody reads
        return
    body = answer.get_json(silent=True)
    assert body is not None, f"{what}: {answer.status_code} {answer.text[:300]}"
    if answer.status_code == 503:
        code = (body.get("error") or {}).get("code", "service_unavailable")
        assert code == "service_unavailable", what
    else:
        assert answer.status_code < 500, f"{what}: {answer.text[:300]}"
    if "error" in body:
        is_failure(answer)
    else:
        assert what.startswith("GET /api/health/ready"), what


def _address(rule: Any, value: str) -> str:
    return re.sub(r"<[^>]+>", lambda _: quote(value, safe=""), rule.rule)


@settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(data=st.data())
def test_nonsense_on_any_route_is_told_and_breaks_nothing(empty: World, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(_rules(empty.app)))
    value = data.draw(st.sampled_from(["1", "0", "usr_942183", "%", "'", "\x00", "x" * 2000, "é", "2.4.1", "-1"]))
    role = data.draw(st.sampled_from(["viewer", "analyst", "admin"]))
    path = _address(chosen.rule, value)
    if path in ("/api/auth/password", "/api/auth/logout"):
        return  # they would end the sessions that the rest of this test needs
    answer = empty.ask(
        chosen.method,
        path,
        role,
        query_string=data.draw(QUERIES),
        data=data.draw(BODIES),
        content_type=data.draw(KINDS),
        headers={"Prefer": "respond-async"},
    )
    _told(answer, f"{chosen.method} {path}")


GARBAGE = (
    (b"", None),
    (b"{}", JSON),
    (b"{", JSON),
    (b"[]", JSON),
    (b'{"email": {"a": 1}, "password": [1], "name": 1, "role": "root"}', JSON),
    (b'{"sample_size": "10", "customer_id": 1, "version": 2.4, "reason": null, "changes": []}', JSON),
    (b"\xff\xfe\x00", JSON),
    (b"a=1&b=2", "application/x-www-form-urlencoded"),
    (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
)


@pytest.mark.parametrize("role", ["nobody", "analyst", "admin"])
@pytest.mark.parametrize("number", range(len(GARBAGE)))
def test_each_route_takes_garbage_calmly(demo: World, role: str, number: int) -> None:
    body, kind = GARBAGE[number]
    query = "" if number % 3 == 0 else "?page=x&limit=-1&after=%00&q=%25&cut=nan&state=x&since=x&view=x"
    how = {"data": body, "content_type": kind, "headers": {"Prefer": "respond-async"}}
    for each in _rules(demo.app):
        for value in ("1", "%"):
            path = _address(each.rule, value)
            if path in ("/api/auth/password", "/api/auth/logout") and role != "nobody":
                continue
            if role == "nobody":
                answer = demo.client.open(path + query, method=each.method, **how)
            else:
                answer = demo.ask(each.method, path + query, role, **how)
            _told(answer, f"{each.method} {path}{query}")
            if answer.status_code >= 400:
                assert not LEAKS.search(answer.text), path
            if value == "1" and path == each.rule:
                break  # nothing to fill in
