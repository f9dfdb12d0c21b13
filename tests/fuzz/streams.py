"""Arrow streams for the fuzzer to alter: a few of the demo's customers, to score and to train on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from shared.contracts import arrow
from tests.ml_service.conftest import as_stream, make_undated
from tests.stack import Stack


def keep_streams(folder: Path, stack: Stack) -> None:
    """Write what the gateway would send of three customers, and a table to train on."""
    folder.mkdir()
    columns = ("watch_time_hours", "subscription_age_months", "device_count", "last_login_days", "payment_failures")
    found = stack.rows(f"SELECT {', '.join(columns)}, tenure_months, plan FROM customers LIMIT 3")
    rows = [{"row_key": number, **dict(row)} for number, row in enumerate(found)]
    table = pa.Table.from_pylist(rows)
    (folder / "rows").write_bytes(arrow.encode(table.schema, table.to_batches()))
    (folder / "table").write_bytes(as_stream(make_undated(rows=200)))
