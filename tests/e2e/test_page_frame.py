"""The frame around every view: where one is, how one gets elsewhere, and help on what is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.services import kinds
from tests.e2e import definitions
from tests.e2e.conftest import Visitor
from tests.stack import Stack

browser = (pytest.mark.browser, pytest.mark.xdist_group("browser"))


def marked(test: Callable[..., None]) -> Callable[..., None]:
    """A test that needs a browser; the others of this file read the page's modules."""
    for mark in browser:
        test = mark(test)
    return test


# --- the modules ------------------------------------------------------------------------------------------------------


def test_the_definitions_on_the_page_are_those_of_the_docs() -> None:
    assert definitions.TERMS.read_text(encoding="utf-8") == definitions.module()
    assert all(term["text"] for term in definitions.definitions().values())


def test_every_figure_that_offers_help_names_a_term_that_is_defined() -> None:
    asked = definitions.asked()
    assert asked
    assert asked <= definitions.definitions().keys()


def test_the_modules_of_the_page_stay_small_and_write_no_markup() -> None:
    modules = list(definitions.PAGE.rglob("*.js"))
    assert {file.name: n for file in modules if (n := len(file.read_text().splitlines())) > 300} == {}
    markup = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\.style\b"
    assert [file.name for file in modules if re.search(markup, file.read_text())] == []


def test_every_kind_of_job_has_a_name_in_words() -> None:
    names = re.search(r"const NAMES = \{(.*?)\};", (definitions.PAGE / "frame/jobs.js").read_text(), re.S)
    assert names is not None
    assert set(re.findall(r'"?([a-z-]+)"?: "', names[1])) == set(kinds.KINDS)


def needs(module: Path) -> set[Path]:
    """The modules that a module needs before it runs, through all imports; views are loaded later, by an address."""
    found: set[Path] = set()
    rest = [module]
    while rest:
        here = rest.pop()
        named = re.findall(r'^import [^;]*?from "(\.[^"]+)"', here.read_text(encoding="utf-8"), re.M)
        new = {(here.parent / name).resolve() for name in named} - found
        found |= new
        rest += new
    return found


def test_what_a_module_imports_is_exported_there_and_used() -> None:
    wrong = []
    for module in definitions.PAGE.rglob("*.js"):
        text = module.read_text(encoding="utf-8")
        for names, path in re.findall(r'^import \{ ([^}]+) \} from "(\.[^"]+)";', text, re.M):
            other = (module.parent / path).read_text(encoding="utf-8")
            exported = set(re.findall(r"^export (?:async )?(?:const|function|class) (\w+)", other, re.M))
            named = names.split(", ")
            wrong += [f"{module.name}: {path} has no {name}" for name in named if name not in exported]
            wrong += [
                f"{module.name}: {name} is not used" for name in named if len(re.findall(rf"\b{name}\b", text)) < 2
            ]
    assert wrong == []


def test_the_first_load_asks_at_once_for_all_it_needs_and_for_no_view() -> None:
    page = definitions.PAGE.resolve()
    index = (page / "index.html").read_text(encoding="utf-8")
    asked = re.findall(r'rel="modulepreload" href="/page/([^"]+)"', index)
    assert asked == sorted(asked)
    assert set(asked) == {path.relative_to(page).as_posix() for path in needs(page / "main.js")}
    loaded = re.findall(r'import\("\./([^"]+)"\)', (page / "views.js").read_text(encoding="utf-8"))
    assert len(loaded) > 15
    assert not set(loaded) & set(asked)
    assert sum((page / name).stat().st_size for name in asked) < 70_000


# --- in the browser ---------------------------------------------------------------------------------------------------


@marked
def test_the_side_bar_leads_to_every_section_and_says_where_one_is(visitor: Visitor) -> None:
    visitor.sign_in()
    names = visitor.texts(".side-nav a")
    assert names[:2] == ["Overview", "Customers"]
    for name in [*names[1:], names[0]]:
        visitor.page.click(f".side-nav >> text={name}")
        visitor.ready()
        assert visitor.texts(".side-nav a[aria-current=page]") == [name]
        assert visitor.page.evaluate("document.activeElement.tagName") == "H1"
        assert visitor.page.locator("[role=alert]:not(:empty)").count() == 0


@marked
def test_a_key_opens_the_search_and_it_finds_views_commands_and_customers(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.page.keyboard.press("/")
    visitor.page.keyboard.type("model")
    visitor.page.wait_for_selector("#palette-list >> text=Model")
    visitor.page.keyboard.press("Escape")
    visitor.page.keyboard.press("Control+k")
    visitor.page.keyboard.type("usr_331092")
    visitor.page.wait_for_selector("#palette-list [role=option] >> text=usr_331092")
    assert "Customer" in visitor.text("#palette-list [role=option][aria-selected=true]")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#facts")
    assert visitor.page.url.endswith("#/customers/usr_331092")
    assert visitor.texts(".crumbs li") == ["Customers", "usr_331092"]
    visitor.page.click(".crumbs a")
    visitor.ready()
    assert visitor.text("h1") == "Customers"


@marked
def test_an_address_that_leads_nowhere_says_so(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/nonsense")
    assert visitor.text("h1") == "No such page"
    assert "#/nonsense" in visitor.text("main")
    assert visitor.page.title() == "No such page – RetainStream"


@marked
def test_the_chosen_theme_stays_and_is_there_before_the_first_paint(visitor: Visitor) -> None:
    visitor.sign_in()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = visitor.page.evaluate(ground)
    visitor.page.click("#theme")
    dark = visitor.page.evaluate(ground)
    assert dark != light
    visitor.page.reload()
    visitor.ready()
    assert visitor.page.evaluate(ground) == dark
    assert visitor.text("#theme") == "Light"


@marked
def test_a_figures_definition_is_one_press_away_and_focus_comes_back(visitor: Visitor) -> None:
    visitor.sign_in()
    button = visitor.page.locator("main .help").first
    button.focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#help:popover-open")
    term = definitions.definitions()[str(button.get_attribute("data-term"))]
    assert visitor.text("#help h2") == term["title"]
    assert visitor.texts("#help > p")[0] == term["text"][0]
    visitor.page.keyboard.press("Escape")
    assert visitor.page.evaluate("document.activeElement.className") == "help"


@marked
def test_on_a_phone_the_sections_are_behind_a_button(visit: Callable[..., Visitor], stack: Stack) -> None:
    visitor = visit(stack, viewport={"width": 390, "height": 780}).sign_in()
    assert visitor.page.is_hidden(".side-nav")
    visitor.page.click("text=Menu")
    visitor.page.click(".side-nav >> text=Customers")
    visitor.ready()
    assert visitor.text("h1") == "Customers"
    assert visitor.page.is_hidden(".side-nav")


@marked
def test_a_view_that_cannot_be_loaded_says_so_and_is_there_once_the_server_is(visitor: Visitor) -> None:
    visitor.allow("ERR_FAILED|Failed to (fetch|load)")
    visitor.sign_in()
    visitor.page.route("**/page/views/value.js", lambda route: route.abort())
    visitor.page.click(".side-nav >> text=Value")
    visitor.ready()
    assert visitor.text("h1") == "Value"
    assert visitor.text("main [role=alert] p").startswith("This view could not be loaded")
    visitor.page.route("**/api/health", lambda route: route.abort())
    visitor.page.click("main >> text=Try again")
    visitor.until("document.activeElement.textContent === 'Try again' && document.activeElement.isConnected")
    visitor.page.unroute_all()
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector("#value-total .stats")
    assert visitor.page.locator("main [role=alert]").count() == 0


@marked
def test_a_view_that_takes_long_to_load_is_forgotten_once_one_goes_elsewhere(visitor: Visitor) -> None:
    visitor.sign_in()
    held: list[Any] = []
    visitor.page.route("**/page/views/value.js", lambda route: held.append(route))
    visitor.page.click(".side-nav >> text=Value")
    visitor.page.wait_for_selector("main h1 >> text=Value")
    assert visitor.page.locator("main .skeleton").count() == 1
    visitor.page.click(".side-nav >> text=Customers")
    visitor.ready()
    held[0].continue_()
    visitor.page.wait_for_timeout(300)
    assert visitor.text("h1") == "Customers"
    visitor.page.go_back()
    visitor.ready()
    assert visitor.text("h1") == "Value"


@marked
def test_a_question_mark_in_a_filter_stays_in_the_address(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers?q=usr?4&plan=Standard")
    assert visitor.page.input_value("#search") == "usr?4"
    assert "Standard" in visitor.text(".chips")


@marked
def test_who_types_before_the_filters_are_there_gets_the_first_page_once(visitor: Visitor) -> None:
    visitor.sign_in()
    held: list[Any] = []
    visitor.page.route("**/api/dashboard/threshold?steps=true", lambda route: held.append(route))
    visitor.page.evaluate("location.hash = '#/customers'")
    visitor.page.wait_for_selector("#search")
    until(visitor, lambda: len(held) == 1)
    visitor.page.fill("#search", "usr_")
    until(visitor, lambda: len(held) == 2)
    for each in held:
        with visitor.page.expect_response(re.compile(r"/api/customers\?")):
            each.continue_()
        visitor.page.wait_for_selector("table.list tbody th")
    visitor.ready()
    first = visitor.stack.analyst().data("/api/customers?q=usr_&limit=50")
    assert visitor.texts("table.list tbody tr:not(.cut-row) th") == [each["user_id"] for each in first["customers"]]
    assert visitor.text(".tally").startswith("Showing 50 of ")


@marked
def test_a_preview_that_comes_late_does_not_take_the_place_of_a_later_file(visitor: Visitor, tmp_path: Path) -> None:
    for name in ("slow", "quick"):
        (tmp_path / f"{name}.csv").write_text(f"user_id,{name}\nann,1\n")
    visitor.sign_in(at="/#/data")
    held: list[Any] = []
    previews = "**/api/customers/import/preview"
    visitor.page.route(previews, lambda route: route.continue_() if held else held.append(route))
    visitor.page.set_input_files("#import input[type=file]", tmp_path / "slow.csv")
    until(visitor, lambda: bool(held))
    visitor.page.set_input_files("#import input[type=file]", tmp_path / "quick.csv")
    visitor.page.wait_for_selector("#do-import")
    late = {"columns": ["slow"], "rows": [["1"]], "encoding": "utf-8", "delimiter": ",", "notes": []}
    with visitor.page.expect_response(previews):
        held[0].fulfill(json={"success": True, "data": late})
    visitor.page.wait_for_timeout(300)
    assert visitor.texts("#preview thead th") == ["user_id", "quick"]


@marked
def test_the_options_follow_what_the_file_is_said_to_hold(visitor: Visitor, tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("user_id,ended_at\nann,2026-01-01\n")
    visitor.sign_in(at="/#/data")
    visitor.page.set_input_files("#import input[type=file]", tmp_path / "few.csv")
    of_customers = visitor.page.get_by_label("Customers who are not in it have left")
    of_customers.wait_for()
    visitor.page.get_by_label("The file holds", exact=True).select_option("outcomes")
    of_customers.wait_for(state="detached")
    visitor.page.wait_for_selector("#do-import")
    assert of_customers.count() == 0


def until(visitor: Visitor, is_so: Callable[[], bool]) -> None:
    """Wait, while the page goes on."""
    for _ in range(100):
        if is_so():
            return
        visitor.page.wait_for_timeout(50)
    raise AssertionError("it never was so")
