"""The training report as people reach it: through the gateway, by whoever may read."""

from __future__ import annotations

from tests.shapes import is_failure
from tests.stack import Stack


def test_the_report_page_is_served_to_who_may_read_and_can_run_nothing(stack: Stack) -> None:
    api = stack.person("viewer")
    version = api.data("/api/model/status")["version"]
    path = f"/api/model/versions/{version}/report"
    answer = api.get(path)
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert (
        answer.text.startswith("<!doctype html>") and f"Model {version}" in answer.text and "<script" not in answer.text
    )
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    is_failure(api.get("/api/model/versions/9.9.9/report"), 404, "not_found")
    is_failure(stack.anonymous().get(path), 401)


def test_a_backtest_runs_over_the_matured_months_and_leaves_no_model(stack: Stack) -> None:
    before = sorted(path.name for path in stack.models.iterdir())
    done = stack.command("backtest", "--trials", "1", timeout=200)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "AUC" in lines[0] and len(lines) >= 3
    assert sorted(path.name for path in stack.models.iterdir()) == before
