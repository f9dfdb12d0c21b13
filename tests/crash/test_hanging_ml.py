"""An ML service that hangs, or has lost the live model: scores say so soon, and everything else goes on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.stack import Stack, wait_until

pytestmark = pytest.mark.xdist_group("stack")
CUSTOMER = "usr_942183"
MANY = 24


def test_reads_go_on_and_scores_fail_soon_while_it_hangs(stack: Stack) -> None:
    analyst = stack.analyst()
    people = [row["user_id"] for row in analyst.data(f"/api/customers?limit={MANY + 1}")["customers"]]

    def score(k: int) -> tuple[int, str | None, float]:
        began = time.monotonic()
        if k % 3:
            answer = analyst.post("/api/predictions/score", {"customer_id": people[k]})
        else:
            answer = analyst.get(f"/api/customers/{people[k]}/actions")
        return answer.status_code, answer.headers.get("Retry-After"), time.monotonic() - began

    assert score(MANY)[0] == 200
    with stack.frozen("ml"), ThreadPoolExecutor(MANY) as pool:
        asked = [pool.submit(score, k) for k in range(MANY)]
        time.sleep(1)
        reads = []
        for path in ("/api/customers?limit=5", "/api/dashboard/metrics", "/api/health") * 5:
            began = time.monotonic()
            assert analyst.get(path).status_code == 200
            reads.append(time.monotonic() - began)
        answers = [each.result(30) for each in asked]
    assert sorted(reads)[len(reads) // 2] < 0.2 and max(reads) < 2, reads
    assert {(status, bool(wait)) for status, wait, _ in answers} == {(503, True)}
    assert max(took for *_, took in answers) < 10
    wait_until(lambda: score(MANY)[0] == 200, "scores again", 20)


def test_a_live_model_whose_files_are_gone_is_told_by_readiness_and_goes_live_no_more(stack: Stack) -> None:
    analyst, admin = stack.analyst(), stack.person("admin")
    ready = stack.anonymous().get("/api/health/ready")
    assert ready.status_code == 200 and ready.json()["model_problem"] is None
    folder = stack.models / ready.json()["model"]
    aside = stack.folder / "aside"
    folder.rename(aside)
    try:
        unready = wait_until(
            lambda: (found := stack.anonymous().get("/api/health/ready")).status_code == 503 and found.json(),
            "unready",
            10,
        )
        assert ready.json()["model"] in unready["model_problem"] and unready["ml_service"]
        stack.stop("ml")
        stack.start("ml")
        wait_until(lambda: stack.anonymous().get("/api/health").json()["dependencies"]["ml_service"] == "OK", "ML", 10)
        answer = analyst.post("/api/predictions/score", {"customer_id": CUSTOMER})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
        forced = admin.post("/api/model/promote", {"version": ready.json()["model"], "reason": "x", "force": True})
        assert forced.status_code == 409  # it is live already
    finally:
        aside.rename(folder)
    wait_until(lambda: stack.anonymous().get("/api/health/ready").status_code == 200, "ready again", 10)
    assert analyst.post("/api/predictions/score", {"customer_id": CUSTOMER}).status_code == 200
