"""The page of the API document, in a browser that is signed in on the page: it can try every route."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SEGMENT = ".opblock-post:has(.opblock-summary-path[data-path='/api/customers/segment'])"


def test_a_post_from_the_document_is_done_as_whoever_is_signed_in(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.page.goto(visitor.stack.url + "/api/docs")
    visitor.page.click(f"{SEGMENT} .opblock-summary")
    visitor.page.click(f"{SEGMENT} button.execute")
    visitor.page.wait_for_selector(f"{SEGMENT} .live-responses-table .response-col_status")
    assert visitor.text(f"{SEGMENT} .live-responses-table tbody .response-col_status").startswith("200")
    assert "High Risk" in visitor.text(f"{SEGMENT} .live-responses-table")


def test_who_is_not_signed_in_reads_why(visitor: Visitor) -> None:
    visitor.allow("401")
    visitor.page.goto(visitor.stack.url + "/api/docs")
    visitor.page.click(f"{SEGMENT} .opblock-summary")
    visitor.page.click(f"{SEGMENT} button.execute")
    visitor.page.wait_for_selector(f"{SEGMENT} .live-responses-table .response-col_status")
    assert "Access token required" in visitor.text(f"{SEGMENT} .live-responses-table")
