"""Pictures of every view, in both themes and two widths, to be looked at: `make screenshots`.

They are written below build/, which is not in the repository.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.stack import PASSWORD, Stack

OUT = Path("build/screenshots")
WIDTHS = {"wide": 1440, "phone": 390}
WAIT_MS = 30_000


def addresses(page: Any) -> dict[str, str]:
    """Every view without a parameter, and one customer."""
    paths = page.evaluate("import('/page/views.js').then(v => v.VIEWS.map(view => view.path))")
    fixed = {path.replace("/", "-") or "overview": path for path in paths if ":" not in path}
    first = page.evaluate("import('/page/api.js').then(api => api.get('/api/customers?limit=1'))")["customers"]
    return fixed | {"customer": f"customers/{first[0]['user_id']}"}


def shoot(browser: Any, url: str, who: tuple[str, str], only: str) -> None:
    """Sign in once a theme and width, and take every view whole."""
    for scheme in ("light", "dark"):
        for name, width in WIDTHS.items():
            page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}).new_page()
            page.set_default_timeout(WAIT_MS)
            page.goto(url)
            page.screenshot(path=OUT / f"sign-in-{name}-{scheme}.png")
            page.fill("#email", who[0])
            page.fill("#password", who[1])
            page.click("button[type=submit]")
            page.wait_for_selector("main[aria-busy=false]")
            for title, path in addresses(page).items():
                if only not in title:
                    continue
                page.goto(f"{url}/#/{path}")
                page.wait_for_timeout(150)
                page.wait_for_selector("main[aria-busy=false]")
                page.screenshot(path=OUT / f"{title}-{name}-{scheme}.png", full_page=True)
            page.context.close()


@contextmanager
def demo() -> Iterator[tuple[str, tuple[str, str]]]:
    """A stack over the demo's data, and its administrator."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack")
        try:
            stack.start("ml")
            made = stack.command("demo", timeout=200)
            assert made.returncode == 0, made.stderr
            stack.start("gateway", "worker")
            stack.person("admin")
            yield stack.url, ("admin@example.com", PASSWORD)
        finally:
            stack.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running installation instead of a demo made for it")
    parser.add_argument("--email", default="alex.chen@netflix.com")
    parser.add_argument("--password", default="password")
    parser.add_argument("--only", default="", help="views whose name contains this")
    asked = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        if asked.url:
            shoot(browser, asked.url, (asked.email, asked.password), asked.only)
        else:
            with demo() as (url, who):
                shoot(browser, url, who, asked.only)
        browser.close()


if __name__ == "__main__":
    main()
