"""`retainstream try`: one command from a table to an answer, in a folder of its own, and nothing left behind."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from shared.schema.features import load_schema
from tests import prefork
from tests.printed import check_printed
from tests.product.test_own_table import TELCO, needs_telco
from tests.stack import Stack, is_free, wait_until
from tests.world import open_world

pytestmark = pytest.mark.xdist_group("try")
Done = subprocess.CompletedProcess[str]
FOLDER = "shop-retainstream"


def write_table(path: Path, *, leak: bool = False, rows: int = 400) -> Path:
    """A table whose leavers call more often; with `leak`, a column is filled in for them alone."""
    drawn = random.Random(5)
    lines = ["customer_id,calls,plan,country,churned,refund"]
    for number in range(rows):
        left = drawn.random() < 0.3
        calls = max(0, round(drawn.gauss(6 if left else 3, 2)))
        refund = drawn.randint(5, 50) if left and leak else drawn.randint(0, 3)
        plan = drawn.choice(["basic", "full"])
        lines.append(f"c{number},{calls},{plan},AT,{'yes' if left else 'no'},{refund}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def attempt(stack: Stack, *words: str) -> Done:
    """Run `retainstream try ... --no-serve` in a stack's folder."""
    how = {"folder": stack.folder, "env": stack.environment, "forking": ["ml_service"]}
    return prefork.run("gateway", "try", *words, "--no-serve", **how)


def refused(done: Done) -> str:
    """The error of a command, which has to fail."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr[done.stderr.index("Error: ") :]


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        yield


@dataclass(frozen=True)
class Tried:
    """A table with a leak, tried while both ports were taken, and again by the corrected schema.

    Attributes
    ----------
    choices
        The text that the first run printed.
    leak
        How it was refused.
    printed
        The text that the second run printed.
    proposed
        The schema that the first run proposed.
    first_settings
        The `.env` that the first run wrote.
    """

    stack: Stack
    choices: str
    leak: str
    printed: str
    proposed: str
    first_settings: dict[str, str]

    @property
    def folder(self) -> Path:
        return self.stack.folder / FOLDER

    @property
    def settings(self) -> dict[str, str]:
        return settings_of(self.folder)


def settings_of(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    stack = Stack(tmp_path_factory.mktemp("try"))
    write_table(stack.folder / "shop.csv", leak=True)
    schema = stack.folder / FOLDER / "schema.toml"
    with taken(stack.port), taken(stack.ml_port):
        first = attempt(stack, "shop.csv")
    proposed, first_settings = schema.read_text(), settings_of(stack.folder / FOLDER)
    schema.write_text(proposed.replace('[features."refund"]', '[features."refund"]\nknown_at_scoring = true'))
    again = attempt(stack, "shop.csv", "--again")
    assert again.returncode == 0, again.stderr
    return Tried(stack, first.stdout, refused(first), again.stdout, proposed, first_settings)


def test_one_command_prints_the_ten_likeliest_leavers_with_reasons(tried: Tried) -> None:
    listed = re.findall(r"^ *([\d.]+) %  (c\d+) +(.+)$", tried.printed, re.M)
    assert len(listed) == 10
    assert [float(p) for p, _, _ in listed] == sorted((float(p) for p, _, _ in listed), reverse=True)
    assert all(re.search(r"\w+ \S+: [+-]\d+\.\d points", reasons) for _, _, reasons in listed)
    assert "Imported 400 rows" in tried.printed and "held-out rows" in tried.printed and "Scored " in tried.printed


def test_each_choice_names_the_line_of_the_schema_that_changes_it(tried: Tried) -> None:
    lines = ["", *tried.proposed.splitlines()]
    said = {
        sentence: [lines[int(number)] for number in re.findall(r"\d+", place)]
        for sentence, place in re.findall(r"^- (.+) \((lines? [\d and]+)\)$", tried.choices, re.M)
    }
    assert said["The id is 'customer_id'."] == ['id = "customer_id"']
    assert said["The label is 'churned'; 'yes' means churned."] == ['label = "churned"', 'positive = ["yes"]']
    assert said["Left out, always the same: country."] == ['ignore = ["country"]']
    assert said["The plan is 'plan'."] == ['plan = "plan"']
    assert re.search(r"No date of the rows .*\(add as_of = .* or --as-of DATE\)", tried.choices)
    assert re.search(r"No end of subscriptions .*\(add end = .* under \[subscription\]\)", tried.choices)
    assert "then: retainstream try shop.csv --again --no-serve" in tried.choices


def test_taken_ports_are_told_and_others_used(tried: Tried) -> None:
    stack = tried.stack
    assert f"Port {stack.port} is taken, so PORT is {stack.port + 10}." in tried.choices
    assert f"Port {stack.ml_port} is taken, so PYTHON_PORT is {stack.ml_port + 10}." in tried.choices
    first = tried.first_settings
    assert (first["PORT"], first["PYTHON_PORT"]) == (str(stack.port + 10), str(stack.ml_port + 10))
    assert first["PYTHON_SERVICE_URL"] == f"http://localhost:{stack.ml_port + 10}"
    # The second run found both ports free, and says and keeps these.
    assert (tried.settings["PORT"], tried.settings["PYTHON_PORT"]) == (str(stack.port), str(stack.ml_port))
    assert f"http://localhost:{stack.port} " in tried.printed


def test_the_base_is_one_of_its_own_whatever_the_shell_says(tried: Tried) -> None:
    assert not tried.stack.database_path.exists() and not tried.stack.models.exists()
    assert f"cd {FOLDER} && env -u DATABASE_PATH -u ML_MODEL_PATH retainstream up" in tried.printed
    assert load_schema(tried.folder / "schema.toml").label == "churned"


def test_the_printed_account_signs_in_as_administrator(tried: Tried) -> None:
    account = re.search(r"as admin (\S+), password (\w{20})$", tried.printed, re.M)
    assert account is not None
    world = open_world(tried.folder / "base" / "retainstream.db")
    answer = world.login(*account.groups())
    world.database.close()
    assert answer.status_code == 200 and answer.get_json()["data"]["user"]["role"] == "admin"


def test_no_service_is_left_running(tried: Tried) -> None:
    ports = tried.stack.ml_port, tried.stack.ml_port + 10
    wait_until(lambda: all(map(is_free, ports)), "the ports of the ML service are free", 10)


def test_an_existing_folder_is_refused_and_left_as_it_is(tried: Tried, tmp_path: Path) -> None:
    before = sorted(path.name for path in tried.folder.iterdir())
    assert "--again makes its base anew" in refused(attempt(tried.stack, "shop.csv"))
    assert sorted(path.name for path in tried.folder.iterdir()) == before
    stack = Stack(tmp_path)
    write_table(tmp_path / "shop.csv")
    (tmp_path / "mine").mkdir()
    assert "exists already: --folder NAME" in refused(attempt(stack, "shop.csv", "--folder", "mine"))
    assert "no earlier trial" in refused(attempt(stack, "shop.csv", "--folder", "mine", "--again"))
    assert list((tmp_path / "mine").iterdir()) == []


def test_where_a_table_is_refused_the_earlier_base_stays(tried: Tried) -> None:
    base, schema = tried.folder / "base" / "retainstream.db", tried.folder / "schema.toml"
    before = base.stat().st_ino, schema.read_text()
    (tried.stack.folder / "other.csv").write_text("who,churned\na,yes\nb,no\n")
    done = attempt(tried.stack, "other.csv", "--folder", FOLDER, "--again")
    assert "the earlier base is as it was" in refused(done)
    assert (base.stat().st_ino, schema.read_text()) == before
    assert not (tried.folder / "base.earlier").exists()


def test_what_is_no_table_is_refused_as_the_proposal_refuses_it_and_leaves_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    (tmp_path / "shop.csv").write_bytes(b"\x00\x01\x02\x03")
    proposal = stack.command("schema", "infer", "shop.csv")
    assert refused(attempt(stack, "shop.csv")) == refused(proposal)
    assert "no schema file none.toml" in refused(attempt(stack, "shop.csv", "--schema", "none.toml"))
    assert [path.name for path in tmp_path.iterdir()] == ["shop.csv"]


def test_rows_that_can_not_be_read_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    table = write_table(tmp_path / "shop.csv", rows=60)
    table.write_text(table.read_text().replace("\nc7,", "\nc7,x", 1))
    said = refused(attempt(stack, "shop.csv"))
    assert "line 9, calls" in said and "--keep-good" in said and "no folder is left behind" in said
    assert [path.name for path in tmp_path.iterdir()] == ["shop.csv"]
    assert is_free(stack.ml_port)


def test_a_leak_is_refused_with_its_line_and_corrected_in_the_folder(tried: Tried) -> None:
    place = re.search(r"refund: line (\d+)", tried.leak)
    assert place is not None and tried.proposed.splitlines()[int(place[1]) - 1] == '[features."refund"]'
    assert f"kept in {FOLDER}" in tried.leak and tried.leak.rstrip().endswith("try shop.csv --again --no-serve")
    assert "likeliest" not in tried.choices
    assert (
        "refund is vouched for by the schema"
        in (tried.folder / "base" / "models").joinpath("2.4.1/report.json").read_text()
    )


def test_too_few_leavers_are_refused_with_how_to_go_on_as_it_was_asked_for(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    table = write_table(tmp_path / "shop.csv", rows=30)
    assert stack.command("schema", "infer", "shop.csv", "-o", "mine.toml").returncode == 0
    table.write_text(table.read_text().replace("\nc7,", "\nc7,x", 1))
    asked = ("--folder", "here", "--as-of", "2026-01-31", "--keep-good")
    done = attempt(stack, "shop.csv", "--schema", "mine.toml", *asked)
    said = refused(done)
    assert "The schema is mine.toml: 3 features, label churned, id customer_id, date none." in done.stdout
    assert "Imported 29 rows" in done.stdout
    assert "leavers" in said and "label and positive: lines" in said
    assert f"retainstream try shop.csv --again {' '.join(asked)} --no-serve" in said
    assert (tmp_path / "here" / "schema.toml").read_text() == (tmp_path / "mine.toml").read_text()
    with closing(sqlite3.connect(tmp_path / "here" / "base" / "retainstream.db")) as raw:
        assert raw.execute("SELECT DISTINCT as_of FROM customer_snapshots").fetchall() == [("2026-01-31",)]


def test_an_ml_service_that_can_not_start_is_told_with_its_log(tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"ML_THREADS": "many"})
    write_table(tmp_path / "shop.csv", rows=60)
    said = refused(attempt(stack, "shop.csv"))
    log = tmp_path / FOLDER / "ml.log"
    assert f"ended at its start; the last lines of {log} say why" in said and "ML_THREADS" in log.read_text()
    assert "when that is put right: retainstream try shop.csv --again" in said


@pytest.mark.slow
@needs_telco
def test_the_readme_prints_what_is_printed_for_the_telco_table(tmp_path: Path) -> None:
    """But for the password, and seven of the ten leavers."""
    stack = Stack(tmp_path)
    (tmp_path / "telco.csv").symlink_to(TELCO)
    env = {name: value for name, value in stack.environment.items() if name not in ("DATABASE_PATH", "ML_MODEL_PATH")}
    done = prefork.run(
        "gateway", "try", "telco.csv", "--no-serve", folder=tmp_path, env=env, forking=["ml_service"], timeout=200
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace(" --again --no-serve", " --again").splitlines()
    leavers = [number for number, line in enumerate(lines) if re.match(r" *[\d.]+ %  ", line)]
    shown = "\n".join([*lines[: leavers[3]], " ...", *lines[leavers[-1] + 1 :]])
    shown = re.sub(r"localhost:\d+", "localhost:5000", re.sub(r"password \w{20}$", "password ...", shown, flags=re.M))
    check_printed("retainstream try telco.csv", shown)


@pytest.mark.slow
@needs_telco
def test_the_services_are_started_and_ctrl_c_ends_all_of_them(tmp_path: Path) -> None:
    """As an operator does it, in interpreters."""
    stack = Stack(tmp_path)
    line = [sys.executable, "-m", "gateway", "try", str(TELCO)]
    with (tmp_path / "try.log").open("wb") as out:
        process = subprocess.Popen(
            line, cwd=tmp_path, env=stack.environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until(lambda: "RetainStream is ready" in stack.log("try"), "the services are started", 200, 0.2)
        account = re.search(r"as admin (\S+), password (\w+)$", stack.log("try"), re.M)
        assert account is not None
        credentials = dict(zip(("email", "password"), account.groups(), strict=True))
        answer = requests.post(f"{stack.url}/api/auth/login", json=credentials, timeout=30)
        assert answer.status_code == 200
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.poll() is None and os.killpg(process.pid, signal.SIGKILL)
    wait_until(lambda: is_free(stack.port) and is_free(stack.ml_port), "both ports are free", 10)
