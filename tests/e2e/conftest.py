"""A browser over the running product. Whatever the page complains about fails the test that made it complain."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, PASSWORD, Stack

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 15_000
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (e) => console.error(`CSP ${e.violatedDirective} ${e.blockedURI}`));
"""


@dataclass
class Visitor:
    """Somebody in front of the page: what they do, and what the browser held against it."""

    page: Any
    stack: Stack
    problems: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)

    def watch(self) -> Visitor:
        """Write down errors, policy violations and requests that leave this server."""
        self.page.set_default_timeout(WAIT_MS)
        self.page.add_init_script(TELL_VIOLATIONS)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.problems.append(said.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("request", self._stays_here)
        return self

    def _stays_here(self, request: Any) -> None:
        if not request.url.startswith((self.stack.url + "/", "data:")):
            self.problems.append(f"asked elsewhere: {request.url}")

    def allow(self, pattern: str) -> None:
        """This test provokes a complaint of the browser."""
        self.allowed.append(pattern)

    @property
    def complaints(self) -> list[str]:
        return [text for text in self.problems if not any(re.search(pattern, text) for pattern in self.allowed)]

    def sign_in(self, email: str = DEMO_EMAIL, password: str = DEMO_PASSWORD, at: str = "/") -> Visitor:
        """Go to an address, sign in, and wait for what stands there."""
        self.page.goto(self.stack.url + at)
        self.page.fill("#email", email)
        self.page.fill("#password", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_selector("header.top")
        return self.ready()

    def ready(self) -> Visitor:
        """Wait until the view of the address is shown and nothing of it loads any more."""
        self.until(
            "document.querySelector('main[aria-busy=false] h1') && document.querySelector('main').dataset.path"
            " === location.hash.replace(/^#\\/?/, '').split('?')[0].replace(/\\/+$/, '')"
        )
        return self

    def go(self, path: str) -> Visitor:
        """Open a view of the page, as a link does."""
        self.page.evaluate(f"location.hash = '#/{path}'")
        self.until("!document.querySelector('main .skeleton')")
        return self.ready()

    def sign_in_as(self, role: str) -> Visitor:
        """Sign in as somebody of this role."""
        self.stack.person(role)
        return self.sign_in(f"{role}@example.com", PASSWORD)

    def until(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true. The page's policy forbids the eval of `wait_for_function`."""
        deadline = time.monotonic() + WAIT_MS / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            self.page.wait_for_timeout(50)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector)).strip()

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.page.locator(selector).all_inner_texts()]

    def facts(self, selector: str) -> dict[str, str]:
        """The terms and values of a definition list."""
        return dict(zip(self.texts(f"{selector} dt"), self.texts(f"{selector} dd"), strict=True))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's Chromium, one for all tests of a process."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visitor]]:
    """Opens the page for a new visitor of a stack; at the end nothing may have been held against it."""
    made: list[Visitor] = []

    def make(stack: Stack, **how: Any) -> Visitor:
        context = browser.new_context(**how)
        made.append(Visitor(context.new_page(), stack).watch())
        return made[-1]

    yield make
    complaints = [text for visitor in made for text in visitor.complaints]
    for visitor in made:
        visitor.page.context.close()
    assert complaints == []


@pytest.fixture
def visitor(visit: Callable[..., Visitor], stack: Stack) -> Visitor:
    """A visitor of the demo."""
    return visit(stack)
