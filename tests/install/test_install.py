"""A fresh clone installs and starts with the pip that each Python ships and with the newest, and so does the wheel.

`make test-install`: minutes, and it needs the package index. An interpreter that is absent is skipped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.stack import ROOT, free_port

#: Debian 12's pip on 3.11; what CPython 3.12 and 3.13 shipped first.
OLDEST_PIP = {"3.11": "23.0.1", "3.12": "23.2.1", "3.13": "24.2"}
PAIRS = [(python, pip) for python, oldest in OLDEST_PIP.items() for pip in (oldest, "newest")]
READY = "RetainStream is ready"
START_SECONDS, INSTALL_SECONDS = 120, 900

pytestmark = [pytest.mark.install, pytest.mark.timeout(1200)]


def interpreter(version: str) -> str:
    """A CPython of this version: on the path, or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python{version}")))]
    probe = f"import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '{version}')"
    for candidate in filter(None, candidates):
        if subprocess.run([candidate, "-c", probe], capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip(f"there is no Python {version} on this machine")


def environment(**variables: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | variables


def run(*command: str | Path, folder: Path, seconds: float = INSTALL_SECONDS, **variables: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of the last commit, in a folder of its own."""
    folder = tmp_path / "clone"
    run("git", "clone", "--quiet", "--no-local", str(ROOT), str(folder), folder=tmp_path)
    return folder


@contextmanager
def started(*command: str | Path, folder: Path, **variables: str) -> Iterator[str]:
    """The address of a system that says it is ready; everything is ended afterwards."""
    port, ml_port = free_port(), free_port()
    log = folder / "started.log"
    values = environment(
        PORT=str(port), PYTHON_PORT=str(ml_port), PYTHON_SERVICE_URL=f"http://localhost:{ml_port}", **variables
    )
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=folder, env=values, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while READY not in log.read_text(errors="replace"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
            time.sleep(0.2)
        yield f"http://localhost:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def megabytes(folder: Path) -> float:
    return sum(each.lstat().st_size for each in folder.rglob("*") if each.is_file()) / 1e6


@pytest.mark.parametrize(("python", "pip"), PAIRS, ids=[f"python-{python}-pip-{pip}" for python, pip in PAIRS])
def test_both_commands_of_the_readme_work_in_a_fresh_clone(
    python: str, pip: str, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = interpreter(python)
    run(found, "-m", "venv", ".venv", folder=clone)
    wanted = "pip" if pip == "newest" else f"pip=={pip}"
    run(".venv/bin/python", "-m", "pip", "install", "--quiet", "--upgrade", wanted, folder=clone)
    for stamp in (".run-installed", ".test-installed"):
        began, before = time.monotonic(), megabytes(clone / ".venv")
        run("make", f".venv/{stamp}", folder=clone)
        seconds, size = time.monotonic() - began, megabytes(clone / ".venv") - before
        with capsys.disabled():
            print(f"\nPython {python}, pip {pip}: {stamp[1:]} took {seconds:.0f} s and {size:.0f} MB")
    with started("make", "run", folder=clone, DEMO="0") as address:
        assert requests.get(f"{address}/api/health", timeout=10).json()["status"] == "OK"
    assert " passed" in run(
        "make", "test", "ARGS=-n 0 tests/install/test_locks.py tests/shared/test_errors.py", folder=clone
    )


def test_the_wheel_starts_from_an_empty_folder(clone: Path, tmp_path: Path) -> None:
    packages, empty = tmp_path / "packages", tmp_path / "empty"
    empty.mkdir()
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(packages), ".")
    run(sys.executable, *build, folder=clone)
    (wheel,) = packages.glob("retainstream-*.whl")
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path)
    pip = (tmp_path / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps")
    run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", clone / "requirements/run.lock", folder=tmp_path)
    run(*pip, wheel, folder=tmp_path)
    run(tmp_path / "venv" / "bin" / "python", "-m", "pip", "check", folder=tmp_path)
    command = tmp_path / "venv" / "bin" / "retainstream"
    with started(command, "up", folder=empty, DEMO_CUSTOMERS="600") as address:
        assert requests.get(f"{address}/api/health/ready", timeout=10).status_code == 200
        assert "<title>" in requests.get(f"{address}/", timeout=10).text
        assert requests.get(f"{address}/page/main.js", timeout=10).status_code == 200
    run(command, "schema", "--help", folder=empty)
    face = "from retainstream import ChurnModel; print(ChurnModel(label='churn'))"
    assert "ChurnModel(label='churn')" in run(tmp_path / "venv" / "bin" / "python", "-c", face, folder=empty)
