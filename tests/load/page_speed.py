"""How long the page takes: its first load with nothing in the browser's cache, and each view when it is first opened.

`python -m tests.load.page_speed [--url URL --email E-MAIL --password PASSWORD]` prints a table, medians of rounds.
"""

from __future__ import annotations

import argparse
from statistics import median
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.e2e.screenshots import CUSTOMERS, addresses, demo, running, signed_in

ROUNDS = 5
#: Milliseconds from a moment until a view is whole: nothing of it loads any more, and the browser has drawn it.
UNTIL = """
since => new Promise(done => {
  const isWhole = () => document.querySelector("main[aria-busy=false] h1") && !document.querySelector("main .skeleton")
    && document.querySelector("main").dataset.path === location.hash.replace(/^#\\/?/, "");
  const look = () => (isWhole() ? requestAnimationFrame(() => done(performance.now() - since)) : requestAnimationFrame(look));
  look();
})
"""
OPEN = f"path => {{ const since = performance.now(); location.hash = `#/${{path}}`; return ({UNTIL.strip()})(since); }}"


def first_load(browser: Any, url: str, cookies: list[Any]) -> tuple[float, int, int]:
    """Milliseconds until the overview is whole, the requests for it, and their kilobytes."""
    context = browser.new_context()
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(url)
    taken = page.evaluate(UNTIL, 0)
    sizes = page.evaluate("performance.getEntriesByType('resource').map(each => each.transferSize)")
    context.close()
    return taken, len(sizes) + 1, round(sum(sizes) / 1000)


def views(browser: Any, url: str, cookies: list[Any]) -> dict[str, float]:
    """Milliseconds until each view is whole, opened for the first time in a window."""
    context = browser.new_context()
    context.add_cookies(cookies)
    page = context.new_page()
    page.goto(f"{url}/#/people")
    page.evaluate(UNTIL, 0)
    taken = {name: page.evaluate(OPEN, path) for name, path in addresses(page).items() if name != "people"}
    context.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running installation instead of a demo made for it")
    parser.add_argument("--email", default="alex.chen@netflix.com")
    parser.add_argument("--password", default="password")
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of the demo that is made")
    given = parser.parse_args()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        with demo(given.customers) if not given.url else running(given) as (url, who):
            cookies = signed_in(browser, url, who).page.context.cookies()
            loads = [first_load(browser, url, cookies) for _ in range(ROUNDS)]
            rounds = [views(browser, url, cookies) for _ in range(ROUNDS)]
        browser.close()
    print(f"first load: {median(ms for ms, _, _ in loads):.0f} ms, {loads[0][1]} requests, {loads[0][2]} KB")
    for name in rounds[0]:
        each = [taken[name] for taken in rounds]
        print(f"{name:28} {median(each):6.0f} ms   slowest {max(each):6.0f} ms")


if __name__ == "__main__":
    main()
