"""The received part of a request is recognised as gunicorn reads it."""

from __future__ import annotations

import time

import pytest

from shared.web.incoming import Incoming, State


def incoming(head: bytes, body: bytes = b"") -> Incoming:
    found = Incoming()
    found.add(b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n" + body)
    return found


@pytest.mark.parametrize("length", [b"5", b"\t5 ", b"0" * 30 + b"5"], ids=["plain", "blanks", "zeros"])
def test_a_body_is_whole_at_its_length_however_that_is_written(length: bytes) -> None:
    head = b"Content-Length:" + length
    assert incoming(head, b"1234").state is State.BODY
    assert incoming(head, b"12345").state is State.READY
    assert not incoming(head, b"12345").is_large


def test_a_length_of_thirty_digits_is_large() -> None:
    assert incoming(b"Content-Length: " + b"9" * 30).is_large


@pytest.mark.parametrize("filling", [b"0", b"\t"])
def test_a_length_that_is_none_is_looked_at_once(filling: bytes) -> None:
    began = time.process_time()
    assert incoming(b"Content-Length: " + filling * 60_000 + b"x").state is State.READY
    assert time.process_time() - began < 0.5, "a pattern that goes back is quadratic: minutes"
