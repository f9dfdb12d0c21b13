"""gunicorn's threaded worker, in which slow clients do not occupy threads.

Law: a thread reads the received bytes and never waits for the rest; the event loop waits for any number of clients, to
receive requests and to send the rest of answers. At a limit, the client that has waited longest is disconnected.
"""

from __future__ import annotations

import errno
import gc
import selectors
import socket
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers.gthread import ThreadWorker

from shared import memory
from shared.web.client_socket import PIECE, STALL_S, ClientSocket, StalledClients
from shared.web.connection import Connection, Load, Response, Turn
from shared.web.error_responses import answer_before_flask, status_of_refusal
from shared.web.gunicorn import raise_descriptor_limit
from shared.web.incoming import State
from shared.web.turns import LongKinds, Turns

REFUSED = {State.HEAD_TOO_LONG: 431, State.MALFORMED: 400}
HEAD_S, BODY_S, LINGER_S, STOPPING_S = 10.0, 120.0, 2.0, 1.0
MAX_PER_ADDRESS = 512
#: Bytes of buffered requests and answers of all clients together.
MAX_HELD = 64 * 1024 * 1024
#: Less than a hundredth of the time after which the arbiter ends a silent process.
NOTIFY_S = 1.0
#: Seconds between two returns of freed memory: each takes under 10 ms of one thread.
GIVE_BACK_S = 30.0
#: How long a thread may read received body bytes that the application left unread.
DRAIN_S = 0.05
#: Bytes read and discarded after an answer that closes the connection, so that the client can receive it.
MOST_DISCARDED_BYTES = 16 * 1024 * 1024


class Worker(ThreadWorker):  # type: ignore[misc]
    """Serves requests in threads; waits for clients in the event loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting: dict[Connection, None] = {}
        self.by_address: Counter[str] = Counter()
        self.held = 0
        self.swept_at, self.notified_at, self.given_back_at = 0.0, 0.0, time.monotonic()
        self.turns, self.long_kinds = Turns(self.cfg.threads), LongKinds()
        self.stalled = StalledClients(max(1, self.cfg.threads // 2))

    def init_process(self) -> None:
        """Raise the descriptor limit, bound what freed memory is kept, then serve."""
        memory.use_one_arena()
        memory.map_large_blocks()
        wsgi.Response = Response
        self.worker_connections: int = raise_descriptor_limit()
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application; the garbage collector need not look at it again with every collection."""
        super().load_wsgi()
        gc.collect()
        gc.freeze()

    def notify(self) -> None:
        """Tell the arbiter that this process lives, and return freed memory; called after every event."""
        now = time.monotonic()
        if now - self.notified_at >= NOTIFY_S:
            self.notified_at = now
            super().notify()
        if now - self.given_back_at >= GIVE_BACK_S:
            self.given_back_at = now
            self.tpool.submit(memory.give_back)

    def accept(self, listener: Any) -> None:
        """Accept a connection; above the limits, drop the one that has waited longest."""
        try:
            accepted, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._drop_oldest()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED):
                raise
            return
        conn = Connection(self.cfg, ClientSocket(accepted, self.stalled), client, listener.getsockname())
        self.nr_conns += 1
        self.by_address[conn.address] += 1
        self._wait(conn, selectors.EVENT_READ, self._dispatch, HEAD_S)
        if self.by_address[conn.address] > MAX_PER_ADDRESS:
            self._drop_oldest(conn.address)
        elif self.nr_conns >= self.worker_connections:
            self._drop_oldest()

    def _drop_oldest(self, address: str | None = None) -> None:
        oldest = next((conn for conn in self.waiting if address in (None, conn.address)), None)
        if oldest is not None:
            self._drop(oldest)

    def _wait(self, conn: Connection, event: int, ready: Callable[[Connection], None], seconds: float) -> None:
        conn.since = time.monotonic()
        conn.until = conn.since + (seconds if self.alive else min(seconds, STOPPING_S))
        self.poller.register(conn.sock, event, partial(self._ready, conn, ready))
        self.waiting[conn] = None

    def _ready(self, conn: Connection, ready: Callable[[Connection], None], _: Any) -> None:
        if conn in self.waiting:  # an earlier event of the same round may have dropped it
            try:
                ready(conn)
            except OSError as error:
                if not isinstance(error, BlockingIOError):
                    self._drop(conn)

    def _stop_waiting(self, conn: Connection) -> None:
        del self.waiting[conn]
        if conn in self.turns.waiting:
            del self.turns.waiting[conn]
        else:
            self.poller.unregister(conn.sock)

    def _drop(self, conn: Connection) -> None:
        if conn in self.waiting:
            self._stop_waiting(conn)
        self._hold(conn, 0)
        self.nr_conns -= 1
        self.by_address[conn.address] -= 1
        if not self.by_address[conn.address]:
            del self.by_address[conn.address]
        conn.close()

    def _hold(self, conn: Connection, size: int) -> None:
        self.held += size - conn.held
        conn.held = size
        while self.held > MAX_HELD:
            self._drop(next(each for each in self.waiting if each.held))

    def _dispatch(self, conn: Connection) -> None:
        self._stop_waiting(conn)
        self.enqueue_req(conn)

    def handle(self, conn: Connection) -> bool | State:
        """Serve a complete request, or return what to wait for; runs in a thread."""
        try:
            if conn.read() and not conn.incoming.end():
                return False
        except OSError:
            return False
        state = conn.incoming.state
        return self._serve(conn) if state is State.READY and self._has_turn(conn) else state

    def _has_turn(self, conn: Connection) -> bool:
        if conn.turn is not None:
            return True
        load = Load.LARGE if conn.incoming.is_large else self.long_kinds.load_of(conn.incoming.line())
        conn.wanted = Turn(load, conn.incoming.caller())
        return self.turns.take(conn, conn.wanted)

    def _serve(self, conn: Connection) -> bool:
        # How long a chunked body takes to read says nothing about a kind, and anybody can send one.
        line = b"" if conn.incoming.is_chunked else conn.incoming.line()
        conn.sock.answered_at_cpu_s, began_s = None, time.thread_time()
        try:
            conn.init()
            conn.sock.received += conn.incoming.take()
            return bool(super().handle(conn))
        finally:
            # Not in the event loop: a client that has its answer may ask again before that hears of it.
            self.turns.give_back(conn)
            if line:
                self.long_kinds.took(line, (conn.sock.answered_at_cpu_s or time.thread_time()) - began_s)

    def _await_rest(self, conn: Connection, state: State) -> None:
        if (status := REFUSED.get(state)) is not None:
            self._refuse(conn, status)
        elif state is State.READY:
            self._admit(conn)
        else:
            if state is not conn.stage:
                conn.stage, conn.stage_since = state, time.monotonic()
            if conn.incoming.expects_continue:
                conn.incoming.expects_continue = False
                with suppress(OSError):  # whoever has gone is found when the rest is read
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n", socket.MSG_DONTWAIT)
            self._wait(conn, selectors.EVENT_READ, self._dispatch, STALL_S)
            conn.until = min(conn.until, conn.stage_since + (HEAD_S if state is State.HEAD else BODY_S))
            self._hold(conn, len(conn.incoming))

    def _admit(self, conn: Connection) -> None:
        """Have a thread serve a request once it is its turn."""
        if self.turns.take(conn, conn.wanted):
            self.enqueue_req(conn)
            return
        conn.until = time.monotonic() + (STALL_S if self.alive else STOPPING_S)
        self.waiting[conn] = self.turns.waiting[conn] = None
        self._hold(conn, len(conn.incoming))

    def _admit_next(self) -> None:
        while (conn := self.turns.take_next()) is not None:
            self._dispatch(conn)

    def _refuse(self, conn: Connection, status: int) -> None:
        conn.keep = False
        with suppress(OSError):
            conn.sock.send(answer_before_flask(status), socket.MSG_DONTWAIT)
        self._after(conn)

    def finish_request(self, conn: Connection, fs: Future[bool | State]) -> None:
        """Send the rest of the answer; then wait for the client's next request, or close."""
        try:
            self._finish(conn, False if fs.cancelled() or fs.exception() is not None else fs.result())
        except Exception:
            # Anything raised here would end the event loop, and with it the service.
            self.log.exception("A connection failed after its request.")
            self._drop(conn)

    def _finish(self, conn: Connection, outcome: bool | State) -> None:
        if isinstance(outcome, State):
            self._await_rest(conn, outcome)
            return
        conn.keep, conn.stage = outcome, None
        self._admit_next()
        if conn.sock.fileno() < 0:  # gunicorn closes the socket of an answer that breaks off
            self._drop(conn)
        elif conn.sock.unsent:
            self._wait(conn, selectors.EVENT_WRITE, self._flush, STALL_S)
            self._hold(conn, len(conn.sock.unsent))
        else:
            self._after(conn)

    def _flush(self, conn: Connection) -> None:
        now = time.monotonic()
        conn.sock.add_wait(now - conn.since)
        conn.sock.flush()
        conn.since, conn.until = now, now + STALL_S
        self._hold(conn, len(conn.sock.unsent))
        if not conn.sock.unsent:
            self._stop_waiting(conn)
            self._after(conn)

    def _after(self, conn: Connection) -> None:
        self._hold(conn, 0)
        if not conn.keep:
            # If closed now, further bytes of the client would make the kernel reset the connection and lose our answer.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_WR)
            self._wait(conn, selectors.EVENT_READ, self._discard, LINGER_S)
        elif read_ahead := conn.parser.unreader.take_buffered() + bytes(conn.sock.received):
            conn.sock.received.clear()
            conn.incoming.add(read_ahead)
            self.enqueue_req(conn)
        else:
            self._wait(conn, selectors.EVENT_READ, self._dispatch, self.cfg.keepalive)

    def _discard(self, conn: Connection) -> None:
        piece = socket.socket.recv(conn.sock, PIECE, socket.MSG_DONTWAIT)
        conn.discarded += len(piece)
        if not piece or conn.discarded > MOST_DISCARDED_BYTES:
            self._drop(conn)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        if not keepalive or conn.sock.gave_up:
            return False
        # Bodies that are not large have been received whole; a time limit takes two system calls.
        deadline = time.monotonic() + DRAIN_S if conn.wanted.load is Load.LARGE else None
        return bool(conn.parser.finish_body(deadline=deadline))

    def murder_pending(self) -> None:
        """Drop connections whose time is over; the event loop calls this often."""
        now = time.monotonic()
        if now - self.swept_at < (0.9 if self.alive else 0.1):
            return
        self.swept_at = now
        self.stalled.cut_off_excess()
        for conn in [each for each in self.waiting if each.until < now]:
            if conn in self.turns.waiting:
                self._stop_waiting(conn)
                self._refuse(conn, 503)
            else:
                self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        for conn in self.waiting:
            conn.until = min(conn.until, deadline)

    def handle_error(self, req: Any, client: Any, _addr: Any, exc: Exception) -> None:
        """Answer a request that gunicorn refuses with the error body of every failure."""
        status = status_of_refusal(exc)
        if status == 500:
            self.log.exception("Error handling request %s", getattr(req, "uri", "before it was read"))
        with suppress(OSError):
            client.sendall(answer_before_flask(status))
