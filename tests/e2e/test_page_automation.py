"""Automatic work on the page: webhooks, the schedule, and the model that figures belong to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Visitor
from tests.gateway.webhooks.receiver import is_signed, receiving
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]


@pytest.fixture(scope="module")
def own(new_stack: Callable[..., Stack]) -> Stack:
    """A product with a schedule, whose webhooks may reach this machine."""
    return new_stack(WEBHOOK_NETWORKS="127.0.0.0/8", SCHEDULE="score 30 3 * * *; train 0 4 * * 0").start()


def test_an_administrator_makes_tests_pauses_and_removes_a_webhook(visit: Callable[..., Visitor], own: Stack) -> None:
    visitor = visit(own).sign_in_as("admin").go("data/webhooks")
    page = visitor.page
    assert "Nobody is told of anything yet." in visitor.text("#webhooks")
    with receiving() as receiver:
        page.fill("#webhooks input[type=url]", receiver.url)
        page.click("text=Create the webhook")
        page.wait_for_selector("#new-secret")
        secret = visitor.text("#new-secret code")
        page.click("text=Send a test")
        page.wait_for_selector("#deliveries >> text=it answered 200")
        ((headers, body),) = receiver.came
        assert is_signed(secret, headers, body)
        page.click("text=Send again")
        wait_until(lambda: len(receiver.came) == 2, "it is sent again")
        assert secret not in visitor.go("data/jobs").go("data/webhooks").text("main"), "it is shown once"
        page.click("#webhooks >> text=Replace the secret")
        assert page.query_selector("#new-secret") is None, "it is asked twice"
        page.click("#webhooks >> text=Replace it now")
        page.wait_for_selector("#new-secret")
        replaced = visitor.text("#new-secret code")
        assert "earlier secret too until" in visitor.text("#new-secret")
        page.click("text=Send a test")
        wait_until(lambda: len(receiver.came) == 3, "a test is sent")
        headers, body = receiver.came[2]
        assert replaced != secret
        assert is_signed(replaced, headers, body)
        assert is_signed(secret, headers, body)
    assert replaced not in visitor.go("data/jobs").go("data/webhooks").text("main"), "it is shown once"
    page.click("#webhooks >> text=Pause")
    page.wait_for_selector("#webhooks >> text=Resume")
    assert page.is_disabled("text=Send a test")
    page.select_option("main select", "dead")
    page.wait_for_selector("text=No delivery is in this state.")
    assert page.url.endswith("#/data/webhooks?state=dead")
    page.click("#webhooks >> text=Remove")
    page.click("text=Remove for good")
    page.wait_for_selector("text=Nobody is told of anything yet.")


def test_the_schedule_is_that_of_the_api_and_webhooks_are_for_administrators(
    visit: Callable[..., Visitor], own: Stack
) -> None:
    visitor = visit(own).sign_in(at="/#/data/schedule")
    tasks = own.analyst().data("/api/schedule")["tasks"]
    assert visitor.texts("#schedule tbody th") == ["Scoring", "Training"]
    assert visitor.texts("#schedule tbody code") == [each["cron"] for each in tasks]
    assert visitor.texts("#schedule tbody button") == ["Score now", "Train now"]
    visitor.go("data/webhooks")
    assert visitor.text("h1") == "No such page"


def test_figures_are_of_the_model_that_scored_where_another_is_live_by_now(
    visit: Callable[..., Visitor], own: Stack
) -> None:
    api = own.person("admin")
    scored = api.data("/api/dashboard/metrics")["predictedChurners"]["model_version"]
    assert api.post("/api/model/rollback", {"reason": "the page says whose figures these are"}).status_code == 200
    live = api.data("/api/dashboard/metrics")["modelAuc"]
    made = api.data(f"/api/model/versions/{scored}")
    assert live["version"] != scored
    visitor = visit(own).sign_in()
    assert visitor.text("[data-figure=model-auc]") == f"{made['auc']:.3f}"
    card = visitor.facts("#model-auc")
    assert card["Model"].split() == [scored, "made", "the", "scores", "shown"]
    assert " ".join(card["Live by now"].split()).startswith(f"{live['version']} AUC {live['score']:.3f}")
    shares = [f"{each['importance'] * 100:.1f} %" for each in made["report"]["importance"][:5]]
    assert visitor.texts("#factors .shares .amount") == shares
    assert f"in model {scored}, which made the scores shown; {live['version']} is live by now." in visitor.text(
        "#factors"
    )
