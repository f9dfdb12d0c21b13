"""Getting an account: on the page where registration is open, from somebody else where it is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Visitor
from tests.e2e.test_page_access import FAINT, NAMELESS
from tests.stack import DEMO_EMAIL, Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
GOOD = "plum tractor evening"


def fill(visitor: Visitor, name: str, email: str, password: str) -> None:
    visitor.page.fill("#name", name)
    visitor.page.fill("#email", email)
    visitor.page.fill("#password", password)
    visitor.page.click("button[type=submit]")


def test_who_has_no_account_makes_one_and_is_in(visitor: Visitor) -> None:
    visitor.page.goto(visitor.stack.url)
    visitor.page.click("text=Create an account")
    visitor.page.wait_for_selector("#name")
    assert visitor.page.evaluate("document.activeElement.id") == "name"
    assert visitor.page.title() == "Create an account – RetainStream"
    assert visitor.page.evaluate(NAMELESS) == []
    fill(visitor, "Eve Adams", "eve.adams@example.com", GOOD)
    visitor.ready()
    assert visitor.text(".who-name") == "Eve Adams"
    assert visitor.text("#role") == "analyst"
    assert visitor.page.url.endswith("#/")
    visitor.page.click("text=Sign out")
    visitor.page.wait_for_selector("#email")
    visitor.sign_in("eve.adams@example.com", GOOD)


def test_the_rules_of_passwords_stand_at_the_field_that_breaks_them(visitor: Visitor) -> None:
    visitor.allow("422|409")
    visitor.page.goto(visitor.stack.url + "/#/register")
    fill(visitor, " ", "nobody", "short")
    visitor.page.wait_for_selector("#password-problem:not(:empty)")
    assert visitor.text("#password-problem") == "Choose a password of 8 to 200 characters."
    assert "such as name@example.com" in visitor.text("#email-problem")
    assert "1 to 100 visible characters" in visitor.text("#name-problem")
    assert visitor.page.evaluate("document.activeElement.id") == "name"
    assert visitor.page.evaluate(FAINT) == []
    fill(visitor, "Fay", "fay@example.com", "password1")
    visitor.page.wait_for_selector("#password-problem >> text=easily guessed")
    assert visitor.text("#name-problem") == visitor.text("#email-problem") == ""
    fill(visitor, "Fay", DEMO_EMAIL, GOOD)
    visitor.page.wait_for_selector("#email-problem:not(:empty)")
    assert visitor.page.is_enabled("button[type=submit]")
    visitor.page.click("text=Sign in")
    visitor.page.wait_for_selector("text=No account yet?")


def test_where_registration_is_closed_the_page_says_who_makes_accounts(
    visit: Callable[..., Visitor], new_stack: Callable[..., Stack]
) -> None:
    closed = new_stack(empty=True, OPEN_REGISTRATION="0").start("gateway")
    visitor = visit(closed)
    visitor.page.goto(closed.url)
    visitor.page.wait_for_selector("#accounts:not(:empty)")
    assert "retainstream user create" in visitor.text("#accounts")
    assert visitor.page.locator("text=Create an account").count() == 0
    visitor.allow("403")
    visitor.page.goto(closed.url + "/#/register")
    visitor.page.reload()
    fill(visitor, "Gus", "gus@example.com", GOOD)
    visitor.page.wait_for_selector("#problem p")
    assert "Registration" in visitor.text("#problem") or "registration" in visitor.text("#problem")
