"""Read a CSV with pyarrow and insert its rows with executemany: what bringing customers in costs at the very least.

Law: nothing is checked, nothing is staged; the same rows as an import writes, in chunks of one transaction each.

python bare_insert.py DATABASE FILE DAY FEATURE=COLUMN ...
"""

from __future__ import annotations

import sqlite3
import sys

import pyarrow.csv as pc

ROWS = 5_000


def main() -> None:
    path, file, day, *named = sys.argv[1:]
    features = dict(pair.split("=", 1) for pair in named)
    table = pc.read_csv(file)
    ids = range(1, table.num_rows + 1)
    values = [table.column(feature).to_pylist() for feature in features]
    prices, users = table.column("monthly_price").to_pylist(), table.column("user_id").to_pylist()
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "cache_size=-65536"):
        raw.execute(f"PRAGMA {pragma}")
    raw.execute(
        "INSERT INTO imports (id, file_name, sha256, schema_checksum, rows, customers_new, customers_updated, created_at)"
        " VALUES (1, 'bare', '0', '0', 0, 0, 0, ?)", (day,))  # fmt: skip
    columns = ", ".join(features.values())
    marks = ", ".join("?" for _ in features)
    customers = (
        f"INSERT INTO customers (id, user_id, monthly_price, churn, as_of, created_at, updated_at, {columns}) "
        f"VALUES (?, ?, ?, 0, '{day}', '{day}', '{day}', {marks})"
    )
    snapshots = (
        f"INSERT INTO customer_snapshots (customer_id, as_of, known_at, import_id, {columns}) "
        f"VALUES (?, '{day}', '{day}', 1, {marks})"
    )
    for at in range(0, table.num_rows, ROWS):
        here = slice(at, at + ROWS)
        part = [column[here] for column in values]
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(customers, zip(ids[here], users[here], prices[here], *part, strict=True))
        raw.executemany(snapshots, zip(ids[here], *part, strict=True))
        raw.execute("COMMIT")
    raw.close()


if __name__ == "__main__":
    main()
