"""The page for everybody: by keyboard, on a narrow screen, in the dark, read aloud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Visitor
from tests.stack import DEMO_EMAIL, DEMO_PASSWORD, Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
NAMELESS = """
() => {
  const named = (e) => (e.getAttribute("aria-label") || e.getAttribute("title") || e.textContent || "").trim();
  const wrong = [];
  for (const e of document.querySelectorAll("input")) if (!e.labels.length && !e.getAttribute("aria-label")) wrong.push(`input #${e.id} without a label`);
  for (const e of document.querySelectorAll("button, a")) if (!named(e)) wrong.push(`${e.outerHTML.slice(0, 80)} without a name`);
  for (const e of document.querySelectorAll("img")) if (e.getAttribute("alt") === null) wrong.push("img without alt");
  for (const e of document.querySelectorAll("svg")) {
    if (e.getAttribute("aria-hidden") !== "true" && !(e.getAttribute("role") === "img" && named(e))) wrong.push("svg without a description");
  }
  for (const e of document.querySelectorAll("[aria-labelledby], [aria-describedby]")) {
    for (const id of `${e.getAttribute("aria-labelledby") ?? ""} ${e.getAttribute("aria-describedby") ?? ""}`.trim().split(/ +/)) {
      if (!document.getElementById(id)) wrong.push(`#${id} is named but not there`);
    }
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  wrong.push(...ids.filter((id, k) => ids.indexOf(id) !== k).map((id) => `id ${id} twice`));
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) wrong.push("not exactly one main");
  if (!document.documentElement.lang) wrong.push("no language");
  if (document.querySelector("[style]")) wrong.push("an inline style");
  return wrong;
}
"""
FAINT = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = (c) => c.slice(0, 3).map((v) => v / 255).map((v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
  const faint = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest(".unseen, :disabled, noscript, title")) continue;
    const style = getComputedStyle(e);
    const a = light(rgb(e.closest("svg") ? style.fill : style.color)), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const size = parseFloat(style.fontSize);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    if (ratio < least) faint.add(`${e.tagName}.${e.getAttribute("class")} ${ratio.toFixed(2)}`);
  }
  return [...faint];
}
"""


AXE = """
axe.run().then((found) => found.violations.flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.html.slice(0, 120)}`)))
"""
OPEN_ALL = "document.querySelectorAll('main details').forEach((each) => { each.open = true; })"
SIDEWAYS = "document.documentElement.scrollWidth - window.innerWidth"


def axe_source() -> str:
    """The text of axe-core, out of its wheel."""
    module = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    return (Path(module.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def every_view(visitor: Visitor) -> list[str]:
    """The address of every view that is registered, of one customer, and one that leads nowhere."""
    paths = visitor.page.evaluate("import('/page/views.js').then((found) => found.VIEWS.map((view) => view.path))")
    return [*(path for path in paths if ":" not in path), "customers/usr_331092", "nonsense"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_anything_that_keeps_somebody_out(visit: Callable[..., Visitor], stack: Stack, scheme: str) -> None:
    """Names, contrast and axe-core's rules, with everything unfolded."""
    visitor = visit(stack, color_scheme=scheme)
    visitor.page.goto(stack.url)
    visitor.page.wait_for_selector("#email")
    visitor.page.evaluate(axe_source())
    assert visitor.page.evaluate(AXE) == []
    assert visitor.page.evaluate(NAMELESS) == []
    visitor.sign_in_as("admin")
    visitor.page.evaluate(axe_source())
    found: dict[str, list[str]] = {}
    for path in every_view(visitor):
        visitor.go(path)
        visitor.page.evaluate(OPEN_ALL)
        found[path] = [text for rule in (AXE, NAMELESS, FAINT) for text in visitor.page.evaluate(rule)]
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize("width", [320, 390, 1280, 1920])
def test_nothing_scrolls_sideways(visit: Callable[..., Visitor], stack: Stack, width: int) -> None:
    visitor = visit(stack, viewport={"width": width, "height": 780})
    visitor.page.goto(stack.url)
    assert visitor.page.evaluate(SIDEWAYS) <= 0
    visitor.sign_in_as("admin")
    wide = {}
    for path in every_view(visitor):
        visitor.go(path)
        visitor.page.evaluate(OPEN_ALL)
        wide[path] = visitor.page.evaluate(SIDEWAYS)
    assert {path: pixels for path, pixels in wide.items() if pixels > 0} == {}


#: Tables that reach beyond the window themselves, instead of scrolling in a box that does not.
TABLES_OUT = """
[...document.querySelectorAll("main table")].filter((table) => table.checkVisibility())
  .filter((table) => (table.closest(".scrolls, .list-place") ?? table).getBoundingClientRect().right > window.innerWidth + 1)
  .map((table) => table.caption?.textContent ?? table.ariaLabel ?? table.className)
"""


def test_tables_scroll_in_a_box_of_their_own_on_a_phone(
    visit: Callable[..., Visitor], stack: Stack, tmp_path: Path
) -> None:
    visitor = visit(stack, viewport={"width": 320, "height": 640}).sign_in(at="/#/customers")
    found: dict[str, list[str]] = {}
    everything = "customers?cols=plan,reasons,activity,tenure,price,revenue,work,contact,confidence"
    for path in (*every_view(visitor), everything, "campaigns/1"):
        visitor.go(path)
        visitor.page.evaluate(OPEN_ALL)
        found[path] = visitor.page.evaluate(TABLES_OUT)
    file = tmp_path / "wide.csv"
    names = [f"a_rather_long_name_of_a_column_{k}" for k in range(12)]
    file.write_text(",".join(["user_id", *names]) + "\nusr_331092" + ",1" * len(names) + "\n", encoding="utf-8")
    visitor.go("data")
    visitor.page.set_input_files("#import input[type=file]", file)
    visitor.page.wait_for_selector("#preview table")
    visitor.ready()
    found["preview"] = [*visitor.page.evaluate(TABLES_OUT), *["body"] * (visitor.page.evaluate(SIDEWAYS) > 0)]
    assert {path: tables for path, tables in found.items() if tables} == {}


# --- the API document and a training's report: pages of their own -----------------------------------------------------

POST = ".opblock-post:has(.opblock-summary-path[data-path='/api/customers/segment'])"
LIST = ".opblock-get:has(.opblock-summary-path[data-path='/api/customers/announced'])"


#: Swagger UI draws a hundred routes anew at each press: on a busy machine that takes its time.
SWAGGER_MS = 60_000
#: A head that sorts keeps its words on paper.
PRESSED = "button:not(.sort):visible, input:visible, select:visible, .side:visible"


def open_document(visitor: Visitor) -> None:
    """The API document with a route that reads and one that was tried."""
    visitor.page.set_default_timeout(SWAGGER_MS)
    visitor.page.goto(visitor.stack.url + "/api/docs")
    visitor.page.click(f"{LIST} .opblock-summary-control")
    visitor.page.click(f"{POST} .opblock-summary-control")
    visitor.page.click(f"{POST} button.execute")
    visitor.page.wait_for_selector(f"{POST} .live-responses-table .response-col_status")
    visitor.page.wait_for_selector(f"{POST} .live-responses-table pre[tabindex]")


def open_report(visitor: Visitor) -> None:
    """The report of the live model."""
    version = visitor.stack.analyst().data("/api/model/status")["version"]
    visitor.page.goto(f"{visitor.stack.url}/api/model/versions/{version}/report")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_api_document_keeps_nobody_out(visit: Callable[..., Visitor], stack: Stack, scheme: str) -> None:
    visitor = visit(stack, color_scheme=scheme).sign_in()
    open_document(visitor)
    assert visitor.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == scheme
    assert visitor.text("#who") == "“Execute” acts as Alex Chen, analyst."
    visitor.page.evaluate(axe_source())
    assert visitor.page.evaluate(AXE) == []
    assert visitor.page.evaluate(FAINT) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_keeps_nobody_out(visit: Callable[..., Visitor], stack: Stack, scheme: str) -> None:
    visitor = visit(stack, color_scheme=scheme).sign_in()
    open_report(visitor)
    visitor.page.evaluate(axe_source())
    assert [text for rule in (AXE, NAMELESS, FAINT) for text in visitor.page.evaluate(rule)] == []


@pytest.mark.parametrize("width", [320, 390, 1280, 1920])
def test_neither_the_document_nor_a_report_scrolls_sideways(
    visit: Callable[..., Visitor], stack: Stack, width: int
) -> None:
    visitor = visit(stack, viewport={"width": width, "height": 780}).sign_in()
    for opened in (open_document, open_report):
        opened(visitor)
        assert visitor.page.evaluate(SIDEWAYS) <= 0, opened.__name__


def test_on_paper_nothing_is_left_to_press_and_no_colour_of_the_dark(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers")
    visitor.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    visitor.page.emulate_media(media="print")
    for path in ("", "customers", "customers/usr_331092"):
        visitor.go(path)
        assert visitor.page.locator(PRESSED).count() == 0, path
        assert visitor.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert visitor.page.evaluate(FAINT) == []


def test_a_customer_opens_and_closes_by_keyboard(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers")
    link = visitor.page.locator("table.list tbody th a").nth(3)
    name = link.inner_text()
    link.focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#facts")
    assert (
        visitor.page.evaluate("document.activeElement.tagName + ' ' + document.activeElement.textContent")
        == f"H1 {name}"
    )
    visitor.page.go_back()
    visitor.page.wait_for_selector("table.list")
    assert visitor.page.evaluate("document.activeElement.textContent") == name


def test_focus_can_be_seen_and_the_content_reached_first(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.page.reload()
    visitor.ready()
    visitor.page.keyboard.press("Tab")
    assert visitor.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    visitor.page.keyboard.press("Enter")
    assert visitor.page.evaluate("document.activeElement.id") == "main"
    visitor.page.keyboard.press("Tab")
    width = visitor.page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(width.removesuffix("px")) >= 2


# --- by keyboard alone, on the narrowest screen -----------------------------------------------------------------------

MOST_TABS = 150
#: The element that has the focus, if it can be seen: its rectangle within the window, and its name.
FOCUSED = """
() => {
  const e = document.activeElement;
  const { left, right, top, bottom, width, height } = e.getBoundingClientRect();
  const isSeen = width > 0 && height > 0 && right > 0 && left < innerWidth && bottom > 0 && top < innerHeight;
  return { tag: e.tagName, id: e.id, seen: isSeen, name: (e.getAttribute("aria-label") ?? e.labels?.[0]?.textContent ?? e.textContent).trim() };
}
"""


def tab_to(visitor: Visitor, name: str, key: str = "Tab") -> None:
    """Press Tab until what has this name has the focus; each that has it on the way can be seen."""
    for _ in range(MOST_TABS):
        visitor.page.keyboard.press(key)
        now = visitor.page.evaluate(FOCUSED)
        assert now["seen"] or now["tag"] == "BODY", now
        if now["name"].startswith(name):
            return
    pytest.fail(f"Tab does not reach {name}")


def pressed(visitor: Visitor, name: str, key: str = "Enter") -> None:
    tab_to(visitor, name)
    visitor.page.keyboard.press(key)


def test_a_customer_is_found_tried_and_exported_by_keyboard_at_320_pixels(
    visit: Callable[..., Visitor], stack: Stack
) -> None:
    visitor = visit(stack, viewport={"width": 320, "height": 640})
    keys = visitor.page.keyboard
    visitor.page.goto(stack.url)
    visitor.until("document.activeElement.id === 'email'")
    keys.type(DEMO_EMAIL)
    keys.press("Tab")
    keys.type(DEMO_PASSWORD)
    keys.press("Enter")
    visitor.page.wait_for_selector("header.top")
    visitor.ready()
    tab_to(visitor, "Menu", "Shift+Tab")
    keys.press("Enter")
    pressed(visitor, "Customers")
    visitor.ready()
    assert visitor.page.evaluate(FOCUSED)["name"] == "Customers"
    tab_to(visitor, "Export CSV")
    with visitor.page.expect_download() as download:
        keys.press("Enter")
    assert Path(download.value.path()).read_text(encoding="utf-8").count("\n") > 100
    pressed(visitor, "More filters")
    tab_to(visitor, "usr_")
    name = visitor.page.evaluate(FOCUSED)["name"]
    keys.press("Enter")
    visitor.page.wait_for_selector("#what-if")
    visitor.ready()
    assert visitor.page.evaluate(FOCUSED)["name"] == name
    visitor.page.locator("#what-if input[type=range]").first.focus()
    keys.press("ArrowRight")
    visitor.page.wait_for_selector("#what-if-answer [data-figure=what-if]")
    assert visitor.page.evaluate("document.activeElement.type") == "range"


def test_a_file_is_tried_by_keyboard_and_the_focus_stays(
    visit: Callable[..., Visitor], stack: Stack, tmp_path: Path
) -> None:
    visitor = visit(stack, viewport={"width": 320, "height": 640}).sign_in(at="/#/data")
    visitor.allow("422")
    file = tmp_path / "ends.csv"
    file.write_text("user_id,ended_at\nusr_331092,2026-01-01\n", encoding="utf-8")
    # From the start: Chromium closes a dialogue that opens before the browser was told to hand it over.
    visitor.page.on("filechooser", lambda chooser: chooser.set_files(file))
    pressed(visitor, "A CSV or Parquet file", "Space")
    visitor.page.wait_for_selector("#dry-run")
    pressed(visitor, "Try it")
    visitor.page.wait_for_selector("#import-outcome :is(.notice, [role=alert])")
    visitor.ready()
    assert visitor.page.evaluate(FOCUSED)["name"].startswith("Try it")


def test_the_focus_stays_where_a_part_is_drawn_anew(visitor: Visitor) -> None:
    """On the same thing, or on the part where it is gone."""
    visitor.sign_in(at="/#/customers")
    visitor.page.focus("table.list thead button >> text=Tenure")
    visitor.page.keyboard.press("Enter")
    visitor.until("document.querySelector('thead [aria-sort=descending]')?.textContent.startsWith('Tenure')")
    assert visitor.page.evaluate(FOCUSED)["name"].startswith("Tenure")
    visitor.go("customers?plan=Standard")
    visitor.page.focus(".chip button")
    visitor.page.keyboard.press("Enter")
    visitor.until("!document.querySelector('.chip')")
    assert visitor.page.evaluate("document.activeElement !== document.body")
    visitor.go("segments")
    visitor.page.select_option("#by", "risk")
    visitor.page.focus("#by")
    visitor.until("document.querySelector('#groups tbody').innerText.includes('Low')")
    assert visitor.page.evaluate("document.activeElement.id") == "by"
