"""Copies the customers of a database, with all that is stored of them, until there are as many as asked for.

Law: a copy has the facts, lifetimes, scores and outcomes of its original, in the order in which the product stores them;
what is counted is multiplied, so that every roll-up is that of the larger base. The services are not running.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

#: Tables with a row per customer, the column of the customer, and the columns of which the product writes one value after
#: the other: those rows are copied together, so that they lie in the file as they would.
OF_CUSTOMERS = {
    "customers": ("id", None),
    "customer_snapshots": ("customer_id", "import_id"),
    "subscriptions": ("customer_id", None),
    "ledger": ("customer_id", "run_id"),
    "present_ranks": ("customer_id", None),
    "present_changes": ("customer_id", None),
    "outcomes": ("customer_id", "run_id"),
    "past_prices": ("customer_id", None),
}
#: Imports whose facts are copied: the newest ones.
IMPORTS = 2
#: Columns that count customers or add up what they have.
COUNTED = {
    "scoring_runs": ("customers", "older_facts"),
    "score_bins": ("customers", "probability_sum", "revenue_at_risk", "unpriced"),
    "population_history": ("active_at_start", "left"),
    "group_churn": ("customers", "left"),
    "cohort_months": ("size", "active"),
    "outcome_bins": ("customers", "leavers", "probability_sum"),
    "imports": ("rows", "customers_new", "customers_updated"),
    "mrr_months": (
        "customers", "revenue", "new_customers", "new", "returned_customers", "returned", "churned_customers", "churned",
        "expanded_customers", "expansion", "contracted_customers", "contraction",
    ),
}  # fmt: skip


def multiply(path: Path, customers: int) -> int:
    """Copy everybody until there are at least so many customers; return how many of each there are."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for pragma in (
            "foreign_keys=OFF",
            "synchronous=OFF",
            "journal_mode=MEMORY",
            "cache_size=-400000",
            "temp_store=MEMORY",
        ):
            raw.execute(f"PRAGMA {pragma}")
        here, step = raw.execute("SELECT count(*), max(id) FROM customers").fetchone()
        times = -(-customers // here)
        raw.execute("BEGIN")
        _numbers(raw, times)
        made_again = list(_without_indexes(raw))
        for table in OF_CUSTOMERS:
            _copy(raw, table, step)
        for statement in made_again:
            raw.execute(statement)
        for table, columns in COUNTED.items():
            raw.execute(f"UPDATE {table} SET " + ", ".join(f'"{name}" = "{name}" * {times}' for name in columns))
        raw.execute(f"UPDATE scoring_runs SET ids_after = (id - 1) * {step * times}, ids_until = id * {step * times}")
        raw.execute("UPDATE present_state SET version = version + 1")
        raw.execute("COMMIT")
        raw.execute("PRAGMA journal_mode=WAL")
    return times


def _numbers(raw: sqlite3.Connection, times: int) -> None:
    raw.execute("CREATE TEMP TABLE numbers (k INTEGER PRIMARY KEY)")
    raw.executemany("INSERT INTO numbers VALUES (?)", [(k,) for k in range(1, times)])


def _without_indexes(raw: sqlite3.Connection) -> Iterator[str]:
    """Drop the indexes and triggers of the copied tables; yield the statements that make them again."""
    marks = ", ".join("?" * len(OF_CUSTOMERS))
    query = f"SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL AND tbl_name IN ({marks})"
    for kind, name, sql in raw.execute(query, tuple(OF_CUSTOMERS)).fetchall():
        raw.execute(f"DROP {kind} {name}")
        yield sql


def _copy(raw: sqlite3.Connection, table: str, step: int) -> None:
    column, part = OF_CUSTOMERS[table]
    values = {}
    for _, name, *_ in raw.execute(f"PRAGMA table_info({table})").fetchall():
        if name == column:
            values[name] = f"{name} + k * {step}"
        elif table == "customers" and name in ("user_id", "email"):
            values[name] = f"'c' || printf('%03d', k) || '_' || {name}"
        elif name != "id":
            values[name] = f'"{name}"'
    names, given = ", ".join(f'"{name}"' for name in values), ", ".join(values.values())
    parts = raw.execute(f"SELECT DISTINCT {part} FROM {table} ORDER BY {part}").fetchall() if part else [(None,)]
    order = " ORDER BY churn_probability DESC, k, customer_id" if table == "present_ranks" else ""
    for (each,) in parts[-IMPORTS:] if part == "import_id" else parts:
        where = f"WHERE {part} = {each}" if part else ""
        raw.execute(f"CREATE TEMP TABLE one AS SELECT * FROM {table} {where}")
        raw.execute(f"INSERT INTO {table} ({names}) SELECT {given} FROM numbers CROSS JOIN one{order}")
        raw.execute("DROP TABLE one")
