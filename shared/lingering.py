"""gunicorn's threaded worker, whose threads stay with a connection for a moment after its answer.

Law: a thread lingers only while nobody waits for one.

The worker as it comes gives a connection back to its main thread after each request: several changes of thread for each
one of a client that asks again at once; its main thread took 30 % of the gateway's samples under load.
"""

from __future__ import annotations

import select
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

#: How long the next request may take to begin.
LINGER_MS = 10


class LingeringWorker(ThreadWorker):  # type: ignore[misc]
    """Serves the next request of a connection in the thread that served the last one, where it follows at once."""

    def handle(self, conn: Any) -> Any:
        """Serve a connection's requests; what to do with it then, as the worker itself says it."""
        kept = super().handle(conn)
        while kept is True and self.alive and not conn.is_http2 and self._follows(conn):
            kept = super().handle(conn)
        return kept

    def _follows(self, conn: Any) -> bool:
        # Bytes read ahead with the last body no longer make the socket readable.
        if conn.parser.unreader.buf.getvalue():
            return True
        if self.tpool._work_queue.qsize():
            return False
        poll = select.poll()
        poll.register(conn.sock, select.POLLIN)
        return bool(poll.poll(LINGER_MS))
