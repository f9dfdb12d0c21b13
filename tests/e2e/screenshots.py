"""Pictures of every view, of the API document and of a report, in both themes and several widths: `make screenshots`.

They are written below build/, which is not in the repository; `--images` takes those of the documents anew.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS, Visitor
from tests.stack import PASSWORD, Stack

OUT, IMAGES = Path("build/screenshots"), Path("docs/images")
WIDTHS = {"screen": 1920, "wide": 1440, "phone": 390, "narrow": 320}
HEIGHT = 900
SCHEMES = ("light", "dark")
CUSTOMERS = 3_000
#: For the documents: views, from above.
PICTURES = {"dashboard": "", "customer": "customers/{customer}"}
ASK = "import('/page/api.js').then(api => api.get('{path}'))"

Take = Callable[[Any, str], None]


def whole(page: Any, name: str) -> None:
    """Take the page from top to bottom."""
    page.screenshot(path=OUT / f"{name}.png", full_page=True)


def asked(page: Any, path: str) -> Any:
    """The API's answer to the person who is signed in."""
    return page.evaluate(ASK.format(path=path))


def addresses(page: Any) -> dict[str, str]:
    """Every view without a parameter, one customer and one campaign."""
    paths = page.evaluate("import('/page/views.js').then(v => v.VIEWS.map(view => view.path))")
    fixed = {path.replace("/", "-") or "overview": path for path in paths if ":" not in path}
    for name, (path, list_of, key) in {
        "customer": ("/api/customers?limit=1", "customers", "user_id"),
        "campaign": ("/api/campaigns?limit=1", "campaigns", "id"),
    }.items():
        for one in asked(page, path)[list_of]:
            fixed[name] = f"{list_of}/{one[key]}"
    return fixed


def signed_in(browser: Any, url: str, who: tuple[str, str], **how: Any) -> Visitor:
    """Somebody who is signed in, in a window of their own."""
    visitor = Visitor(browser.new_context(**how).new_page(), SimpleNamespace(url=url)).watch()  # type: ignore[arg-type]
    return visitor.sign_in(*who)


def shoot(browser: Any, url: str, who: tuple[str, str], only: str, take: Take = whole) -> None:
    """Sign in once a theme and width, and take every view, the API document and the live model's report."""
    for scheme in SCHEMES:
        for name, width in WIDTHS.items():
            end = f"{name}-{scheme}"
            visitor = signed_in(browser, url, who, color_scheme=scheme, viewport={"width": width, "height": HEIGHT})
            page = visitor.page
            for title, path in addresses(page).items():
                if only in title:
                    visitor.go(path)
                    take(page, f"{title}-{end}")
            version = asked(page, "/api/model/status")["version"]
            for title, path, seen in (
                ("document", "/api/docs", ".opblock-tag"),
                ("report", f"/api/model/versions/{version}/report", "h1"),
            ):
                if only in title:
                    page.goto(url + path)
                    page.wait_for_selector(seen)
                    take(page, f"{title}-{end}")
            if only in "sign-in":
                page.context.clear_cookies()
                page.goto(url)
                page.wait_for_selector("#email")
                take(page, f"sign-in-{end}")
            page.context.close()


def picture(browser: Any, url: str, who: tuple[str, str]) -> None:
    """Take the pictures of the documents: what a screen shows, in light."""
    visitor = signed_in(browser, url, who, color_scheme="light", viewport={"width": 1440, "height": 740})
    customer = asked(visitor.page, "/api/customers?limit=1")["customers"][0]["user_id"]
    for name, path in PICTURES.items():
        visitor.go(path.format(customer=customer))
        visitor.page.screenshot(path=IMAGES / f"{name}.png")
    visitor.page.context.close()


@contextmanager
def demo(customers: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """A stack over the demo's data, and its administrator."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "stack", {"DEMO_CUSTOMERS": str(customers)})
        try:
            stack.start("ml")
            made = stack.command("demo", timeout=600)
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
    parser.add_argument("--customers", type=int, default=CUSTOMERS, help="of the demo that is made")
    parser.add_argument("--images", action="store_true", help="take the pictures of the documents instead")
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        with demo(given.customers) if not given.url else running(given) as (url, who):
            if given.images:
                picture(browser, url, who)
            else:
                shoot(browser, url, who, given.only)
        browser.close()


@contextmanager
def running(given: argparse.Namespace) -> Iterator[tuple[str, tuple[str, str]]]:
    """An installation that runs already, and who signs in there."""
    yield given.url, (given.email, given.password)


if __name__ == "__main__":
    main()
