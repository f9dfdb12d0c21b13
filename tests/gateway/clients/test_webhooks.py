"""The client of receivers: no internal address, after DNS too; no redirect; bounded in time and in what it reads."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway.clients import addresses
from gateway.clients.webhooks import WebhookClient

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
Act = Callable[[socket.socket], None]


@contextmanager
def listening(act: Act) -> Iterator[int]:
    """A server of one connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    act(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    """DNS answers these to everybody."""

    def getaddrinfo(host: str, port: int, **how: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in answers]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.169.254", "100.100.100.200", "0.0.0.0", "192.0.0.192",
     "168.63.129.16", "224.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1",
     "fec0::1", "ff02::1", "64:ff9b::7f00:1", "2002:a00:1::", "2001:db8::1", "::ffff:0:127.0.0.1"],
)  # fmt: skip
def test_internal_addresses_are_known_in_every_form(address: str) -> None:
    assert not addresses.is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert addresses.is_allowed(ipaddress.ip_address(address), ())


def test_a_name_that_leads_inside_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[bytes] = []
    with listening(lambda connection: came.append(connection.recv(10))) as port:
        for answers in (("127.0.0.1",), ("93.184.216.34", "127.0.0.1")):
            resolving(monkeypatch, *answers)
            answer = WebhookClient(()).post(f"https://innocent.example:{port}/", b"{}", {})
            assert answer.status is None
            assert "internal address" in str(answer.failure)
        monkeypatch.undo()
        with socket.create_connection(("127.0.0.1", port)) as own:
            own.sendall(b"end")
    assert came == [b"end"]


def test_the_address_that_was_checked_is_the_one_that_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers otherwise the second time, as in an attack by rebinding, gains nothing."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **how: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    head: list[bytes] = []

    def act(connection: socket.socket) -> None:
        head.append(whole(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *a, **k: getaddrinfo(*a, **k) if a[0] != "127.0.0.1" else
                        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", a[1]))])  # fmt: skip
    with listening(act) as port:
        answer = WebhookClient(LOOPBACK).post(f"http://hooks.example:{port}/x?y=1", b"{}", {"webhook-id": "m"})
    assert answer.status == 200
    assert asked == ["hooks.example"], "asked once: what was checked is what was called"
    assert f"Host: hooks.example:{port}".encode() in head[0]
    assert head[0].startswith(b"POST /x?y=1 HTTP/1.1\r\n")


def test_http_reaches_only_networks_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = (ipaddress.ip_network("10.0.0.0/8"),)
    made: list[Any] = []

    class Public:
        def getpeername(self) -> tuple[str, int]:
            return ("93.184.216.34", 80)

        def shutdown(self, how: int) -> None: ...

        def close(self) -> None: ...

    resolving(monkeypatch, "93.184.216.34")
    monkeypatch.setattr(addresses.socket, "create_connection", lambda *a, **k: made.append(a) or Public())
    answer = WebhookClient(networks).post("http://example.com/", b"{}", {})
    assert "http reaches only the networks" in str(answer.failure)
    assert len(made) == 1


def whole(connection: socket.socket) -> bytes:
    """A whole message, whose body is `{}`."""
    came = b""
    while not came.endswith(b"{}") and (more := connection.recv(4096)):
        came += more
    return came


def drips(connection: socket.socket) -> None:
    """Sends a byte of a head that never ends, again and again."""
    with suppress(OSError):
        whole(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(200):
            connection.sendall(b"a")
            time.sleep(0.05)


def floods(connection: socket.socket) -> None:
    """Sends an answer without end."""
    with suppress(OSError):
        whole(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"a" * 65_536)


@pytest.mark.parametrize("tls", [False, True])
def test_a_receiver_that_drips_is_left_at_the_deadline(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    with listening(drips) as port:
        answer = WebhookClient(LOOPBACK, deadline_s=0.4).post(f"http{'s' * tls}://127.0.0.1:{port}/", b"{}", {})
    assert answer.failure is not None
    assert time.monotonic() - started < 3


def test_of_an_endless_answer_only_the_head_is_read() -> None:
    with listening(floods) as port:
        answer = WebhookClient(LOOPBACK, deadline_s=5).post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert answer.succeeded
    assert answer.took_ms < 3000


def test_nobody_there_and_nonsense_are_told() -> None:
    def act(connection: socket.socket) -> None:
        whole(connection)
        connection.sendall(b"nonsense\r\n\r\n")

    with listening(act) as port:
        nonsense = WebhookClient(LOOPBACK).post(f"http://127.0.0.1:{port}/", b"{}", {})
    away = WebhookClient(LOOPBACK).post(f"http://127.0.0.1:{port}/", b"{}", {})
    assert nonsense.failure == "the call broke: BadStatusLine"
    assert away.failure == "the call broke: ConnectionRefusedError"


def test_the_certificate_has_to_be_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj",
         "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example"],
        capture_output=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def act(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as wrapped:
            whole(wrapped)
            wrapped.sendall(b"HTTP/1.1 202 Accepted\r\n\r\n")

    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    real = socket.getaddrinfo
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda host, *a, **how: real("127.0.0.1", *a, **how))
    found = {}
    for name in ("hooks.example", "other.example"):
        with listening(act) as port:
            found[name] = WebhookClient(LOOPBACK).post(f"https://{name}:{port}/", b"{}", {})
    assert found["hooks.example"].status == 202
    assert found["other.example"].failure == "the call broke: SSLCertVerificationError"
