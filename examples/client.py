"""RetainStream from Python, with nothing but `requests`: sign in, import, score, list, export.

    python client.py http://localhost:5000 alex.chen@netflix.com password [table.csv schema.toml]

The types are those of /api/openapi.json; a test holds them against it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypedDict

import requests


class SignedIn(TypedDict):
    token: str


class ImportOut(TypedDict):
    total: int
    accepted: int
    rejected: int
    rejects_file: str | None
    customers_new: int
    customers_updated: int
    unchanged: bool


class RunOut(TypedDict):
    predictions_generated: int
    average_probability: float | None
    model_version: str


class JobOut(TypedDict):
    id: int
    kind: str
    state: str
    progress: float
    stage: str | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Listed(TypedDict):
    user_id: str
    plan: str | None
    churn_probability: float | None
    risk_level: str | None
    confidence: float | None
    revenue_at_risk: float | None
    reasons: list[dict[str, Any]]


class CustomerPage(TypedDict):
    customers: list[Listed]
    next: str | None
    total: int


class Client:
    """One signed-in session; every refusal is raised with the server's own sentence."""

    def __init__(self, url: str, email: str, password: str) -> None:
        self.url, self.http = url.rstrip("/"), requests.Session()
        signed_in: SignedIn = self.ask("POST", "/api/auth/login", json={"email": email, "password": password}).json()[
            "data"
        ]
        self.http.headers["Authorization"] = f"Bearer {signed_in['token']}"

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        answer = self.http.request(method, self.url + path, timeout=600, **how)
        if not answer.ok:
            raise RuntimeError(f"{answer.status_code}: {answer.json()['message']}")
        return answer

    def finished(self, answer: requests.Response) -> Any:
        """The result of a request: at once (200), or of its job, asked for until it is done (202)."""
        if answer.status_code != 202:
            return answer.json()["data"]
        while True:
            job: JobOut = self.ask("GET", answer.headers["Location"]).json()["data"]
            if job["state"] == "done":
                return job["result"]
            if job["error"]:
                raise RuntimeError(job["error"]["message"])
            print(f"{job['progress']:4.0%}  {job['stage'] or 'waiting'}", file=sys.stderr)
            time.sleep(0.5)

    def import_table(self, table: Path, schema: Path) -> ImportOut:
        with table.open("rb") as file:
            sent = {"files": {"file": (table.name, file)}, "data": {"schema": schema.read_text(encoding="utf-8")}}
            done: ImportOut = self.finished(self.ask("POST", "/api/customers/import", **sent))
        return done

    def score(self) -> RunOut:
        asynchronous = {"Prefer": "respond-async"}
        done: RunOut = self.finished(self.ask("POST", "/api/predictions/generate", json={}, headers=asynchronous))
        return done

    def customers(self, **filters: Any) -> Iterator[Listed]:
        """Everybody the filters let through, page by page."""
        after: str | None = None
        while True:
            query = {"limit": 100, "after": after, **filters}
            page: CustomerPage = self.ask("GET", "/api/customers", params=query).json()["data"]
            yield from page["customers"]
            after = page["next"]
            if after is None:
                return

    def export(self, out: Path, **filters: Any) -> int:
        """Stream customers into a file; its size. A stream that breaks raises: half of one is no export."""
        with self.ask("GET", "/api/customers/export", params=filters, stream=True) as answer, out.open("wb") as file:
            return sum(file.write(part) for part in answer.iter_content(1 << 16))


if __name__ == "__main__":
    client = Client(*sys.argv[1:4])
    if len(sys.argv) > 5:
        told = client.import_table(Path(sys.argv[4]), Path(sys.argv[5]))
        print("imported", told["accepted"], "of", told["total"], "rows,", told["customers_new"], "new customers")
    print("scored", client.score()["predictions_generated"])
    for one in client.customers(risk="High", sort="-revenue_at_risk"):
        print("at risk", one["user_id"], one["churn_probability"], one["revenue_at_risk"])
    print("exported", client.export(Path("customers.csv"), format="csv"), "bytes")
