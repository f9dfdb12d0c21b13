"""Signing in and out, and a session that ends."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import Visitor
from tests.stack import DEMO_EMAIL

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
GARBAGE = "not.a.token"


def spoil(visitor: Visitor, *names: str) -> None:
    """Make cookies of the session worthless."""
    context = visitor.page.context
    found = [cookie for cookie in context.cookies() if cookie["name"] in names]
    assert len(found) == len(names)
    context.add_cookies([{**cookie, "value": GARBAGE} for cookie in found])


def test_a_wrong_password_is_told_and_the_address_kept(visitor: Visitor) -> None:
    visitor.allow("401")
    visitor.page.goto(visitor.stack.url)
    visitor.page.fill("#email", DEMO_EMAIL)
    visitor.page.fill("#password", "wrong password")
    visitor.page.click("button[type=submit]")
    visitor.page.wait_for_selector("#problem p")
    assert "don't belong together" in visitor.text("#problem")
    assert visitor.page.input_value("#email") == DEMO_EMAIL
    assert visitor.page.is_enabled("button[type=submit]")


def test_an_empty_field_is_told_without_asking_the_server(visitor: Visitor) -> None:
    visitor.page.goto(visitor.stack.url)
    visitor.page.click("button[type=submit]")
    assert visitor.text("#problem") == "Enter your e-mail address."
    assert visitor.page.evaluate("document.activeElement.id") == "email"


def test_who_is_signed_in_stays_so_over_a_reload(visitor: Visitor) -> None:
    visitor.sign_in()
    assert visitor.text(".who-name") == "Alex Chen"
    assert visitor.text("#role") == "analyst"
    visitor.page.reload()
    visitor.ready()
    tokens = [c for c in visitor.page.context.cookies() if c["name"].endswith("_token_cookie")]
    assert len(tokens) == 2
    assert all(cookie["httpOnly"] for cookie in tokens)


def test_an_expired_access_token_is_renewed_unnoticed(visitor: Visitor) -> None:
    visitor.allow("40[13]")
    visitor.sign_in(at="/#/customers")
    spoil(visitor, "access_token_cookie")
    visitor.page.click("text=Load more")
    visitor.until("document.querySelectorAll('table.list tbody tr').length > 90")
    assert visitor.page.locator("#email").count() == 0


def test_tabs_that_find_the_session_expired_at_once_all_go_on(visitor: Visitor) -> None:
    """A refresh token that two of them used would end the session of both."""
    visitor.allow("40[13]")
    visitor.sign_in()
    tabs = [visitor.page, *(visitor.page.context.new_page() for _ in range(3))]
    for tab in tabs[1:]:
        tab.goto(visitor.stack.url)
        tab.wait_for_selector("header.top")
    spoil(visitor, "access_token_cookie")
    at_once = f"new Promise(go => setTimeout(go, {time.time() * 1000 + 700:.0f} - Date.now()))"
    ask = "api.get('/api/auth/me').then(me => me.email, error => error.code)"
    for tab in tabs:
        tab.evaluate(f"{{ window.asked = import('/page/api.js').then(api => {at_once}.then(() => {ask})) }} 0")
    for tab in tabs:
        assert tab.evaluate("window.asked") == "alex.chen@netflix.com"
    assert (
        visitor.page.evaluate("import('/page/api.js').then(api => api.get('/api/auth/me')).then(me => me.role)")
        == "analyst"
    )


def test_an_ended_session_returns_to_sign_in_with_a_sentence(visitor: Visitor) -> None:
    visitor.allow("40[13]")
    visitor.sign_in(at="/#/customers")
    spoil(visitor, "access_token_cookie", "refresh_token_cookie")
    visitor.page.click("text=Load more")
    visitor.page.wait_for_selector("#email")
    assert "Your session has ended" in visitor.text(".signin")


BROKEN_ANSWER = """
async ({ stops, status }) => {
  const api = await import("/page/api.js");
  const asked = window.fetch;
  const stop = new AbortController();
  const breakOff = (stream) => { if (stops) stop.abort(); stream.error(new TypeError("network error")); };
  window.fetch = async () => new Response(new ReadableStream({ pull: breakOff }), { status });
  return api.get("/api/schema", { signal: stop.signal })
    .then(() => "answered", (error) => error instanceof api.ApiError ? error.code : error.name)
    .finally(() => { window.fetch = asked; });
}
"""


@pytest.mark.parametrize(("stops", "told"), [(True, "AbortError"), (False, "unreachable")])
@pytest.mark.parametrize("status", [200, 409])
def test_an_answer_that_breaks_off_is_told_as_what_broke_it_off(
    visitor: Visitor, stops: bool, told: str, status: int
) -> None:
    assert visitor.sign_in().page.evaluate(BROKEN_ANSWER, {"stops": stops, "status": status}) == told


def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.page.click("text=Sign out")
    visitor.page.wait_for_selector("#email")
    assert "signed out" in visitor.text(".signin")
    assert [c["name"] for c in visitor.page.context.cookies()] == []
    visitor.page.reload()
    visitor.page.wait_for_selector("#email")


def test_a_link_to_a_customer_survives_signing_in(visitor: Visitor) -> None:
    visitor.sign_in(at="/#/customers/usr_331092")
    visitor.page.wait_for_selector("#facts")
    assert visitor.text("h1") == "usr_331092"
