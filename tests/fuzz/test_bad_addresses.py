"""Whatever stands in an address, a method or a header: never a 500, and a sentence that says what was wrong."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from tests.shapes import is_failure
from tests.world import World

pytestmark = pytest.mark.xdist_group("bad-input")


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=abc",
        "page=1.5",
        "page=",
        "page=1e3",
        "page=null",
        "page=99999999999999999999",
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=1000000000",
        "limit=abc",
        "page=1&limit=",
        "page=%00",
        "page=1;limit=2",
    ],
)
def test_paging_that_cannot_be_is_422(demo: World, query: str) -> None:
    said = is_failure(demo.ask("GET", f"/api/customers/high-risk?{query}"), 422, "validation_failed")
    assert {each["field"] for each in said["error"]["details"]} <= {"page", "limit"}


def test_a_page_behind_the_last_is_empty(demo: World) -> None:
    answer = demo.ask("GET", "/api/customers/high-risk?page=1000000&limit=100")
    assert answer.status_code == 200
    assert answer.get_json()["data"]["customers"] == []


ODD_IDS = [
    "' OR '1'='1",
    "usr_942183'--",
    '"; DROP TABLE customers; --',
    "%",
    "_",
    "usr_%",
    "usr_94218_",
    "%25",
    "\x00",
    "usr_942183\x00",
    "ünïcödé-客户-🙂",
    "x" * 2000,
    "..",
    "a b",
    "<script>alert(1)</script>",
    "USR_942183",
    " usr_942183",
    "\\",
    "\u202e",
]


@pytest.mark.parametrize("user_id", ODD_IDS, ids=range(len(ODD_IDS)))
def test_an_odd_id_is_an_unknown_customer(demo: World, user_id: str) -> None:
    for path in ("", "/actions"):
        answer = demo.ask("GET", f"/api/customers/{quote(user_id, safe='')}{path}")
        said = is_failure(answer, 404, "not_found")
        assert said["message"] in ("Customer not found", "Route not found")
    body = {"customer_id": user_id}
    is_failure(demo.ask("POST", "/api/predictions/score", json=body), 404 if len(user_id) <= 200 else 422)


def test_bytes_that_are_no_text_in_an_address_are_an_unknown_customer(demo: World) -> None:
    is_failure(demo.ask("GET", "/api/customers/%ff%fe"), 404, "not_found")
    assert demo.ask("GET", "/api/customers?q=%ff%fe").status_code == 200


@pytest.mark.parametrize("q", ["%25", "_", "%25%25%25", "usr_%25", "us_", "\\", "%27", "%22", "usr%5C", "*", "[a-z]"])
def test_wildcards_of_sql_are_letters(demo: World, q: str) -> None:
    found = demo.ask("GET", f"/api/customers?q={q}").get_json()["data"]["customers"]
    assert found == []


@pytest.mark.parametrize("q", ["usr_9", "usr_942183", "USR_942183@EXAMPLE.COM"])
def test_a_search_finds_ids_and_addresses_that_begin_so(demo: World, q: str) -> None:
    found = demo.ask("GET", f"/api/customers?q={q}&limit=100").get_json()["data"]["customers"]
    assert "usr_942183" in [each["user_id"] for each in found]


@pytest.mark.parametrize("q", ["", "x" * 201])
def test_a_search_that_is_empty_or_endless_is_422(demo: World, q: str) -> None:
    is_failure(demo.ask("GET", f"/api/customers?q={q}"), 422)


@pytest.mark.parametrize(
    "after",
    [
        "x",
        ":",
        "0.5",
        "0.5:",
        ":5",
        "nan:1",
        "inf:1",
        "-inf:1",
        "-1:1",
        "2:1",
        "0.5:-1",
        "0.5:1.5",
        "0.5:99999999999999999999",
        "0.5:" + "9" * 190,
        "%00:1",
        "1" * 201,
        "0.5:1:2",
    ],
)
def test_a_position_that_is_none_is_422(demo: World, after: str) -> None:
    said = is_failure(demo.ask("GET", f"/api/customers?after={after}"), 422, "validation_failed")
    assert [each["field"] for each in said["error"]["details"]] == ["after"]


@pytest.mark.parametrize("after", ["x", "-1", "1.5", "9" * 30, "%00", "²", "1" * 201])
def test_a_position_in_jobs_and_users_that_is_none_is_422(demo: World, after: str) -> None:
    is_failure(demo.ask("GET", f"/api/jobs?after={after}"), 422)
    is_failure(demo.ask("GET", f"/api/users?after={after}", "admin"), 422)


@pytest.mark.parametrize("number", ["0", "99999999999", "9223372036854775807", "9223372036854775808", "9" * 50])
def test_a_job_by_any_number_is_told(demo: World, number: str) -> None:
    for method in ("GET", "DELETE"):
        answer = demo.ask(method, f"/api/jobs/{number}")
        assert answer.status_code in (404, 422)
        is_failure(answer)


@pytest.mark.parametrize("path", ["/api/jobs/abc", "/api/jobs/-1", "/api/jobs/1.5", "/api/nothing", "/nothing", "/api"])
def test_an_unknown_path_is_404(demo: World, path: str) -> None:
    said = is_failure(demo.ask("GET", path), 404, "not_found")
    assert said["message"] == "Route not found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/auth/login", {"OPTIONS", "POST"}),
        ("PUT", "/api/model/train", {"OPTIONS", "POST"}),
        ("DELETE", "/api/dashboard/metrics", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/api/customers/usr_942183", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/api/health", {"GET", "HEAD", "OPTIONS"}),
        ("INVENTED", "/api/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_an_unknown_method_is_405_and_says_which_are_known(
    demo: World, method: str, path: str, allowed: set[str]
) -> None:
    answer = demo.ask(method, path)
    is_failure(answer, 405, "method_not_allowed")
    assert {name.strip() for name in answer.headers["Allow"].split(",")} == allowed


def test_invented_methods_leave_no_trace_in_the_metrics(demo: World) -> None:
    """A label whose values a client chooses grows without end."""
    for k in range(5):
        demo.ask(f"INVENTED{k}", "/api/health")
        demo.ask("GET", f"/invented-{k}")
    page = demo.client.get("/metrics").text
    assert "http_requests_total" in page
    assert not re.search(r"INVENTED\d|invented-\d", page)


def test_head_and_options_answer_without_a_body(demo: World) -> None:
    for path in ("/api/health", "/api/dashboard/metrics", "/api/customers/usr_942183"):
        answer = demo.ask("HEAD", path)
        assert (answer.status_code, answer.data) == (200, b"")
        answer = demo.client.options(path)
        assert answer.status_code == 200
        assert "GET" in answer.headers["Allow"]
    assert demo.client.head("/api/dashboard/metrics").status_code == 401


@pytest.mark.parametrize("prefer", ["wait=abc", "wait=1e9", "respond-async; x", ",,,", "x" * 5000, "wait=\xff", "é"])
def test_a_strange_preference_is_no_failure_of_ours(demo: World, prefer: str) -> None:
    answer = demo.ask("POST", "/api/dashboard/predict", json={"sample_size": 1}, headers={"Prefer": prefer})
    assert answer.status_code in (202, 503)


@pytest.mark.parametrize("key", ["x" * 5000, "é", "' OR 1=1", " "])
def test_a_strange_idempotency_key_is_no_failure_of_ours(demo: World, key: str) -> None:
    headers = {"Idempotency-Key": key, "Prefer": "respond-async"}
    assert demo.ask("POST", "/api/dashboard/predict", json={"sample_size": 1}, headers=headers).status_code in (
        202,
        503,
    )
