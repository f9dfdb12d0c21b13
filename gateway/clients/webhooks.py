"""The only module that calls the receivers of webhooks.

Law: a call goes to an address that was checked after DNS, takes ten seconds at most, follows no redirect, asks no
proxy, and reads no more of the answer than its head.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from urllib.parse import SplitResult, urlsplit

from gateway.clients.addresses import Address, Network, is_listed, resolve
from shared.errors import InvalidInput, ServiceError

CONNECT_TIMEOUT_S = 5.0
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """The result of a call.

    Attributes
    ----------
    status
        The receiver's HTTP status; None if there was no answer.
    failure
        Why the call did not succeed; None if it did.
    """

    status: int | None
    failure: str | None
    took_ms: int

    @property
    def succeeded(self) -> bool:
        return self.failure is None


class WebhookClient:
    """Sends to receivers.

    Parameters
    ----------
    networks
        Internal networks that may be called.
    """

    def __init__(self, networks: Sequence[Network], *, deadline_s: float = DEADLINE_S) -> None:
        self._networks, self._deadline_s = tuple(networks), deadline_s

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Reading the system's certificates takes a moment, which a worker without webhooks never spends.
        return ssl.create_default_context()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a body; a failure is told in the answer."""
        started = time.monotonic()
        status: int | None = None
        try:
            status = self._status(urlsplit(url), body, headers, started + self._deadline_s)
            failure = None if 200 <= status < 300 else _refusal(status)
        except ServiceError as error:
            failure = error.message
        except TimeoutError:
            failure = "it took too long"
        except (OSError, HTTPException, ValueError) as error:
            late = time.monotonic() - started >= self._deadline_s
            failure = "it took too long" if late else f"the call broke: {type(error).__name__}"
        return Answer(status, failure, round((time.monotonic() - started) * 1000))

    def _status(self, to: SplitResult, body: bytes, headers: Mapping[str, str], deadline: float) -> int:
        host, is_tls = to.hostname or "", to.scheme == "https"
        port = to.port or (443 if is_tls else 80)
        addresses = resolve(host, port, self._networks)
        call = _Call(_connect(addresses, port), deadline)
        try:
            if is_tls:
                call.wrap(self._tls, host)
            elif not is_listed(ipaddress.ip_address(call.socket.getpeername()[0]), self._networks):
                raise InvalidInput("http reaches only the networks that WEBHOOK_NETWORKS lists")
            # The socket is there, so `http.client` resolves and connects no more.
            connection = HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)
            connection.sock = call.socket
            path = (to.path or "/") + (f"?{to.query}" if to.query else "")
            connection.request("POST", path, body, dict(headers))
            status = connection.getresponse().status
            if call.is_late:  # what came before the end looks like a whole head
                raise TimeoutError
            return status
        finally:
            call.end()


class _Call:
    """A socket that is closed at a deadline, however slowly the other side sends."""

    def __init__(self, made: socket.socket, deadline: float) -> None:
        self.socket, self.is_late = made, False
        self._timer = threading.Timer(max(0.0, deadline - time.monotonic()), self._break)
        self._timer.daemon = True
        self._timer.start()

    def wrap(self, tls: ssl.SSLContext, host: str) -> None:
        """Speak TLS; the certificate has to be the host's."""
        self.socket = wrapped = tls.wrap_socket(self.socket, server_hostname=host, do_handshake_on_connect=False)
        wrapped.do_handshake()

    def _break(self) -> None:
        self.is_late = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self._timer.cancel()
        with suppress(OSError):
            self.socket.close()


def _connect(addresses: Sequence[Address], port: int) -> socket.socket:
    """Connect to the first address that answers."""
    failure: OSError = OSError("no address")
    for address in addresses[:2]:
        try:
            return socket.create_connection((str(address), port), timeout=CONNECT_TIMEOUT_S)
        except OSError as error:
            failure = error
    raise failure


def _refusal(status: int) -> str:
    return f"it answered {status}" + ("; redirects are not followed" if 300 <= status < 400 else "")
