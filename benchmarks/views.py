"""Every read of the page at a million customers: each route as each view asks it, timed against its bar.

    python -m benchmarks.views --customers 1000000 --folder FOLDER [--browser]

"New" is asked after a commit, so that nothing of the answer is remembered (the file system's cache is warm); "same" is
asked again at once. A bar is judged by the median of the first kind: of the seconds on the clock, or with --cpu of those that
both services computed, where others keep the machine busy. The base is made once and stays in the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests

from benchmarks import big_base, clicks
from tests.load.million import processes
from tests.stack import Stack

#: Seconds within which a read of roll-ups and indexed orders answers, and one of ad-hoc filters and groups.
ROLL_UP, AD_HOC = 0.3, 1.5
TIMES = 5
#: Renewing what is kept takes a moment after a change; a run of a million takes longest.
SETTLE_S = 240.0


@dataclass(frozen=True)
class Read:
    """A route as a view asks it; `{id}` is a customer, `{since}` and `{until}` the dates of the last two runs."""

    view: str
    path: str
    bar: float = ROLL_UP
    body: dict[str, Any] | None = None
    who: str = "analyst"


def _reads() -> list[Read]:
    roll_up = {
        "frame": ["/api/auth/me", "/api/health", "/api/schema", "/api/jobs?state=running&limit=1", "/api/customers?q=usr_00001&limit=5"],
        "overview": [
            "/api/dashboard/metrics", "/api/model/status", "/api/predictions/performance", "/api/dashboard/value",
            "/api/dashboard/threshold?steps=true", "/api/dashboard/distribution", "/api/dashboard/features",
            "/api/customers?limit=10", "/api/customers/movers?direction=up&limit=10", "/api/dashboard/history",
        ],
        "customers": [
            "/api/customers?limit=50", "/api/customers/high-risk?page=1&limit=10",
            *(f"/api/customers?sort={minus}{key}&limit=50" for key in ("churn_probability", "revenue_at_risk", "monthly_price",
              "last_activity", "tenure_months", "user_id") for minus in ("", "-")),
            "/api/customers?q=usr_000123&limit=50", "/api/customers?risk=High&limit=50",
            "/api/customers?work_status=to_do&limit=50", "/api/customers?due_by=2030-01-01&limit=50",
        ],
        "customer": [
            "/api/customers/{id}", "/api/customers/{id}/history?limit=24", "/api/customers/{id}/work",
            "/api/customers/{id}/actions", "/api/customers/{id}?outlook=true",
            "/api/customers/{id}/changes?since={since}&until={until}",
        ],
        "value": ["/api/dashboard/value?margin=0.6&months=24", "/api/dashboard/value?clv=300&offer=5"],
        "segments": [f"/api/segments/summary?by={by}" for by in ("plan", "risk", "tenure_months", "country", "payment_method")]
        + ["/api/segments?limit=100"],
        "cohorts": ["/api/dashboard/cohorts?limit=12", "/api/dashboard/movement?limit=12",
                    "/api/dashboard/churn-change?by=plan", "/api/dashboard/churn-change?by=tenure_months"],
        "newly at risk": ["/api/customers/movers?direction=down&limit=10", "/api/customers/movers?direction=entered&limit=100",
                          "/api/customers/movers?direction=left&limit=100"],
        "announced": ["/api/customers/announced?kind=cancelled&within_days=30", "/api/customers/announced?kind=auto_renew_off",
                      "/api/customers/announced?kind=contract_ends"],
        "campaigns": ["/api/campaigns?limit=50", "/api/actions", "/api/campaigns/1", "/api/campaigns/1/effect"],
        "live": ["/api/model/live", "/api/model/drift",
                 *(f"/api/predictions/performance?view=live&limit=24&by={by}" for by in ("run", "month", "version", "segment"))],
        "model": ["/api/model/versions", "/api/model/versions/{version}", "/api/model/timeline"],
        "import": ["/api/customers/import?limit=20"],
        "jobs": ["/api/jobs?limit=50", "/api/schedule"],
    }  # fmt: skip
    ad_hoc = {
        "customers": [
            *(f"/api/customers?{filters}&limit=50" for filters in (
                "plan=Standard", "plan=Standard&sort=-revenue_at_risk", "plan=Standard&sort=-last_activity",
                "plan=Standard&sort=-monthly_price", "reason=payment_failures", "reason=country", "low_confidence=true", "min_tenure_months=200",
                "min_monthly_price=20&max_monthly_price=30", "min_probability=0.31&max_probability=0.32",
                "feature.country=country%2007", "feature.watch_time_hours.min=300&sort=-feature.watch_time_hours",
                "scored=no", "scored=any", "churned=true", "q=c0&sort=-revenue_at_risk", "sort=feature.device_count",
                "risk=Low&plan=Standard&min_tenure_months=24",
            )),
        ],
        "segments": ["/api/segments/summary?by=plan&min_tenure_months=12", "/api/segments/summary?by=country&plan=Standard"],
        "newly at risk": ["/api/customers/movers?direction=entered&why=true&limit=100",
                          "/api/customers/movers?direction=up&since={since}&until={until}&cut=0.31"],
    }  # fmt: skip
    found = [Read(view, path) for view, paths in roll_up.items() for path in paths]
    found += [Read("overview", "/api/customers/segment", body={}), Read("accounts", "/api/users?limit=100", who="admin"),
              Read("accounts", "/api/auth/keys?limit=100"), Read("audit", "/api/audit?limit=50", who="admin")]  # fmt: skip
    found += [Read(view, path, AD_HOC) for view, paths in ad_hoc.items() for path in paths]
    what_if = {"customer_id": "{id}", "changes": {"last_login_days": 1}}
    plan = {"reduction": 0.2, "top": 10_000}
    return [*found, Read("customer", "/api/predictions/what-if", body=what_if), Read("campaigns", "/api/campaigns/plan", AD_HOC, plan),
            Read("campaigns", "/api/campaigns/plan", AD_HOC, {"reduction": 0.2, "filters": {"plan": "Standard"}})]  # fmt: skip


@dataclass
class Timed:
    """A read and what it took, in seconds: the first time, each time after a commit (and its CPU), each time again."""

    view: str
    path: str
    bar: float
    first: float
    new: list[float]
    cpu: list[float]
    same: list[float]
    by_cpu: bool

    @property
    def is_held(self) -> bool:
        return float(np.median(self.cpu if self.by_cpu else self.new)) <= self.bar

    def show(self) -> None:
        """Print a line of the table."""
        seconds = (self.first, np.median(self.new), max(self.new), np.median(self.cpu), np.median(self.same), self.bar)
        told = " ".join(f"{1000 * each:6.0f}" for each in seconds)
        print(f"{self.view:14} {self.path:86} {told} {'held' if self.is_held else 'MISSED'}", flush=True)


class _Asker:
    """Asks as the page does, with connections that stay open."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._session = stack, requests.Session()
        listed = self._json("/api/customers?limit=20&scored=yes", "analyst")
        movers = self._json("/api/customers/movers?limit=1", "analyst")
        version = self._json("/api/model/status", "analyst")["version"]
        self._known = {
            "{id}": listed["customers"][-1]["user_id"],
            "{since}": movers["compared_with"],
            "{until}": movers["as_of"],
            "{version}": version,
        }

    def _json(self, path: str, who: str) -> Any:
        answer = self._session.get(self._stack.url + path, headers=self._headers(who), timeout=600)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._stack.tokens[who]}"}

    def filled(self, text: str) -> str:
        for name, value in self._known.items():
            text = text.replace(name, str(value))
        return text

    def ask(self, read: Read) -> tuple[float, float]:
        """Seconds of one answer, on the clock and of both services' CPU."""
        used = self._cpu()
        url, how = self._stack.url + self.filled(read.path), {"headers": self._headers(read.who), "timeout": 600}
        began = time.perf_counter()
        if read.body is None:
            answer = self._session.get(url, **how)
        else:
            answer = self._session.post(url, json=json.loads(self.filled(json.dumps(read.body))), **how)
        took = time.perf_counter() - began
        assert answer.status_code in (200, 404), f"{url}: {answer.text}"
        return took, self._cpu() - used

    def _cpu(self) -> float:
        leaders = [self._stack.running[name].pid for name in ("gateway", "ml")]
        tasks = [
            task for leader in leaders for pid in processes(leader) for task in Path(f"/proc/{pid}/task").iterdir()
        ]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def settled(stack: Stack) -> float:
    """Wait until what is kept is of the present state; return the seconds."""
    began, whole = (
        time.monotonic(),
        "SELECT 1 FROM kept_figures k JOIN present_state s ON s.version = k.version WHERE k.name = ''",
    )
    while not stack.rows(whole):
        assert time.monotonic() < began + SETTLE_S, f"nothing was kept within {SETTLE_S:.0f} s"
        time.sleep(0.2)
    return time.monotonic() - began


def measured(stack: Stack, reads: list[Read], times: int, *, by_cpu: bool) -> list[Timed]:
    """Time each read, printing it."""
    asker = _Asker(stack)
    print(f"{'view':14} {'route':86}  first    new    max    cpu   same    bar (ms)")
    found = []
    for read in reads:
        big_base.forgotten(stack)
        first, new, same = asker.ask(read)[0], [], []
        for _ in range(times):
            big_base.forgotten(stack)
            new.append(asker.ask(read))
            same.append(asker.ask(read)[0])
        clock, cpu = (list(each) for each in zip(*new, strict=True))
        found.append(Timed(read.view, read.path, read.bar, first, clock, cpu, same, by_cpu))
        found[-1].show()
    return found


def main() -> int:
    """Print the tables; 1 where a bar is broken."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--customers", type=int, default=1_000_000)
    command.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "retainstream-million",
        help="of the base, which stays",
    )
    command.add_argument("--times", type=int, default=TIMES)
    command.add_argument("--cpu", action="store_true", help="judge reads by CPU: others keep this machine busy")
    command.add_argument("--only", default="", help="reads whose view or route holds this text")
    command.add_argument("--browser", action="store_true", help="also time the page in Chromium, from click to shown")
    command.add_argument("--json", type=Path, default=Path("views.json"))
    given = command.parse_args()
    stack = big_base.ready(given.folder, given.customers)
    try:
        print(f"Figures were kept after {settled(stack):.1f} s; load {os.getloadavg()[0]:.1f}", flush=True)
        found = measured(
            stack, [each for each in _reads() if given.only in each.view + each.path], given.times, by_cpu=given.cpu
        )
        shown = clicks.measured(stack, given.times) if given.browser else []
    finally:
        stack.stop()
    told = {
        "load": os.getloadavg(),
        "reads": [asdict(each) for each in found],
        "views": [asdict(each) for each in shown],
    }
    given.json.write_text(json.dumps(told, indent=2))
    missed = [each for each in [*found, *shown] if not each.is_held]
    print(f"{len(missed)} of {len(found) + len(shown)} bars are missed; load {os.getloadavg()[0]:.1f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
