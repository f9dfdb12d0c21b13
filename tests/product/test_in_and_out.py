"""One's own tables go in, are scored and come out again, by REST and by command, and nothing is lost on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests import journey
from tests.journey import Came
from tests.stack import ROOT, Stack

DATA = Path(os.environ.get("RETAINSTREAM_DATA", ROOT.parent / "shared" / "data"))
AS_OF = "2026-09-01"
ONE_GROUP = pytest.mark.xdist_group("in_and_out")


@dataclass(frozen=True)
class Table:
    """A table, its schema, and the counts that are known of it."""

    path: Path
    schema: str
    rows: int
    leavers: int
    id_name: str | None
    ignored: frozenset[str] = frozenset()

    def ids(self) -> list[str]:
        """Ids in the file's order; the row number where the table has none."""
        if self.id_name is None:
            return [str(number) for number in range(1, self.rows + 1)]
        return [text.strip() for text in journey.read_csv(self.path).column(self.id_name).to_pylist()]


TABLES = {
    "example": Table(ROOT / "examples" / "customers.csv", "retainstream", 1000, 50, "user_id"),
    "telco": Table(DATA / "telco" / "telco.csv", str(ROOT / "examples" / "telco.toml"), 7043, 1869, "customerID"),
    "iranian": Table(
        DATA / "iranian" / "iranian.csv", str(ROOT / "examples" / "iranian.toml"), 3150, 495, None, frozenset({"Age"})
    ),
}


@dataclass(frozen=True)
class Doors:
    """The same table by REST and by command."""

    table: Table
    rest: Came
    command: Came
    predictions: int


#: Each trains twice; the search for the Iranian table alone takes most of a minute.
PARAMS = ["example", *(pytest.param(name, marks=pytest.mark.slow) for name in ("telco", "iranian"))]


@pytest.fixture(scope="module", params=PARAMS)
def doors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    table = TABLES[request.param]
    if not table.path.exists():
        pytest.skip(f"RETAINSTREAM_DATA holds no {table.path.parent.name}/{table.path.name}")
    folder = tmp_path_factory.mktemp(request.param)
    stack, other = Stack(folder / "rest", {"DEMO": "0"}), Stack(folder / "cli", {"DEMO": "0"})
    try:
        stack.start()
        told = journey.by_rest(stack, table.path, schema=table.schema, as_of=AS_OF)
        trained = stack.person("analyst").post("/api/model/train", {})
        assert trained.status_code == 200, trained.text
        ran = journey.scored_by_rest(stack)
        rest = journey.out_by_rest(stack, told, folder)
        stack.stop()
        other.start("ml")
        told = journey.by_command(other, table.path, schema=table.schema, as_of=AS_OF)
        journey.said(other, "train")
        journey.said(other, "score")
        command = journey.out_by_command(other, told, folder)
        yield Doors(table, rest, command, ran["predictions_generated"])
    finally:
        stack.stop()
        other.stop()


@ONE_GROUP
def test_every_row_comes_out_as_it_went_in_by_both_doors(doors: Doors) -> None:
    table = doors.table
    source = journey.read_csv(table.path)
    for came in (doors.rest, doors.command):
        journey.check_whole(came, source, table.ids(), table.id_name or "user_id", table.ignored)


@ONE_GROUP
def test_both_doors_say_the_same_of_the_import_and_write_the_same_scores(doors: Doors) -> None:
    numbers = [name for name, value in doors.rest.imported.items() if type(value) is int]
    assert {n: doors.rest.imported[n] for n in numbers if not n.endswith("_ms")} == {
        n: doors.command.imported[n] for n in numbers if not n.endswith("_ms")
    }
    journey.check_same(doors.rest.customers, doors.command.customers)
    journey.check_same(doors.rest.ledger, doors.command.ledger)


@ONE_GROUP
def test_who_is_active_is_scored_and_nobody_else(doors: Doors) -> None:
    stay = doors.table.rows - doors.table.leavers
    assert doors.predictions == stay
    out, ledger = doors.rest.everybody(), journey.read_csv(doors.rest.ledger)
    assert ledger.num_rows == stay
    probabilities = journey.as_numbers(out.column("churn_probability"))
    assert probabilities is not None
    scored = out.filter(pc.is_valid(probabilities))
    id_name = doors.table.id_name or "user_id"
    assert scored.column(id_name).to_pylist() == ledger.column("customer_id").to_pylist()
    assert _rounded(scored) == _rounded(ledger)
    assert 0 < pc.mean(probabilities).as_py() < 0.5


def _rounded(table: pa.Table) -> list[float]:
    numbers = journey.as_numbers(table.column("churn_probability"))
    assert numbers is not None
    return pc.round(numbers, 12).to_pylist()
