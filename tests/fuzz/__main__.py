"""`make fuzz`: schemathesis on the documents of both services, as everybody who may call them.

All checks, all phases (examples, coverage, fuzzing, stateful): no answer above 499 but a documented 503, none that the
document does not describe, no route that lets in who has no right. Then the property tests of files, schemas and Arrow
bodies, with twenty times their examples. Expectations beyond the checks' defaults are in schemathesis.toml.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import prefork
from tests.fuzz.callers import Caller, callers
from tests.fuzz.streams import keep_streams
from tests.prefork import ROOT
from tests.stack import Stack

HERE = ROOT / "tests" / "fuzz"
SCHEMATHESIS = ROOT / ".venv-suites" / "bin" / "schemathesis"
SHORT, LONG = 2, 75
#: Phases; the short form tries every boundary of every parameter as some callers only.
ALL, FEW = "examples,coverage,fuzzing,stateful", "examples,fuzzing,stateful"
#: Characters of one line of what reproduces a failure.
LINE = 3000
PROPERTIES = (
    "tests/shared/tables",
    "tests/shared/test_parsing_limits.py",
    "tests/shared/contracts/test_arrow.py",
    "tests/ml_service/api/test_routes.py",
    "tests/gateway/importing/test_one_reader.py",
    "tests/fuzz/test_any_nonsense.py",
)
TIMES = 20


@dataclass(frozen=True)
class Result:
    """The findings of a run."""

    name: str
    cases: int
    found: Counter[str]
    seconds: float
    text: str

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.found.most_common()) or "0"
        return f"{self.name:22}{self.cases:>9,}{self.seconds:>7.0f} s  {kinds}"


def fuzz(name: str, caller: Caller, folder: Path, options: argparse.Namespace) -> Result:
    """Run all phases as one caller."""
    folder.mkdir()
    began, before = time.monotonic(), caller.standing()
    line = [
        str(SCHEMATHESIS), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{caller.url}/api/openapi.json",
        "--phases", FEW if options.short and not caller.widely else ALL, "--checks", "all",
        "--max-examples", str(options.examples), "--seed", str(options.seed), "--no-color",
        "--report", "json", "--report-json-path", "report.json", "-H", "Prefer: respond-async",
        *caller.options, *(["-H", caller.header] if caller.header else []),
        *(word for path in caller.only for word in ("--include-path", path)),
        *(word for path in caller.without for word in ("--exclude-path", path)),
    ]  # fmt: skip
    variables = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    streams = {"FUZZ_STREAMS": str(folder.parent / "streams")}
    with (folder / "printed").open("w") as printed:
        how = {"stdout": printed, "stderr": subprocess.STDOUT, "env": {**variables, **streams, **caller.variables}}
        ended = subprocess.run(line, cwd=folder, check=False, **how)  # type: ignore[call-overload]
    text = (folder / "printed").read_text()
    if not (folder / "report.json").exists():
        return Result(name, 0, Counter({"no report": 1}), time.monotonic() - began, text)
    report = json.loads((folder / "report.json").read_text())
    found: Counter[str] = Counter()
    for each in [*report["failures"], *report["errors"]]:
        found[each.get("type", each["title"])] += each["count"]
    if ended.returncode != 0 and not found:
        found[f"exit status {ended.returncode}"] += 1
    if (after := caller.standing()) != before:
        found["caller lost"] += 1
        text += f"\nThis caller's auth/me was {before} before the run, and is {after}: something ended it."
    return Result(name, report["test_cases"]["generated"], found, time.monotonic() - began, text)


def what_was_found(text: str) -> str:
    """The failures as schemathesis prints them, with what reproduces each."""
    part = re.split(r"^=+ (?:ERRORS|FAILURES) =+$", text, maxsplit=1, flags=re.M)[-1].split("= SUMMARY =")[0]
    return "\n".join(each[:LINE] for each in part.splitlines())


def run(options: argparse.Namespace) -> list[Result]:
    """Start an installation and fuzz it as everybody, one after the other."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    stack = Stack(folder / "stack", {"LOG_LEVEL": "error", "OPEN_REGISTRATION": "1"})
    results = []
    try:
        stack.start("ml")
        assert stack.command("demo").returncode == 0
        stack.start("gateway", "worker")
        keep_streams(folder / "streams", stack)
        print(f"{'caller':22}{'cases':>9}{'time':>9}  found (kept then: {folder})", flush=True)
        for number, (name, make) in enumerate(callers(stack)):
            if options.only in name:
                results.append(fuzz(name, make(), folder / str(number), options))
                print(results[-1], flush=True)
    finally:
        stack.stop()
        prefork.end()
    print(f"{'together':22}{sum(result.cases for result in results):>9,}")
    if not any(result.found for result in results):
        shutil.rmtree(folder)
    return results


def property_tests() -> int:
    """Run the property tests of files, schemas and Arrow bodies with more examples; the exit status of pytest."""
    print(f"Files, schemas and Arrow bodies, with {TIMES} times the examples:", flush=True)
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--timeout", "3600", "--durations", "5"]
    variables = {**os.environ, "HYPOTHESIS_TIMES": str(TIMES)}
    return subprocess.run([*line, *PROPERTIES], cwd=ROOT, env=variables, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as everybody; the exit status is 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few examples, and no property tests: for .ci/run")
    parser.add_argument("--examples", type=int, help=f"examples of each operation (default: {LONG}, short {SHORT})")
    parser.add_argument("--seed", type=int, default=1, help="seed of schemathesis (default: 1)")
    parser.add_argument("--only", default="", help="callers whose name has this in it")
    options = parser.parse_args(arguments)
    options.examples = options.examples or (SHORT if options.short else LONG)
    results = run(options)
    for result in results:
        if result.found:
            print(f"\n{result.name}:\n{what_was_found(result.text)}")
    failed = any(result.found for result in results) or not results
    if not options.short and not options.only:
        failed |= property_tests() != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
