"""More load than there are threads: health answers, and every request gets an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import requests

from tests.serving.slow_clients import seconds_to_answer
from tests.stack import Api, Stack

THREADS, CLIENTS = 6, 60
IN_TIME_S = 2.0
TABLE = "user_id,plan\n" + "".join(f"u{k},Standard\n" for k in range(50))


@pytest.fixture(scope="module")
def stack(new_stack: Callable[..., Stack]) -> Iterator[Stack]:
    limits = {"GATEWAY_THREADS": str(THREADS), "MAX_QUEUED": "5", "BCRYPT_COST": "10"}
    made = new_stack(**limits).start("gateway", "worker")
    with made.frozen("worker"):
        yield made
    made.stop()


def asks(api: Api) -> list[Callable[[], requests.Response]]:
    """Requests of clients of each kind: a sign-in, a job, a job that is waited for, a single score, a list."""
    wrong = {"email": "nobody@example.com", "password": "a wrong password"}
    file = {"file": ("few.csv", TABLE, "text/csv")}
    return [
        lambda: Api(api.url).post("/api/auth/login", wrong),
        lambda: api.ask("POST", "/api/customers/import/preview", files=file, headers={"Prefer": "respond-async"}),
        lambda: api.post("/api/predictions/generate", {"sample_size": 5}, headers={"Prefer": "wait=3"}),
        lambda: api.post("/api/predictions/score", {"customer_id": "usr_331092"}),
        lambda: api.get("/api/customers?limit=50"),
    ]


def test_health_answers_and_no_request_is_left_without_an_answer(stack: Stack) -> None:
    chosen = asks(stack.analyst())
    told: Counter[str] = Counter()
    slowest = 0.0
    with ThreadPoolExecutor(CLIENTS) as clients:
        asked = [clients.submit(chosen[k % len(chosen)]) for k in range(2 * CLIENTS)]
        while wait(asked, timeout=0.1).not_done:
            slowest = max(slowest, seconds_to_answer(stack.port, "/api/health"))
    for each in asked:
        answer = each.result()  # a connection that broke off is raised
        told[str(answer.json()["error"]["code"]) if not answer.ok else str(answer.status_code)] += 1
        assert answer.status_code in (200, 202, 401, 429, 503), answer.text
        assert ("Retry-After" in answer.headers) == (answer.status_code in (429, 503)), answer.text
    assert told.total() == 2 * CLIENTS
    assert told["too_many_queued"] > 0, told
    assert slowest < IN_TIME_S, told
