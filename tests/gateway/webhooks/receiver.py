"""A receiver of webhooks: a real HTTP server that keeps what it was sent and answers as it is told."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: The receiver's answer to each message: a status, or None to break the connection off.
Answer = Callable[[str], int | None]


@dataclass
class Receiver:
    """The address of a receiver, its answers, and the messages that came."""

    url: str = ""
    answer: Answer = lambda message_id: 200
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.came]


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether a message was signed by whoever knows the secret, as the specification says it in words."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in headers["webhook-signature"].split(" ")


@contextmanager
def receiving(port: int = 0, answer: Answer | None = None) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    found = Receiver()
    if answer is not None:
        found.answer = answer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = found.answer(headers.get("webhook-id", ""))
            if status is None:
                self.connection.close()
                return
            found.came.append((headers, body))
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{found.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.handle_error = lambda request, address: None  # type: ignore[method-assign]  # a connection broken off
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
