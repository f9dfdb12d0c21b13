"""Which requests take long is learned by kind, and turns go round among callers."""

from __future__ import annotations

import socket

import pytest

from shared.web.client_socket import ClientSocket, StalledClients
from shared.web.connection import Connection, Load, Turn
from shared.web.turns import LEAST_CPU_S, MOST_CALLERS, MOST_KINDS, REMEMBERED_S, LongKinds, Turns, kind_of

LINE = b"GET /api/customers?search=ann HTTP/1.1"
LONG_S, VERY_LONG_S = LEAST_CPU_S[Load.LONG], LEAST_CPU_S[Load.VERY_LONG]


@pytest.mark.parametrize(
    "same",
    [
        b"GET /api/customers?search=bob&limit=100 HTTP/1.0",
        b"GET /api/customers?sort=-price HTTP/1.1",
        b"GET /api/customers?search=ann#part HTTP/1.1",
        b"GET /api/%63ustomers?search=ann HTTP/1.1",
        b"GET http://elsewhere:80/api/customers?search=ann HTTP/1.1",
        b"GET made-up:/api/customers?q=:// HTTP/1.1",
        b"HEAD /api/customers?search=ann HTTP/1.1",
    ],
)
def test_one_path_is_one_kind_however_it_is_written(same: bytes) -> None:
    assert kind_of(same) == kind_of(LINE) == b"GET /api/customers?"


@pytest.mark.parametrize("query", [b"", b"?", b"?limit=100", b"?page=2&limit=10", b"?limit=5&after=eyJ2Ijp9&"])
def test_a_page_of_a_list_is_no_search_in_it(query: bytes) -> None:
    assert kind_of(b"GET /api/customers" + query + b" HTTP/1.1") == b"GET /api/customers"


def test_ids_do_not_make_kinds() -> None:
    campaigns = [b"GET /api/campaigns/%d/effect HTTP/1.1" % number for number in (1, 23, 456)]
    assert {kind_of(line) for line in campaigns} == {b"GET /api/campaigns/*/effect"}


def test_another_method_or_path_is_another_kind() -> None:
    kinds = [kind_of(line) for line in (LINE, b"POST /api/customers HTTP/1.1", b"GET /api/customers/7 HTTP/1.1")]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize("broken", [b"", b"GET", b"GET ", b"\xff\xfe", b"GET /%zz%"])
def test_a_line_that_is_no_request_has_a_kind_too(broken: bytes) -> None:
    kinds = LongKinds()
    kinds.took(broken, 1.0)
    assert kinds.load_of(broken) is Load.LONG


def test_a_kind_is_long_for_an_hour_after_its_last_long_request() -> None:
    clock = [0.0]
    kinds = LongKinds(lambda: clock[0])
    kinds.took(LINE, LONG_S - 0.01)
    assert kinds.load_of(LINE) is Load.QUICK
    kinds.took(LINE, LONG_S)
    clock[0] = REMEMBERED_S - 1
    kinds.took(LINE, 0.0)
    assert kinds.load_of(LINE) is Load.LONG
    clock[0] = REMEMBERED_S
    assert kinds.load_of(LINE) is Load.QUICK


def test_a_kind_has_the_load_of_its_longest_request_within_the_hour() -> None:
    clock = [0.0]
    kinds = LongKinds(lambda: clock[0])
    kinds.took(LINE, VERY_LONG_S)
    clock[0] = REMEMBERED_S / 2
    kinds.took(LINE, VERY_LONG_S - 0.01)
    assert kinds.load_of(LINE) is Load.VERY_LONG
    clock[0] = REMEMBERED_S
    assert kinds.load_of(LINE) is Load.LONG


def test_the_kinds_that_were_seen_longest_ago_are_forgotten() -> None:
    kinds = LongKinds()
    lines = [b"GET /" + b"a" * number for number in range(1, MOST_KINDS + 2)]
    for line in [*lines[:-1], lines[0], lines[-1]]:
        kinds.took(line, LONG_S)
    assert [line for line in lines if kinds.load_of(line) is Load.QUICK] == [lines[1]]


class Config:
    """The part of gunicorn's settings that a connection reads."""

    keepalive = 1
    is_ssl = False


def asking(caller: str | None, load: Load = Load.LONG) -> Connection:
    """A connection whose request has arrived."""
    ours, _ = socket.socketpair()
    conn = Connection(Config(), ClientSocket(ours, StalledClients(1)), ("127.0.0.1", 1), ("127.0.0.1", 2))
    conn.wanted = Turn(load, caller.encode() if caller else None)
    return conn


def takes(turns: Turns, conn: Connection) -> bool:
    return turns.take(conn, conn.wanted)


def waiting(turns: Turns, *callers: str, load: Load = Load.LONG) -> None:
    turns.waiting.update(dict.fromkeys(asking(caller, load) for caller in callers))


def next_of(turns: Turns) -> str | None:
    """Whose turn it is."""
    conn = turns.take_next()
    if conn is None:
        return None
    del turns.waiting[conn]
    return conn.wanted.caller.decode() if conn.wanted.caller else ""


@pytest.mark.parametrize(
    ("threads", "large", "long", "very_long"), [(1, 1, 1, 1), (4, 2, 1, 1), (6, 3, 1, 1), (16, 8, 4, 4)]
)
def test_each_load_has_a_part_of_the_threads(threads: int, large: int, long: int, very_long: int) -> None:
    turns = Turns(threads)
    parts = {Load.LARGE: large, Load.LONG: long, Load.VERY_LONG: very_long, Load.QUICK: threads}
    for load, most in parts.items():
        assert [takes(turns, asking(None, load)) for _ in range(threads + 1)].count(True) == most


@pytest.mark.parametrize(("load", "most"), [(Load.QUICK, 12), (Load.LARGE, 4), (Load.LONG, 2), (Load.VERY_LONG, 2)])
def test_one_caller_has_a_part_of_what_there_is(load: Load, most: int) -> None:
    turns = Turns(16)
    assert [takes(turns, asking("ann", load)) for _ in range(16)].count(True) == most
    assert takes(turns, asking("bob", load))


def test_turns_go_round_among_callers_and_then_by_who_came_first() -> None:
    turns = Turns(4)
    first = asking("ann")
    assert takes(turns, first)
    waiting(turns, "ann", "ann", "bob", "eve", "bob")
    order = []
    for _ in range(5):
        turns.give_back(first)
        order.append(next_of(turns))
        first.turn = first.wanted = Turn(Load.LONG, str(order[-1]).encode())
    assert order == ["bob", "eve", "ann", "bob", "ann"]
    assert next_of(turns) is None


def test_what_has_no_turn_gives_none_back() -> None:
    turns = Turns(4)
    turns.give_back(asking("ann"))
    assert [takes(turns, asking(None)) for _ in range(2)] == [True, False]


def test_callers_are_forgotten() -> None:
    turns = Turns(4)
    for number in range(MOST_CALLERS + 5):
        conn = asking(f"caller {number}")
        assert takes(turns, conn)
        turns.give_back(conn)
        conn.sock.close()
    assert len(turns._last_of) == MOST_CALLERS


def test_a_large_body_that_must_wait_lets_others_pass() -> None:
    turns = Turns(4)
    first = asking(None, Load.LARGE)
    assert takes(turns, first) and takes(turns, asking(None, Load.LARGE))
    waiting(turns, "bob", load=Load.LARGE)
    waiting(turns, "ann")
    assert [next_of(turns), next_of(turns)] == ["ann", None]
    turns.give_back(first)
    assert next_of(turns) == "bob"
