"""The writer of an accepted import: what is staged becomes facts, in chunks, from where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from database.customers import customer_base, facts
from database.customers.customer_base import column_names, customers_table, snapshots_table
from database.engine.batch_sizing import AdaptiveBatchSize
from database.engine.session import Database
from database.importing import imports
from database.importing.apply_rows import ChunkStatements
from database.importing.chunks import change_by_rows
from database.importing.import_plan import Plan
from database.importing.import_writer import open_import, settle
from database.importing.imports import Pending
from database.importing.staging import Counts, Staging, open_staging
from database.jobs import jobs
from database.jobs.jobs import Lane
from database.tables import tables
from shared.errors import Conflict
from shared.schema.features import Schema, schema_from_dict
from tests.database.facts import NOW, clock

SCHEMA = schema_from_dict({"id": "id", "as_of": "day", "features": {"x": {"kind": "number"}}})
Row = tuple[str, str, float]
ROWS: Sequence[Row] = (
    ("a", "2026-02-01", 2.0), ("b", "2026-01-01", 1.0), ("c", "2026-02-01", 3.0), ("a", "2026-01-01", 0.0),
)  # fmt: skip


def staged(path: Path, rows: Sequence[Row] = ROWS) -> Staging:
    """Rows as a checked file leaves them."""
    staging = Staging(path / "staged.db", SCHEMA)
    staging.begin(())
    with staging.open() as open_rows:
        open_rows.add([list(range(2, len(rows) + 2)), *map(list, zip(*rows, strict=True))])
    return staging


def accept(database: Database, staging: Staging, schema: Schema = SCHEMA) -> Pending:
    """The same, compared and accepted."""
    staging.resolve(database, several=True)
    with database.write() as connection:
        customer_base.adopt(connection, schema, is_demo=False, clock=clock)
        jobs.create(connection, kind="import", params={}, now=NOW)
        job = jobs.claim(connection, lane=Lane(frozenset({"import"})), worker="w", now=NOW)
        assert job is not None
        plan = Plan(
            staging=str(staging.path), present=schema.as_dict(), given=schema.as_dict(), roles=[], several=True,
            corrects=False, lifetimes=False, absent_on=None, today=NOW[:10], now=NOW, file=None,
            result={"rows": len(ROWS), "file_name": "table.csv", "notes": []},
        )  # fmt: skip
        imports.begin(
            connection, job=job, plan=asdict(plan), rejected=0, file_name="table.csv", sha256="0", rows=len(ROWS),
            schema_checksum=schema.checksum(), as_of="2026-02-01", new=3, updated=0, now=NOW,
        )  # fmt: skip
        found = imports.pending(connection)
    assert found is not None
    return found


def written(database: Database) -> list[tuple[Any, ...]]:
    snap, c = snapshots_table(SCHEMA), tables.customers
    query = select(c.c.user_id, snap.c.as_of, snap.c.x).join_from(snap, c, c.c.id == snap.c.customer_id)
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(snap.c.id))]


def test_rows_are_written_by_their_dates_and_count_once_they_are_published(database: Database, tmp_path: Path) -> None:
    staging = staged(tmp_path)
    accepted = accept(database, staging)
    with open_import(database, accepted) as writer:
        writer.apply()
        with database.read() as connection:
            assert facts.last_date(connection) is None
        writer.publish()
    assert written(database) == [
        ("b", "2026-01-01", 1.0), ("a", "2026-01-01", 0.0), ("a", "2026-02-01", 2.0), ("c", "2026-02-01", 3.0)
    ]  # fmt: skip
    with database.read() as connection:
        assert facts.last_date(connection) == "2026-02-01"
        assert connection.execute(select(tables.customers.c.as_of).order_by(tables.customers.c.user_id)).scalars().all() == [
            "2026-02-01", "2026-01-01", "2026-02-01",
        ]  # fmt: skip
    assert staging.exists(), "until the figures are renewed"
    settle(database, accepted)
    assert not staging.exists()


def test_an_import_that_broke_off_goes_on_with_the_rows_that_are_missing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = accept(database, staged(tmp_path))
    real = ChunkStatements.apply

    def breaks(self: ChunkStatements, connection: Any, after: int, until: int) -> None:
        real(self, connection, after, until)
        if after:
            raise OSError("killed before its second chunk was committed")

    monkeypatch.setattr(ChunkStatements, "apply", breaks)
    with pytest.raises(OSError, match="killed"), open_import(database, accepted) as writer:
        writer.apply()
    assert len(written(database)) == 2
    monkeypatch.undo()
    with database.read() as connection:
        again = imports.pending(connection)
    assert again is not None
    assert again.written == 2
    with open_import(database, again) as writer:
        writer.apply()
        writer.publish()
    assert len(written(database)) == 4


def test_an_import_whose_staged_rows_are_gone_is_given_up_and_never_counts(database: Database, tmp_path: Path) -> None:
    staging = staged(tmp_path)
    accepted = accept(database, staging)
    staging.discard()
    with (
        pytest.raises(Conflict, match=r"\(table\.csv\) are missing.*import that file again"),
        open_import(database, accepted),
    ):
        raise AssertionError("there is nothing to write")
    with database.read() as connection:
        assert imports.pending(connection) is None
        assert connection.execute(select(func.count()).select_from(tables.customer_snapshots)).scalar_one() == 0


@pytest.mark.parametrize(("one_date", "ends"), [(True, [(0, 2), (2, 4)]), (False, [(0, 3), (3, 4)])])
def test_a_chunk_ends_with_its_date_where_customers_have_several(
    database: Database, tmp_path: Path, one_date: bool, ends: list[tuple[int, int]]
) -> None:
    staging = staged(tmp_path)
    staging.resolve(database, several=True)
    pace = AdaptiveBatchSize(first=3, fewest=3, most=3)
    chunks = change_by_rows(database, staging, pace, lambda _, after, until: (after, until), one_date=one_date)
    assert [chunk for _, chunk in chunks] == ends


def test_rows_are_compared_with_the_customers_there_are(database: Database, tmp_path: Path) -> None:
    with open_import(database, accept(database, staged(tmp_path))) as writer:
        writer.apply()
        writer.publish()
    again = staged(tmp_path, [("a", "2026-03-01", 2.0), ("b", "2026-03-01", 9.0), ("d", "2026-03-01", 1.0)])
    again.resolve(database, several=False)
    assert again.counts(database, SCHEMA) == Counts(rows=3, customers=3, new=1, updated=1, unchanged=1, disappeared=1)


def test_staged_rows_go_when_the_block_ends_unless_they_are_to_be_kept(tmp_path: Path) -> None:
    for keeps in (False, True):
        with open_staging(tmp_path / "staged.db", SCHEMA) as staging:
            staging.begin(())
            if keeps:
                staging.keep()
        assert staging.exists() == keeps


def test_features_may_have_any_name_that_a_statement_uses_itself(database: Database, tmp_path: Path) -> None:
    names = ("after", "until", "now", "today", "size", "n", "rows", "staged", "told on", "order", "50% off")
    schema = schema_from_dict({"id": "id", "features": {name: {"kind": "number"} for name in names}})
    staging = Staging(tmp_path / "staged.db", schema)
    staging.begin(())
    with staging.open() as rows:
        rows.add([[2], ["a"], ["2026-01-01"], *([float(at)] for at in range(len(names)))])
    with open_import(database, accept(database, staging, schema)) as writer:
        writer.apply()
        writer.publish()
    wide, snap = customers_table(schema), snapshots_table(schema)
    with database.read() as connection:
        for table in (wide, snap):
            columns = [table.c[name] for name in column_names(schema).values()]
            assert tuple(connection.execute(select(*columns)).one()) == tuple(map(float, range(len(names))))
