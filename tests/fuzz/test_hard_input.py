"""Files made to hurt, and disks that fill: a clear answer, nothing half written, and the next import works.

The smaller mistakes (encodings, NUL bytes, two headers, mixed line ends) are in tests/gateway/importing/test_imports.py.
"""

from __future__ import annotations

import csv
import http.client
import io
import subprocess
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from shared.tables.open import MAX_RAGGED
from tests.load.million import forget_peaks, peak_mb
from tests.shapes import is_failure
from tests.stack import ROOT, Api, Stack, serving, wait_until

pytestmark = pytest.mark.xdist_group("hard_input")
CUSTOMERS = ROOT / "examples" / "customers.csv"
HEADER = CUSTOMERS.read_text().splitlines()[0]
IMPORT = "/api/customers/import"
GIGABYTE = 1024**3
MEGABYTE = 1024**2
#: Memory that a refused upload may add to a process: blocks on their way, a batch of rows, no file.
MORE_MB = 200


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("hard")
    (folder / "tmp").mkdir()
    stack = Stack(folder, {"DEMO": "0", "MAX_UPLOAD_MB": "24", "TMPDIR": str(folder / "tmp")})
    yield serving(stack)
    stack.stop()


@pytest.fixture
def stack(installed: Stack) -> Iterator[Stack]:
    """The installation; whatever a test sends, afterwards nothing of it lies about and an import works."""
    for process in installed.running.values():
        forget_peaks(process.pid)
    before = {name: peak_mb(process.pid) for name, process in installed.running.items()}
    yield installed
    for name, process in installed.running.items():
        assert peak_mb(process.pid) < before[name] + MORE_MB, name
    check_clean(installed)
    check_works(installed)


def check_clean(stack: Stack) -> None:
    """Fail if anything of an import that was refused is left, but for the rows to put right."""
    spool, temporary = stack.database_path.parent / "spool", stack.folder / "tmp"
    # The worker removes files once the job's end is written, which is what the answer waits for.
    wait_until(
        lambda: all(path.name.startswith("rejects-") for path in spool.glob("*")) and not list(temporary.glob("*")),
        "nothing is left of what was sent",
        10,
    )
    assert stack.value("SELECT count(*) FROM imports WHERE state <> 'published'") == 0


_named = iter(range(10_000))


def check_works(stack: Stack) -> None:
    """Fail unless a file of one new customer goes in."""
    name = f"fine_{next(_named)}"
    told = sent(stack, table(line(name)))
    assert told.status_code == 200, told.text
    assert stack.value("SELECT count(*) FROM customers WHERE user_id = ?", name) == 1


def line(name: str) -> str:
    return f"{name},{name}@example.com,Standard,12.5,3,2,3,0,4,7.99,0"


def table(*lines: str) -> bytes:
    return ("\n".join((HEADER, *lines)) + "\n").encode()


def sent(stack: Stack, content: bytes, path: str = IMPORT, **fields: str) -> requests.Response:
    files = {"file": ("table.csv", io.BytesIO(content))}
    fields = {"schema": "retainstream", **fields} if path == IMPORT else fields
    return stack.person("analyst").ask("POST", path, files=files, data=fields)


def by_command(stack: Stack, content: bytes) -> str:
    """The message of `retainstream import` for a file that it refuses."""
    file = stack.folder / "refused.bin"
    file.write_bytes(content)
    done = stack.command("import", str(file), "--schema", "retainstream")
    file.unlink()
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


# --- a gigabyte -----------------------------------------------------------------------------------------------------


HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="big.csv"\r\n\r\n'
TAIL = b'\r\n--edge\r\nContent-Disposition: form-data; name="schema"\r\n\r\nretainstream\r\n--edge--\r\n'


def zeros() -> Iterator[bytes]:
    """A gigabyte of nothing."""
    for _ in range(1024):
        yield bytes(MEGABYTE)


def long_lines() -> Iterator[bytes]:
    """A gigabyte that is a table: 1,024 blocks of 100 customers, each with ten kilobytes in a column that nobody needs."""
    notes = "n" * 10_400
    first = f"{HEADER},notes\n"
    for block in range(1024):
        text = first + "".join(f"{line(f'long_{block}_{k}')},{notes}\n" for k in range(100))
        yield text.encode().ljust(MEGABYTE, b"\n")
        first = ""


def ask_with_a_gigabyte(
    api: Api, *, announced: bool, file: Callable[[], Iterator[bytes]] = zeros
) -> tuple[int, bytes, int]:
    """Send as much of a gigabyte as is taken; the status, the answer, and the bytes that were taken."""
    where = api.url.removeprefix("http://")
    connection = http.client.HTTPConnection(where, timeout=300)
    connection.putrequest("POST", IMPORT)
    connection.putheader("Authorization", f"Bearer {api.token}")
    connection.putheader("Content-Type", "multipart/form-data; boundary=edge")
    connection.putheader(
        *(("Content-Length", str(GIGABYTE + len(HEAD) + len(TAIL))) if announced else ("Transfer-Encoding", "chunked"))
    )
    connection.endheaders()
    taken = 0
    try:
        for block in chain([HEAD], file(), [TAIL]):
            connection.send(block if announced else b"%x\r\n%s\r\n" % (len(block), block))
            taken += len(block)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the answer is there before the body is
    try:
        answer = connection.getresponse()
        return answer.status, answer.read(), taken
    finally:
        connection.close()


@pytest.mark.parametrize("announced", [True, False], ids=["with its length", "in chunks of no known length"])
def test_a_gigabyte_is_413_and_costs_neither_memory_nor_disk(stack: Stack, announced: bool) -> None:
    api = stack.person("analyst")
    status, body, taken = ask_with_a_gigabyte(api, announced=announced)
    assert status == 413, body[:300]
    assert b'"too_large"' in body
    assert taken < 100 * MEGABYTE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gigabyte_that_is_allowed_is_read_in_bounded_memory(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    stack = Stack(tmp_path, {"DEMO": "0", "MAX_UPLOAD_MB": "1100", "TMPDIR": str(tmp_path / "tmp")})
    try:
        serving(stack)
        api = stack.person("analyst")
        for process in stack.running.values():
            forget_peaks(process.pid)
        status, body, taken = ask_with_a_gigabyte(api, announced=True)
        assert (status, taken > GIGABYTE) == (422, True)
        assert b"NUL" in body
        status, body, taken = ask_with_a_gigabyte(api, announced=True, file=long_lines)
        assert (status, taken > GIGABYTE) == (200, True), body
        assert stack.value("SELECT count(*) FROM customers") == 102_400
        assert all(peak_mb(process.pid) < 512 for process in stack.running.values())
        check_clean(stack)
        check_works(stack)
    finally:
        stack.stop()


# --- much in little -------------------------------------------------------------------------------------------------


def repeated_rows() -> pa.Table:
    """Eleven million rows of the same, a few kilobytes."""
    return pa.table({"user_id": pa.array(np.zeros(11_000_000, dtype="int8"))})


def long_text() -> pa.Table:
    """A word of ten million letters, stored once and meant a hundred thousand times."""
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, dtype="int32")), pa.array(["x" * 10_000_000]))
    names = HEADER.split(",")
    return pa.table({name: word if name == "plan" else pa.array(np.arange(100_000)) for name in names})


def one_page() -> pa.Table:
    """300 MB of the same letter in one page."""
    return pa.table({"user_id": pa.array(np.arange(3000)), "plan": pa.array(["y" * 100_000] * 3000)})


BOMBS: dict[str, tuple[Callable[[], pa.Table], str]] = {
    "rows": (repeated_rows, "more than 10,000,000 rows"),
    "text": (long_text, "unpacks to more than 256 MB"),
    "page": (one_page, "unpack to more than 256 MB"),
}


@pytest.fixture(scope="module", params=list(BOMBS))
def bomb(request: pytest.FixtureRequest) -> tuple[bytes, str]:
    make, says = BOMBS[request.param]
    out = io.BytesIO()
    pages = {"use_dictionary": False, "data_page_size": 2**30} if request.param == "page" else {}
    pq.write_table(make(), out, compression="zstd", row_group_size=20_000_000, **pages)
    assert len(out.getvalue()) < 4 * MEGABYTE
    return out.getvalue(), says


@pytest.mark.parametrize("path", [IMPORT, f"{IMPORT}/preview", f"{IMPORT}/schema"])
def test_a_parquet_bomb_does_not_go_off(stack: Stack, bomb: tuple[bytes, str], path: str) -> None:
    content, says = bomb
    assert says in is_failure(sent(stack, content, path), 422, "invalid_table")["message"]


def test_a_parquet_bomb_does_not_go_off_in_a_command(stack: Stack, bomb: tuple[bytes, str]) -> None:
    content, says = bomb
    assert says in by_command(stack, content)


@pytest.mark.parametrize("begin", [b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_packed_files_are_not_unpacked(stack: Stack, begin: bytes) -> None:
    content = begin + bytes(MEGABYTE)
    assert is_failure(sent(stack, content), 422, "invalid_table")
    by_command(stack, content)


def test_a_body_that_says_it_is_packed_is_not_unpacked(stack: Stack) -> None:
    files = {"file": ("table.csv", io.BytesIO(b"\x1f\x8b\x08" + bytes(1000)))}
    how: dict[str, Any] = {"files": files, "data": {"schema": "retainstream"}, "headers": {"Content-Encoding": "gzip"}}
    assert stack.person("analyst").ask("POST", IMPORT, **how).status_code in (415, 422)


# --- too much of the same mistake -----------------------------------------------------------------------------------


def test_a_file_of_lines_of_another_width_is_refused_as_a_whole(stack: Stack) -> None:
    content = table(line("a"), *["a,b"] * (MAX_RAGGED + 1))
    for options in ({}, {"keep_good": "true"}):
        said = is_failure(sent(stack, content, **options), 422, "invalid_table")
        assert "another number of cells" in said["message"]


def test_the_same_id_in_every_line_is_told_line_by_line_up_to_a_limit(stack: Stack) -> None:
    said = is_failure(sent(stack, table(*[line("again")] * 20_000)), 422, "invalid_table")
    assert "19,999 of 20,000 rows" in said["message"]
    assert "already" in said["message"]
    said = is_failure(sent(stack, table(*[line("a")] * 350_000)), 422, "invalid_table")
    assert "is it the id" in said["message"]


def test_a_cell_of_a_megabyte_is_refused_and_one_of_many_too(stack: Stack) -> None:
    for size in (MEGABYTE, 10 * MEGABYTE):
        is_failure(sent(stack, table(line("long").replace("Standard", "x" * size))), 422, "invalid_table")


def test_a_schema_of_ten_thousand_columns_is_refused_in_a_sentence(stack: Stack) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["who", *(f"c{k}" for k in range(10_000))])
    for row in range(20):
        writer.writerow([f"u{row}", *((row * (k + 3)) % 17 + row for k in range(10_000))])
    content = out.getvalue().encode()
    said = is_failure(sent(stack, content, f"{IMPORT}/schema"), 422, "invalid_table")["message"]
    assert "10,001 columns" in said
    schema = 'id = "who"\n' + "".join(f'[features.c{k}]\nkind = "number"\n' for k in range(10_000))
    said = is_failure(sent(stack, content, schema=schema), 422, "invalid_schema")["message"]
    assert "at most 500" in said


# --- a disk that fills ----------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 120 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=120m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no small disk can be made here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, but_mb: float) -> Path:
    """Leave so much of a disk free."""
    stuff = disk / "stuff"
    free = int(
        subprocess.run(
            ["df", "--output=avail", "-B1", disk], capture_output=True, text=True, check=True
        ).stdout.split()[1]
    )
    with stuff.open("wb") as file:
        file.write(bytes(max(free - int(but_mb * MEGABYTE), 0)))
    return stuff


#: 1.5 MB: 25,000 customers need more than ten, and 60,000 more than thirty.
MANY, MORE = (table(*(line(f"usr_{k:06}") for k in range(count))) for count in (25_000, 60_000))


class OnSmallDisk(Stack):
    """An installation whose database stands on a disk of its own."""

    @property
    def database_path(self) -> Path:
        return self.folder / "disk" / "retainstream.db"


SLOW = pytest.mark.slow


@pytest.mark.parametrize("free_mb", [pytest.param(1, marks=SLOW), 6, pytest.param(30, marks=SLOW)])
def test_a_full_database_disk_is_said_and_once_there_is_room_the_same_import_works(
    small_disk: Path, tmp_path: Path, free_mb: int
) -> None:
    stack, content = OnSmallDisk(tmp_path, {"DEMO": "0"}), MORE if free_mb > 10 else MANY
    try:
        serving(stack)
        assert sent(stack, table(line("first"))).status_code == 200
        stuff = fill(small_disk, free_mb)
        said = is_failure(sent(stack, content), 503, "disk_full")["message"]
        assert "disk" in said.lower(), said
        assert stack.value("SELECT count(*) FROM customers") == 1
        assert (small_disk / "spool").is_dir()
        # The worker removes the file once the job's end is written, which is what the answer waits for.
        wait_until(lambda: not list((small_disk / "spool").iterdir()), "the upload is removed", 10)
        stuff.unlink()
        subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
        again = sent(stack, content)
        assert again.status_code == 200, again.text
        assert stack.value("SELECT count(*) FROM customers") == len(content.splitlines())  # the header, for the first
    finally:
        stack.stop()


@pytest.mark.parametrize("free_mb", [1, pytest.param(30, marks=SLOW)])
def test_a_full_database_disk_is_said_by_the_command(small_disk: Path, tmp_path: Path, free_mb: int) -> None:
    stack = OnSmallDisk(tmp_path, {"DEMO": "0"})
    (tmp_path / "one.csv").write_bytes(table(line("first")))
    (tmp_path / "many.csv").write_bytes(MORE if free_mb > 10 else MANY)
    assert stack.command("import", "one.csv", "--schema", "retainstream").returncode == 0
    fill(small_disk, free_mb)
    done = stack.command("import", "many.csv", "--schema", "retainstream")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "disk" in done.stderr.lower()
    assert stack.value("SELECT count(*) FROM customers") == 1


def test_a_full_disk_of_temporary_files_keeps_no_import_out(small_disk: Path, tmp_path: Path) -> None:
    stack = Stack(tmp_path, {"DEMO": "0", "TMPDIR": str(small_disk)})
    try:
        serving(stack)
        fill(small_disk, 1)
        assert sent(stack, MANY).status_code == 200
    finally:
        stack.stop()
