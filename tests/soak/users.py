"""A locustfile: users who ask every route, each answer looked at. `tests.soak` starts it and reads what it wrote."""

from __future__ import annotations

import itertools
import json
import os
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, constant, events, task
from requests import RequestException

from tests.soak.routes import TASKS, Known, Task, uncovered

KNOWN = Known(**json.loads(Path(os.environ["SOAK_KNOWN"]).read_text()))
TOLD = Path(os.environ["SOAK_TOLD"])
#: A file that is there once users have asked for long enough.
END = Path(os.environ["SOAK_END"])
#: Seconds of the monotonic clock, which all processes of a machine share.
LAST_LONG_TASK = float(os.environ["SOAK_LAST_LONG_TASK"])
PATIENCE_S = 60.0

times: defaultdict[str, list[float]] = defaultdict(list)
#: Answers of each route that were as expected.
expected: Counter[str] = Counter()
#: Answers that say when to come again: 429, and 503 of what is bounded.
refused: Counter[str] = Counter()
faults: Counter[str] = Counter()
busy: set[tuple[str, ...]] = set()
people = itertools.cycle(KNOWN.people)
last_done: dict[tuple[str, ...], float] = {}


class SoakUser(HttpUser):
    """Somebody who does one thing after the other, with half a second in between."""

    wait_time = constant(0.5)
    known = KNOWN

    def on_start(self) -> None:
        self.chance = random.Random(random.getrandbits(60))
        self.tokens = KNOWN.tokens | next(people)

    @task
    def something(self) -> None:
        """Do one task, drawn by weight, of those whose turn it may be."""
        possible = [each for each in TASKS if _may(each)]
        chosen = self.chance.choices(possible, [each.weight for each in possible])[0]
        busy.add(chosen.routes)
        try:
            chosen.act(self)
        finally:
            busy.discard(chosen.routes)
            last_done[chosen.routes] = time.monotonic()

    def ask(self, route: str, query: str = "", *, who: str = "analyst", **how: Any) -> Any:
        """Ask, time and judge; see `Person`."""
        expect, token = how.pop("expect", (200,)), how.pop("token", self.tokens[who])
        headers = {"Authorization": f"Bearer {token}", **how.pop("headers", {})}
        sent = {name: how.pop(name) for name in ("json", "files", "data") if name in how}
        method, _, path = route.partition(" ")
        began = time.perf_counter()
        try:
            answer = self.client.request(
                method, path.format(**how) + query, name=route, headers=headers, timeout=PATIENCE_S, **sent
            )
        finally:
            took_s = time.perf_counter() - began
        times[route].append(took_s)
        return _judged(route, answer, expect)

    def fault(self, what: str) -> None:
        faults[what[:300]] += 1

    def pause(self, seconds: float) -> None:
        gevent.sleep(seconds)


def _may(each: Task) -> bool:
    if each.lasts_long and time.monotonic() > LAST_LONG_TASK:
        return False
    if each.every_s is None:
        return True
    return each.routes not in busy and time.monotonic() - last_done.get(each.routes, -1e9) > each.every_s


def _judged(route: str, answer: Any, expect: tuple[int, ...]) -> Any:
    status = answer.status_code
    if status in expect:
        expected[route] += 1
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return answer.json().get("data") if is_json else answer.content
    if status in (429, 503) and "Retry-After" in answer.headers:
        refused[f"{status} {route}"] += 1
    else:
        why = repr(getattr(answer, "error", None)) if status == 0 else answer.text[:200]
        faults[f"{status} {route}: {why}"] += 1
    return None


@events.test_start.add_listener
def _every_route_has_a_task(environment: Any, **_: Any) -> None:
    import requests

    without = uncovered(requests.get(f"{environment.host}/api/openapi.json", timeout=PATIENCE_S).json())
    if without:
        faults[f"routes without a task: {', '.join(without)}"] += 1


@events.init.add_listener
def _end_when_told(environment: Any, **_: Any) -> None:
    def watch() -> None:
        while not END.exists():
            gevent.sleep(0.5)
        environment.runner.quit()

    gevent.spawn(watch)


@events.user_error.add_listener
def _broke(exception: Exception, **_: Any) -> None:
    kind = "connection" if isinstance(exception, RequestException) else "task"
    faults[f"{kind}: {exception!r}"[:300]] += 1


@events.quitting.add_listener
def _tell(**_: Any) -> None:
    TOLD.write_text(json.dumps({"times": times, "expected": expected, "refused": refused, "faults": faults}))
