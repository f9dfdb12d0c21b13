"""A small application for tests of the server that both services run in."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, request, send_file

from shared.web import worker
from shared.web.flask_app import install_defaults
from shared.web.logs import configure_logs

LARGE = 1_400_000
#: Blocks below the size that is mapped one by one.
HOLES, HOLE_BYTES = 4_000, 16_000


def make_app() -> Flask:
    """Answers little, much, a file, a stream, after a while; takes bodies and leaves them."""
    configure_logs(service="small", level="error")
    worker.GIVE_BACK_S = float(os.environ.get("GIVE_BACK_S", worker.GIVE_BACK_S))
    app = Flask("small")
    install_defaults(app)
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"x" * LARGE)

    @app.get("/health")
    def health() -> str:
        return f"{os.getpid()} {request.script_root}"

    _add_memory(app)
    _add_busy(app)

    @app.post("/body")
    def body() -> str:
        return str(len(request.get_data()))

    @app.post("/unread")
    def unread() -> tuple[str, int]:
        return "no", 401

    @app.get("/large")
    def large() -> str:
        return "x" * LARGE

    @app.get("/file")
    def sent_file() -> Response:
        return send_file(file.name)

    @app.get("/stream")
    def stream() -> Response:
        def parts() -> Iterator[bytes]:
            for _ in range(200):
                yield b"x" * 64 * 1024

        return Response(parts())

    return app


def _add_memory(app: Flask) -> None:
    kept: list[bytearray] = []

    @app.get("/memory")
    def memory() -> str:
        return Path("/proc/self/statm").read_text().split()[1]

    @app.get("/holes")
    def holes() -> str:
        blocks = [bytearray(b"x" * HOLE_BYTES) for _ in range(HOLES)]
        # The last block stays and keeps those before it from going back by themselves.
        kept.append(blocks[-1])
        return memory()


def _add_busy(app: Flask) -> None:
    @app.get("/brief/<int:number>")
    @app.get("/busy/<int:number>")
    def busy(number: int) -> str:
        until_s = time.thread_time() + float(request.args["seconds"])
        while time.thread_time() < until_s:
            sum(range(1000))
        return str(number)

    @app.get("/breaks")
    def breaks() -> Response:
        def parts() -> Iterator[bytes]:
            yield b"x"
            raise ValueError("this answer breaks off")

        return Response(parts())
