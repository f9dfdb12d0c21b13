"""A receiver of webhooks as a process of its own, so that it can be killed.

Law: an id is on disk before its message is answered.
"""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.prefork import ROOT
from tests.stack import Stack, free_port, is_free, wait_until

EVENTS = ("prediction.completed", "churn.alert", "model.trained")
#: A delivery whose worker died is sent again after two minutes; further attempts come after half a minute and two.
DELIVERED_S = 420.0


class Receiver:
    """A receiver that is started, killed and started again at one port."""

    def __init__(self, folder: Path) -> None:
        self.port, self._path = free_port(), folder / "received.txt"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        line = [sys.executable, "-m", "tests.crash.receiver", str(self.port), str(self._path)]
        self._process = subprocess.Popen(line, cwd=ROOT)
        wait_until(lambda: not is_free(self.port), "the receiver listens", 30)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def seen(self) -> set[str]:
        """Ids of the messages that came."""
        return set(self._path.read_text().split()) if self._path.exists() else set()

    def subscribe(self, stack: Stack) -> None:
        """Make the webhook."""
        body = {"url": f"http://127.0.0.1:{self.port}", "events": list(EVENTS)}
        answer = stack.person("admin").post("/api/webhooks", body)
        assert answer.status_code == 201, answer.text

    def missed(self, stack: Stack, runs_before: int) -> list[str]:
        """A sentence for each event that did not come, once all deliveries have ended, and for runs without an event."""
        waiting = "SELECT count(*) FROM webhook_deliveries WHERE state = 'waiting'"
        wait_until(lambda: not stack.value(waiting), "each delivery ends", DELIVERED_S, 0.5)
        sent = {row["message_id"]: row["type"] for row in stack.rows("SELECT message_id, type FROM webhook_events")}
        lost = sorted(set(sent) - self.seen())
        found = [f"{len(lost)} of {len(sent)} events never came, such as {lost[0]}"] if lost else []
        complete = "SELECT count(*) FROM scoring_runs WHERE id > ? AND state IN ('published', 'done')"
        runs, told = int(stack.value(complete, runs_before)), list(sent.values()).count("prediction.completed")
        print(f"{len(sent)} events, {len(self.seen() & set(sent))} of which came; {runs} runs", flush=True)
        return found if runs == told else [*found, f"{runs} runs are complete, and {told} events say so"]


def _serve(port: int, path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            with path.open("a") as file:
                file.write(self.headers["webhook-id"] + "\n")
                file.flush()
                os.fsync(file.fileno())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
