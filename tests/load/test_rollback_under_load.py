"""A rollback while people ask: every answer is of one model, whole."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.stack import Stack

CUSTOMER = "usr_331092"


def test_no_answer_mixes_versions_while_a_rollback_happens(new_stack: Callable[..., Stack]) -> None:
    stack = new_stack().start()
    api, admin = stack.analyst(), stack.person("admin")
    now, other = api.data("/api/model/status")["version"], "2.4.1"
    answers: list[dict[str, Any]] = []
    over = threading.Event()

    def ask() -> None:
        client = stack.analyst()
        while not over.is_set():
            said = client.post("/api/predictions/score", {"customer_id": CUSTOMER})
            assert said.status_code == 200, said.text
            answers.append(said.json()["data"])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for rounds in range(50):
        if rounds >= 3 and len(answers) > 20:
            break
        assert admin.post("/api/model/promote", {"version": other, "reason": "a try", "force": True}).status_code == 200
        assert admin.post("/api/model/rollback", {"reason": "under load"}).json()["data"]["version"] == now
    over.set()
    for thread in threads:
        thread.join()
    # One customer, two models: each version has one probability, one base and one confidence, and no others occur.
    told = {(a["model_version"], a["churn_probability"], a["confidence"]) for a in answers}
    assert {version for version, *_ in told} <= {now, other} and len(told) == len({version for version, *_ in told})
    assert len(answers) > 20
    assert api.data("/api/model/status")["version"] == now
