"""The page while no worker runs: it says so, waits for nothing, and goes on when one is back."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Visitor
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SCORE = "text=Score customers now"


@pytest.fixture
def alone(new_stack: Callable[..., Stack]) -> Stack:
    """Both services over the demo's data; the worker is started by the test."""
    return new_stack().start("ml", "gateway")


def test_without_a_worker_the_page_says_so_and_its_buttons_answer(visit: Callable[..., Visitor], alone: Stack) -> None:
    visitor = visit(alone).sign_in()
    visitor.allow("503")
    visitor.page.wait_for_selector("#no-worker:not([hidden])")
    assert visitor.text("#no-worker").startswith("No worker is running: imports, trainings and scoring wait")
    assert visitor.text("[data-figure=predicted-churners]") != "–"
    visitor.page.click(SCORE)
    visitor.page.wait_for_selector("#work.bad")
    assert "No worker is running" in visitor.text("#work")
    assert visitor.page.is_enabled(SCORE)
    alone.start("worker")
    visitor.page.wait_for_selector("#no-worker", state="hidden")
    assert visitor.page.is_hidden("#work")
    visitor.page.click(SCORE)
    visitor.page.wait_for_selector("#work.good")


def test_a_job_whose_worker_died_is_shown_standing_still_and_taken_up_when_one_is_back(
    visit: Callable[..., Visitor], alone: Stack
) -> None:
    alone.start("worker")
    visitor = visit(alone).sign_in()
    with alone.frozen("worker"):
        visitor.page.click(SCORE)
        visitor.page.wait_for_selector("#work progress")
        alone.analyst().post("/api/model/train", {}, headers={"Prefer": "respond-async"})
        assert visitor.page.is_disabled(SCORE)
    wait_until(lambda: alone.rows("SELECT 1 FROM jobs WHERE kind = 'train' AND state = 'running'"), "it trains", 20)
    alone.stop("worker", number=signal.SIGKILL)
    visitor.page.reload()
    visitor.page.set_default_timeout(40_000)  # a worker is given up after 15 s of silence
    visitor.page.wait_for_selector("#parked")
    assert "Training, job" in visitor.text("#parked")
    assert "is shown as running" in visitor.text("#parked")
    assert visitor.page.is_hidden("#work")
    assert visitor.page.is_enabled(SCORE)
    alone.start("worker")
    visitor.page.wait_for_selector("#no-worker", state="hidden")
    visitor.page.wait_for_selector("#work progress, #work.good")
    visitor.page.wait_for_selector("#work.good")
    assert "Training is done" in visitor.text("#work")


def test_a_job_that_stands_still_can_be_cancelled(visit: Callable[..., Visitor], alone: Stack) -> None:
    alone.start("worker")
    visitor = visit(alone).sign_in()
    alone.send("worker", signal.SIGSTOP)  # until the end: a worker that went on would take the job
    visitor.page.set_default_timeout(40_000)
    visitor.page.click(SCORE)
    visitor.page.wait_for_selector("#work progress")
    visitor.page.wait_for_selector("#parked")
    assert "Scoring, job" in visitor.text("#parked")
    assert "is queued and stands still until then" in visitor.text("#parked")
    visitor.page.click("#parked >> text=Cancel it")
    visitor.page.wait_for_selector("#parked >> text=is cancelled")
    assert alone.value("SELECT state FROM jobs ORDER BY id DESC LIMIT 1") == "cancelled"
    alone.stop("worker", number=signal.SIGKILL)
