"""Views of the page in Chromium at any size of the base: from the click to the moment at which nothing loads any more.

Law: a view is shown when its own page says so (no skeleton, nothing busy); the answers of the gateway are new ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.big_base import forgotten
from tests.e2e.conftest import CHROMIUM, FLAGS, Visitor
from tests.stack import PASSWORD, Stack

#: Seconds within which the first page is shown after signing in, and any view after that.
FIRST, LATER = 2.0, 1.0
WAIT_MS = 120_000
SHOWN = "!document.querySelector('main .skeleton') && document.querySelector('main[aria-busy=false] h1') && true"


@dataclass
class Shown:
    """A view and the seconds from click to shown, each time."""

    view: str
    bar: float
    took: list[float]

    @property
    def is_held(self) -> bool:
        return float(np.median(self.took)) <= self.bar

    def show(self) -> None:
        """Print a line of the table."""
        ms = 1000 * np.median(self.took), 1000 * max(self.took)
        print(
            f"{self.view:40} {ms[0]:6.0f} {ms[1]:6.0f}  {self.bar * 1000:5.0f} {'held' if self.is_held else 'MISSED'}",
            flush=True,
        )


def measured(stack: Stack, times: int) -> list[Shown]:
    """Time the views, printing each."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            print(f"\n{'view, from click to shown':40}    p50    max    bar (ms)")
            return list(_all(stack, browser, times))
        finally:
            browser.close()


def _all(stack: Stack, browser: Any, times: int) -> Any:
    signed = browser.new_context()
    visitor = Visitor(signed.new_page(), stack).watch()
    visitor.page.set_default_timeout(WAIT_MS)
    visitor.sign_in("analyst@example.com", PASSWORD)
    first = Shown("first load", FIRST, [])
    for _ in range(times):
        forgotten(stack)
        fresh = browser.new_context(storage_state=signed.storage_state())
        page = fresh.new_page()
        began = time.perf_counter()
        page.goto(stack.url + "/")
        _until(page, SHOWN)
        first.took.append(time.perf_counter() - began)
        fresh.close()
    first.show()
    yield first
    customer = stack.analyst().data("/api/customers?limit=20")["customers"][-1]["user_id"]
    views = {"overview": "", "customers": "customers", "customers by revenue at risk": "customers?sort=-revenue_at_risk",
             "customers of a plan": "customers?plan=Standard", "one customer": f"customers/{customer}", "value": "value",
             "segments": "segments", "cohorts": "segments/cohorts", "newly at risk": "customers/new-at-risk", "announced": "customers/announced-ends",
             "live": "model/live", "model": "model", "campaigns": "campaigns"}  # fmt: skip
    for name, path in views.items():
        found = Shown(name, LATER, [])
        for _ in range(times):
            visitor.page.evaluate("location.hash = '#/data/jobs'")
            _until(visitor.page, SHOWN)
            forgotten(stack)
            found.took.append(_clicked(visitor.page, path))
        found.show()
        yield found


def _clicked(page: Any, path: str) -> float:
    began = time.perf_counter()
    page.evaluate(f"location.hash = '#/{path}'")
    here = path.split("?")[0]
    _until(page, f"document.querySelector('main').dataset.path === '{here}' && {SHOWN}")
    return time.perf_counter() - began


def _until(page: Any, expression: str) -> None:
    deadline = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never true: {expression}"
        page.wait_for_timeout(10)
