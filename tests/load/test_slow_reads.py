"""One person's slow reads of a million customers leave threads to everybody else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests import journey
from tests.load.million import write_customers
from tests.serving.slow_clients import seconds_to_answer
from tests.stack import ROOT, Api, Stack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.xdist_group("slow reads")]
READS, WAIT_S, IN_TIME_S = 48, 900.0, 2.0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A million customers with scores."""
    folder = tmp_path_factory.mktemp("large")
    write_customers(folder / "million.csv")
    stack = Stack(folder / "stack", {"DEMO": "0", "MAX_UPLOAD_MB": "400"}, interpreters=True).start()
    try:
        journey.by_rest(stack, ROOT / "examples" / "customers.csv", schema="retainstream", as_of="2026-08-01")
        trained = stack.person("analyst").post("/api/model/train", {})
        assert trained.status_code == 200, trained.text
        journey.by_rest(stack, folder / "million.csv", schema="retainstream", as_of="2026-09-01", seconds=WAIT_S)
        journey.scored_by_rest(stack, WAIT_S)
        yield stack
    finally:
        stack.stop()


def seconds(ask: Callable[[], object]) -> float:
    began = time.monotonic()
    ask()
    return time.monotonic() - began


def summary_path(number: int) -> str:
    """A summary that nobody has asked for before."""
    return f"/api/segments/summary?by=plan&min_probability=0.{number:03}1&margin={0.5 + number / 1000}"


def summary(api: Api, number: int) -> int:
    return api.get(summary_path(number)).status_code


def test_others_are_served_beside_one_persons_slow_reads(large: Stack) -> None:
    viewer, analyst = large.person("viewer"), large.person("analyst")
    filter_alone_s = seconds(lambda: analyst.data("/api/customers?q=usr_00&limit=20"))
    alone_s = seconds(lambda: viewer.data(summary_path(1)))
    quick_s, same_s, filtered_s = [0.0], list[float](), list[float]()
    began = time.monotonic()
    with ThreadPoolExecutor(READS) as clients:
        asked = [clients.submit(summary, viewer, 2 + k) for k in range(READS)]
        while wait(asked, timeout=0.2).not_done:
            quick_s.append(seconds_to_answer(large.port, "/api/health"))
            quick_s.append(seconds(lambda: analyst.data("/api/customers/usr_00000007")))
            quick_s.append(seconds(lambda: analyst.data("/api/customers?limit=50")))
            if not same_s:
                filtered_s.append(seconds(lambda: analyst.data("/api/customers?q=usr_00&limit=21")))
                same_s.append(seconds(lambda: analyst.data(summary_path(0))))
    whole_s = time.monotonic() - began
    told = Counter(each.result() for each in asked)
    print(f"{told} in {whole_s:.1f} s; others {max(quick_s):.2f} s; alone and beside:")
    print(f"a filter {filter_alone_s:.1f}, {filtered_s[0]:.1f} s; a summary {alone_s:.1f}, {same_s[0]:.1f} s")
    assert set(told) <= {200, 503}, told
    assert told[200] >= READS / 8, told  # they wait in turn: whoever refuses them all serves nobody
    assert max(quick_s) < IN_TIME_S
    assert same_s and same_s[0] < whole_s / 2
    assert filtered_s[0] < same_s[0]
