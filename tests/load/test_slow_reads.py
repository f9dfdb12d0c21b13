"""One person's slow reads of a million customers leave threads to everybody else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
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


def summary(api: Api, number: int) -> int:
    """The status of a summary that nobody has asked for before."""
    margin = 0.5 + number / 1000
    return api.get(f"/api/segments/summary?by=plan&min_probability=0.{number:03}1&margin={margin}").status_code


def test_others_are_served_beside_one_persons_slow_reads(large: Stack) -> None:
    viewer, analyst = large.person("viewer"), large.person("analyst")
    began = time.monotonic()
    assert summary(viewer, 1) == 200
    alone_s, quick_s, same_s = time.monotonic() - began, [0.0], []
    began = time.monotonic()
    with ThreadPoolExecutor(READS) as clients:
        asked = [clients.submit(summary, viewer, 2 + k) for k in range(READS)]
        while wait(asked, timeout=0.2).not_done:
            quick_s.append(seconds_to_answer(large.port, "/api/health"))
            at = time.monotonic()
            analyst.data("/api/customers/usr_00000007")
            quick_s.append(time.monotonic() - at)
            if len(quick_s) == 5:
                at = time.monotonic()
                assert summary(analyst, 0) == 200
                same_s.append(time.monotonic() - at)
    whole_s = time.monotonic() - began
    told = Counter(each.result() for each in asked)
    print(f"alone {alone_s:.1f} s; {told} in {whole_s:.1f} s; others {max(quick_s):.2f} s, the same read {same_s} s")
    assert set(told) <= {200, 503}, told
    assert told[200] >= READS / 8, told  # they wait in turn: whoever refuses them all serves nobody
    assert max(quick_s) < IN_TIME_S
    assert same_s and same_s[0] < whole_s / 2
