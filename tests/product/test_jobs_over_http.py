"""Long work over HTTP: waited for, followed, cancelled, given once, and told truly after a crash."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.shapes import JOB, RUN, fits, is_failure
from tests.stack import DEMO_CUSTOMERS, Api, Stack, wait_until

pytestmark = pytest.mark.xdist_group("jobs")
ASYNC = {"Prefer": "respond-async"}
PREDICT, GENERATE, TRAIN = "/api/dashboard/predict", "/api/predictions/generate", "/api/model/train"


@pytest.fixture(scope="module")
def own(new_stack: Callable[..., Stack]) -> Stack:
    return new_stack().start()


def _accepted(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    job = answer.json()["data"]
    fits(job, JOB)
    assert answer.json()["success"] is True
    assert answer.headers["Location"] == f"/api/jobs/{job['id']}"
    return dict(job)


@pytest.mark.parametrize("path", [PREDICT, GENERATE])
def test_whoever_does_not_wait_gets_the_job(own: Stack, path: str) -> None:
    api = own.analyst()
    answer = api.post(path, {"sample_size": 5}, headers=ASYNC)
    job = _accepted(answer)
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert job["kind"] == "score"
    ended = api.ended(job["id"])
    assert (ended["state"], ended["progress"]) == ("done", 1.0)
    fits(ended["result"], RUN)
    assert ended["result"]["predictions_generated"] == 5
    assert api.get(answer.headers["Location"]).status_code == 200


def test_a_wait_that_is_long_enough_gives_the_result(own: Stack) -> None:
    answer = own.analyst().post(PREDICT, {"sample_size": 5}, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200
    assert answer.json()["message"] == "Prediction run completed"


def test_a_wait_that_runs_out_gives_the_job(own: Stack) -> None:
    api = own.analyst()
    with own.frozen("ml"):
        job = _accepted(api.post(PREDICT, {"sample_size": 5}, headers={"Prefer": "wait=1"}))
        assert job["state"] in ("queued", "running")
    assert api.ended(job["id"])["state"] == "done"


@pytest.mark.parametrize(
    "prefer", ["nonsense", "wait=abc", "wait=", ";;;", "wait=-1", "handling=lenient", "wait=99999"]
)
def test_a_preference_that_is_not_understood_is_ignored(own: Stack, prefer: str) -> None:
    answer = own.analyst().post(PREDICT, {"sample_size": 1}, headers={"Prefer": prefer})
    assert answer.status_code == 200, answer.text


def test_four_requests_wait_and_the_fifth_gets_the_job(own: Stack) -> None:
    api = own.analyst()
    wait = {"Prefer": "wait=60"}
    with ThreadPoolExecutor(4) as pool:
        with own.frozen("ml"):
            known = own.value("SELECT max(id) FROM jobs")
            waiting = [pool.submit(api.post, PREDICT, {"sample_size": 2}, headers=wait) for _ in range(4)]
            wait_until(lambda: own.value("SELECT count(*) FROM jobs WHERE id > ?", known) == 4, "four jobs are queued")
            # A queued job does not prove that its request waits already: ask until one is turned away.
            fifth = wait_until(
                lambda: (
                    (a := api.post(PREDICT, {"sample_size": 2}, headers={"Prefer": "wait=2"})).elapsed.seconds < 1 and a
                ),
                "a fifth request is not kept waiting",
            )
            job = _accepted(fifth)
            assert api.get("/api/health").status_code == 200, "the rest of the gateway goes on"
            assert api.get("/api/dashboard/metrics").status_code == 200
        answers = [future.result() for future in waiting]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert api.ended(job["id"])["state"] == "done"


def test_progress_only_grows_and_anybody_signed_in_sees_it(own: Stack) -> None:
    api, other = own.analyst(), own.person("viewer")
    job = _accepted(api.post(TRAIN, {"again": True}, headers=ASYNC))
    seen: list[float] = []
    stages: set[str | None] = set()

    def is_over() -> bool:
        now = other.job(job["id"])
        fits(now, JOB)
        seen.append(now["progress"])
        stages.add(now["stage"])
        return now["state"] not in ("queued", "running")

    wait_until(is_over, "the training ends", 120, 0.1)
    assert seen == sorted(seen)
    assert len(set(seen)) >= 3, "it moved in steps"
    assert seen[-1] == 1.0
    assert len(stages) >= 2
    ended = other.job(job["id"])
    assert ended["state"] == "done", ended
    assert ended["result"] is None, "what it came to is for whoever started it"
    assert api.job(job["id"])["result"]["message"] == "Model training completed"
    assert job["id"] in [each["id"] for each in other.data("/api/jobs?kind=train")["jobs"]]


def test_a_running_training_can_be_cancelled_and_another_started(own: Stack) -> None:
    api = own.analyst()
    versions = api.data("/api/model/versions")["versions"]
    job = _accepted(api.post(TRAIN, {"again": True}, headers=ASYNC))
    wait_until(lambda: api.job(job["id"])["progress"] > 0, "the training runs")
    assert api.data("/api/model/status")["status"] == "training"
    answer = api.ask("DELETE", f"/api/jobs/{job['id']}")
    assert answer.status_code == 200
    ended = api.ended(job["id"], 15)
    assert ended["state"] == "cancelled"
    assert ended["error"]["code"] == "cancelled"
    assert ended["result"] is None
    assert api.data("/api/model/versions")["versions"] == versions, "no half of a model stays"
    assert {path.name for path in own.models.glob("[0-9]*")} == {each["version"] for each in versions}
    again = _accepted(api.post(TRAIN, {"again": True}, headers=ASYNC))
    now = wait_until(
        lambda: ((j := api.job(again["id"]))["progress"] > 0.02 or j["state"] not in ("queued", "running")) and j,
        "a new training runs",
    )
    assert now["state"] == "running", now
    api.ask("DELETE", f"/api/jobs/{again['id']}")
    assert api.ended(again["id"], 15)["state"] == "cancelled"


def test_a_queued_job_is_cancelled_at_once_and_whoever_waits_is_told(own: Stack) -> None:
    api = own.analyst()
    with ThreadPoolExecutor(1) as pool, own.frozen("ml"):
        first = _accepted(api.post(PREDICT, {"sample_size": 1}, headers=ASYNC))
        known = own.value("SELECT max(id) FROM jobs")
        waiting = pool.submit(api.post, PREDICT, {"sample_size": 1}, headers={"Prefer": "wait=30"})
        second = wait_until(lambda: own.value("SELECT max(id) FROM jobs WHERE id > ?", known), "it is queued")
        answer = api.ask("DELETE", f"/api/jobs/{second}")
        assert answer.json()["data"]["state"] == "cancelled"
        is_failure(waiting.result(), 409, "cancelled")
    assert api.ended(first["id"])["state"] == "done"


def test_cancelling_what_has_ended_changes_nothing(own: Stack) -> None:
    api = own.analyst()
    job = api.ended(_accepted(api.post(PREDICT, {"sample_size": 1}, headers=ASYNC))["id"])
    assert api.ask("DELETE", f"/api/jobs/{job['id']}").json()["data"] == job
    is_failure(api.ask("DELETE", "/api/jobs/999999"), 404, "not_found")
    is_failure(own.person("viewer").ask("DELETE", f"/api/jobs/{job['id']}"), 403, "forbidden")


def test_the_same_idempotency_key_gives_the_same_job(own: Stack) -> None:
    api = own.analyst()
    headers = {**ASYNC, "Idempotency-Key": "once-and-only-once"}
    answer = api.post(GENERATE, {"sample_size": 3}, headers=headers)
    assert "Idempotent-Replayed" not in answer.headers
    first = _accepted(answer)
    api.ended(first["id"])
    ledger = own.value("SELECT count(*) FROM predictions")
    again = api.post(GENERATE, {"sample_size": 3}, headers=headers)
    assert again.json()["data"]["predictions_generated"] == 3, "it is done: its result, not another run"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert own.value("SELECT count(*) FROM predictions") == ledger
    assert own.value("SELECT count(*) FROM jobs WHERE idempotency_key = 'once-and-only-once'") == 1
    other = own.person("admin").post(GENERATE, {"sample_size": 3}, headers=headers)
    assert own.value("SELECT count(*) FROM jobs WHERE idempotency_key = 'once-and-only-once'") == 2, "keys are a user's"
    assert other.status_code == 202


def test_many_requests_with_one_key_at_once_make_one_job(own: Stack) -> None:
    api = own.analyst()
    headers = {**ASYNC, "Idempotency-Key": "all at once"}
    barrier = threading.Barrier(6)

    def ask(_: int) -> int:
        barrier.wait()
        answer = api.post(GENERATE, {"sample_size": 3}, headers=headers)
        assert answer.status_code in (200, 202), answer.text
        return answer.status_code

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))
    assert own.value("SELECT count(*) FROM jobs WHERE idempotency_key = 'all at once'") == 1


def test_one_id_runs_through_the_logs_of_all_three(own: Stack) -> None:
    mark = "trace-me.7"
    answer = own.analyst().post(PREDICT, {"sample_size": 4}, headers={"X-Request-ID": mark})
    assert answer.headers["X-Request-ID"] == mark
    for name, event in (("gateway", "request"), ("worker", "job_done"), ("ml", "request")):
        # Each writes its line a moment after the answer, or what it answers to, is there.
        wait_until(partial(_is_logged, own, name, mark, event), f"{name} logs the request", 10)


def _is_logged(own: Stack, name: str, mark: str, event: str) -> bool:
    # A last line without its end is being written.
    lines = [
        json.loads(line) for line in own.log(name).splitlines(keepends=True) if f'"{mark}"' in line and line[-1] == "\n"
    ]
    return event in [line["event"] for line in lines if line["request_id"] == mark]


def test_no_log_holds_a_password_or_a_token(own: Stack) -> None:
    api = own.anonymous()
    api.post("/api/auth/login", {"email": "somebody@example.com", "password": "never-in-a-log-1"})
    api.post("/api/auth/register", {"email": "x@example.com", "password": "never-in-a-log-2", "name": "X"})
    own.analyst().get("/api/jobs?after=1")
    for name in ("gateway", "worker", "ml"):
        log = own.log(name)
        assert "never-in-a-log" not in log
        assert own.tokens["analyst"] not in log
        assert "somebody@example.com" not in log


def test_the_list_of_jobs_pages_and_filters(own: Stack) -> None:
    api = own.analyst()
    for _ in range(3):
        api.post(PREDICT, {"sample_size": 1})
    page = api.data("/api/jobs?limit=2&kind=score&state=done")
    assert [each["kind"] for each in page["jobs"]] == ["score", "score"]
    older = api.data(f"/api/jobs?limit=2&kind=score&state=done&after={page['next']}")
    assert max(each["id"] for each in older["jobs"]) < min(each["id"] for each in page["jobs"])
    is_failure(api.get("/api/jobs?state=lost"), 422)
    is_failure(api.get("/api/jobs/999999"), 404, "not_found")


def test_without_a_worker_nobody_waits_in_vain(new_stack: Callable[..., Stack]) -> None:
    alone = new_stack().start("gateway")
    answer = alone.analyst().post(PREDICT, {})
    is_failure(answer, 503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert alone.analyst().get("/api/dashboard/metrics").status_code == 200


def test_a_job_whose_worker_is_killed_is_done_again_and_nothing_half_is_seen(new_stack: Callable[..., Stack]) -> None:
    """Both lanes at once: a run that has sent its rows, and a training that runs."""
    own = new_stack().start()
    api = own.analyst()
    before = _seen(api)
    versions = [each["version"] for each in api.data("/api/model/versions")["versions"]]
    train = _accepted(api.post(TRAIN, {"again": True}, headers=ASYNC))
    wait_until(lambda: api.job(train["id"])["progress"] > 0.02, "the training runs")
    with own.frozen("ml"):
        score = _accepted(api.post(PREDICT, {}, headers=ASYNC))
        wait_until(lambda: own.rows("SELECT 1 FROM scoring_runs WHERE state = 'running'"), "the run has begun")
        own.stop("worker", number=signal.SIGKILL)
    assert _seen(api) == before, "a run that is not whole is not seen"
    assert [api.job(each["id"])["state"] for each in (train, score)] == ["running", "running"]
    own.start("worker")
    assert _seen(api) == before
    scored = api.ended(score["id"], 60)
    assert (scored["state"], scored["attempt"]) == ("done", 2), scored["error"]
    ended = api.ended(train["id"], 90)
    assert (ended["state"], ended["attempt"]) == ("done", 2), ended["error"]
    assert own.value("SELECT count(*) FROM scoring_runs WHERE state = 'running'") == 0
    orphans = "SELECT count(*) FROM ledger WHERE run_id NOT IN (SELECT id FROM scoring_runs WHERE state != 'failed')"
    assert own.value(orphans) == 0
    assert own.value("SELECT count(*) FROM predictions WHERE run_id = ?", scored["result"]["run_id"]) == DEMO_CUSTOMERS
    now = [each["version"] for each in api.data("/api/model/versions")["versions"]]
    assert now[1:] == versions, "one new version, not two"
    assert own.value("SELECT count(*) FROM models WHERE state != 'ready'") == 0


def _seen(api: Api) -> Any:
    page = api.data("/api/customers?limit=20")
    results = api.data("/api/predictions/results")
    shown = api.data("/api/dashboard/metrics")["predictedChurners"]
    return page, results["predictions"], results["total"], shown, api.data("/api/dashboard/distribution")


def test_a_training_whose_ml_service_is_killed_fails_with_a_reason(own: Stack) -> None:
    api = own.analyst()
    job = _accepted(api.post(TRAIN, {"again": True}, headers=ASYNC))
    wait_until(lambda: api.job(job["id"])["progress"] > 0, "the training runs")
    own.stop("ml", number=signal.SIGKILL)
    ended = api.ended(job["id"], 30)
    assert (ended["state"], ended["error"]["code"]) == ("failed", "service_unavailable")
    assert "ML service" in ended["error"]["message"]
    answer = api.post(PREDICT, {"sample_size": 3})
    is_failure(answer, 503, "service_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    own.start("ml")
    answer = wait_until(
        lambda: (a := api.post(PREDICT, {"sample_size": 3})).status_code == 200 and a, "it works again", 20, 0.5
    )
    assert answer.json()["data"]["predictions_generated"] == 3
