"""`make fuzz`: schemathesis on the documents of both services, as everybody who may call them.

All checks, all phases (examples, coverage, fuzzing, stateful): no answer above 499, no answer that the document does
not describe, no route that lets in who has no right. The installation is the demo's, with services as processes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import prefork
from tests.prefork import ROOT
from tests.stack import Stack
from tests.world import TOKEN

SCHEMATHESIS = ROOT / ".venv-suites" / "bin" / "schemathesis"
ROLES = ("viewer", "analyst", "admin")
SCOPES = ("read", "score", "import")
#: Operations that end the session or the account of who calls them: the rest of the run would be a stranger's.
ENDS_THE_CALLER = ("/api/auth/logout", "/api/auth/password", "/api/auth/refresh")


@dataclass(frozen=True)
class Caller:
    """Somebody who calls one of the services, and the header by which they are known."""

    name: str
    url: str
    header: str | None = None


def callers(stack: Stack) -> Iterator[Caller]:
    """Everybody who may call: nobody, each role, a key of each scope; the ML service with and without its token."""
    yield Caller("gateway, nobody", stack.url)
    for role in ROLES:
        yield Caller(f"gateway, {role}", stack.url, f"Authorization: Bearer {stack.person(role).token}")
    for scope in SCOPES:
        made = stack.person("admin").post("/api/auth/keys", {"name": scope, "scopes": [scope]})
        assert made.status_code == 201, made.text
        yield Caller(f"gateway, key to {scope}", stack.url, f"X-API-Key: {made.json()['data']['key']}")
    yield Caller("ml, token", stack.ml_url, f"Authorization: Bearer {TOKEN}")
    yield Caller("ml, nobody", stack.ml_url)


def fuzz(caller: Caller, folder: Path, examples: int, seed: int) -> dict[str, Any]:
    """Run all phases as one caller and return schemathesis' report."""
    report = folder / "report.json"
    line = [
        str(SCHEMATHESIS), "run", f"{caller.url}/api/openapi.json", "--checks", "all", "--continue-on-failure",
        "--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none", "--no-color",
        "--request-timeout", "30", "--suppress-health-check", "all", "--warnings", "off",
        "--report", "json", "--report-json-path", str(report), "--workers", "2",
        "-H", "Prefer: respond-async",
    ]  # fmt: skip
    for path in ENDS_THE_CALLER if caller.header else ():
        line += ["--exclude-path", path]
    if caller.header:
        line += ["-H", caller.header]
    with (folder / "printed").open("w") as printed:
        subprocess.run(line, cwd=folder, stdout=printed, stderr=subprocess.STDOUT, check=False)
    return json.loads(report.read_text())


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as everybody; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="examples of each operation (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="seed of schemathesis (default: 1)")
    parser.add_argument("--only", help="callers whose name has this in it")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    stack = Stack(folder / "stack", {"LOG_LEVEL": "error", "ALLOW_REGISTRATION": "1"})
    try:
        stack.start("ml")
        assert stack.command("demo").returncode == 0
        stack.start("gateway", "worker")
        for number, caller in enumerate(callers(stack)):
            if options.only and options.only not in caller.name:
                continue
            began, own = time.monotonic(), folder / str(number)
            own.mkdir()
            report = fuzz(caller, own, options.examples, options.seed)
            print(caller.name, f"{time.monotonic() - began:.0f} s", own, json.dumps(report)[:3000])
    finally:
        stack.stop()
        prefork.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
