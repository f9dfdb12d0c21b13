"""Reads that have not changed are not sent again."""

from __future__ import annotations

import pytest

from tests.stack import Stack

READS = ["/api/dashboard/metrics", "/api/dashboard/distribution", "/api/dashboard/features", "/api/dashboard/history",
         "/api/dashboard/threshold?cut=0.3", "/api/dashboard/value", "/api/customers/high-risk", "/api/customers"]  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_who_has_it_already_is_told_so_without_a_body(stack: Stack, path: str) -> None:
    asks = stack.analyst()
    first = asks.get(path)
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = asks.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["X-Request-ID"] and again.headers["ETag"] == first.headers["ETag"]
    other = asks.get(path, headers={"If-None-Match": '"something else"'})
    assert other.status_code == 200 and other.json() == first.json()


def test_a_tag_opens_nothing_to_a_stranger(stack: Stack) -> None:
    tag = stack.analyst().get(READS[0]).headers["ETag"]
    assert stack.anonymous().get(READS[0], headers={"If-None-Match": tag}).status_code == 401


def test_a_failure_and_a_post_carry_no_tag(stack: Stack) -> None:
    asks = stack.analyst()
    assert "ETag" not in asks.get("/api/customers/nobody").headers
    assert "ETag" not in asks.post("/api/customers/segment", {}).headers
