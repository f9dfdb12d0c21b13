"""Each lock is whole: installed with --no-deps, nothing is missing on any Python that is supported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.markers import Environment, Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
#: Requirements of each lock; the test lock is installed on top of the run lock.
LOCKS = {
    "run": ("run",),
    "gateway": ("gateway",),
    "ml": ("ml",),
    "run and test": ("run", "test"),
    "suites": ("suites",),
}


@dataclass(frozen=True)
class Locked:
    version: str
    extras: frozenset[str]
    marker: Marker | None

    def applies(self, environment: Environment) -> bool:
        return self.marker is None or self.marker.evaluate(environment)


@cache
def lock(name: str) -> dict[str, Locked]:
    """The lock's lines by canonical name; each name has one line, and so one version on every Python."""
    entries: dict[str, Locked] = {}
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    for line in re.sub(r"\\\n\s+--hash=\S+", "", text).splitlines():
        pinned = Requirement(line.rstrip("\\ "))
        (version,) = pinned.specifier
        assert version.operator == "==", line
        key = canonicalize_name(pinned.name)
        assert key not in entries, f"{name}.lock pins {key} twice"
        entries[key] = Locked(version.version, frozenset(pinned.extras), pinned.marker)
    return entries


def merged(parts: tuple[str, ...]) -> dict[str, Locked]:
    """The lines of all parts; a name in two of them has the same version, and the extras of both."""
    entries: dict[str, Locked] = {}
    for part in parts:
        for name, locked in lock(part).items():
            before = entries.get(name, locked)
            assert before.version == locked.version, f"{name}: {before.version} and {locked.version}"
            entries[name] = Locked(locked.version, before.extras | locked.extras, locked.marker)
    return entries


def wanted(name: str) -> list[Requirement]:
    """The lines of an input file and of those it includes."""
    lines: list[Requirement] = []
    for line in (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            lines += wanted(text[3:].removesuffix(".in"))
        elif text and not text.startswith("-c "):
            lines.append(Requirement(text))
    return lines


@cache
def installed(suites: bool) -> dict[str, Distribution]:
    """The distributions of the environment that a lock is installed in, by canonical name."""
    folders = list((ROOT / ".venv-suites" / "lib").glob("python*/site-packages"))
    if suites and not folders:
        pytest.skip("the fuzzers and load tools are not installed here: make .venv-suites/.installed")
    found = distributions(path=[str(folders[0])]) if suites else distributions()
    return {canonicalize_name(each.metadata["Name"]): each for each in found}


def environment(python: str) -> Environment:
    values = default_environment()
    values.update(python_version=python, python_full_version=f"{python}.0", implementation_version=f"{python}.0")
    return values


def asked_for(distribution: Distribution, extras: frozenset[str], values: Environment) -> list[Requirement]:
    """The requirements of a distribution that hold in an environment, with those of its extras."""
    holding = []
    for text in distribution.requires or ():
        requirement = Requirement(text)
        contexts = [{**values, "extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(each) for each in contexts):
            holding.append(requirement)
    return holding


def missing(requirement: Requirement, entries: dict[str, Locked], values: Environment) -> str | None:
    locked = entries.get(canonicalize_name(requirement.name))
    if locked is None or not locked.applies(values):
        return f"{requirement} is not in the lock"
    if not requirement.specifier.contains(locked.version, prereleases=True):
        return f"{requirement} is locked at {locked.version}"
    if not requirement.extras <= locked.extras:
        return f"{requirement} is locked without its extras"
    return None


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_everything_that_what_it_holds_requires(name: str, python: str) -> None:
    entries, values = merged(LOCKS[name]), environment(python)
    present = installed(name == "suites")
    problems = []
    for key, locked in entries.items():
        if not locked.applies(values):
            continue
        assert key in present, (
            f"{key} applies on {python} but is not installed here, so nobody can read what it requires"
        )
        assert present[key].version == locked.version, f"{key}: run make again"
        for requirement in asked_for(present[key], locked.extras, values):
            problem = missing(requirement, entries, values)
            problems += [f"{key} {locked.version}: {problem}"] if problem else []
    assert problems == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_its_input_asks_for(name: str, python: str) -> None:
    entries, values = merged(LOCKS[name]), environment(python)
    asked = [each for part in LOCKS[name] for each in wanted(part)]
    problems = [missing(each, entries, values) for each in asked if each.marker is None or each.marker.evaluate(values)]
    assert [each for each in problems if each] == []


@pytest.mark.parametrize("name", ["gateway", "ml", "test"])
def test_the_locks_agree_on_every_version(name: str) -> None:
    run = lock("run")
    assert [key for key, each in lock(name).items() if key in run and run[key].version != each.version] == []


@pytest.mark.parametrize("name", ["run", "gateway", "ml", "test", "suites"])
def test_every_line_of_a_lock_has_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
