"""Short ways to put facts, models and scoring runs into a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from database.customers import customer_base, maturity
from database.customers.customer_base import column_names, snapshots_table
from database.engine.session import Database
from database.models import models
from database.scoring import runs
from database.tables import tables
from shared.schema.features import Schema, schema_from_dict
from tests.database import ledger
from tests.database.ledger import a_score

NOW = "2026-06-30T12:00:00.000Z"


def clock() -> datetime:
    """The day on which these tests happen."""
    return datetime(2026, 6, 30, 12, tzinfo=UTC)


def plain_schema(*names: str, **more: Any) -> Schema:
    """A schema whose features are all numbers."""
    return schema_from_dict({"features": {name: {"kind": "number"} for name in names or ("x",)}, **more})


class Facts:
    """Customers, subscriptions and snapshots, written row by row."""

    def __init__(self, database: Database, schema: Schema) -> None:
        self.database, self.schema = database, schema
        with database.write() as connection:
            customer_base.adopt(connection, schema, is_demo=False, clock=clock)
            self.import_id = connection.execute(
                insert(tables.imports)
                .values(
                    file_name="facts", sha256="0", schema_checksum=schema.checksum(), rows=0,
                    customers_new=0, customers_updated=0, created_at=NOW,
                )
                .returning(tables.imports.c.id)
            ).scalar_one()  # fmt: skip

    def customer(self, name: str, *, churn: int = 0, ends_on: str | None = None, price: float | None = None) -> int:
        """A customer; the key."""
        with self.database.write() as connection:
            known = connection.execute(select(tables.customers.c.id).where(tables.customers.c.user_id == name))
            found = known.scalar_one_or_none()
            if found is not None:
                return int(found)
            row = {"user_id": name, "churn": churn, "ends_on": ends_on, "monthly_price": price, "as_of": "2026-06-30"}
            query = insert(tables.customers).values({**row, "created_at": NOW, "updated_at": NOW})
            return connection.execute(query.returning(tables.customers.c.id)).scalar_one()

    def people(self, count: int) -> list[int]:
        """Add a number of customers u0000, u0001 .. and return their keys."""
        c = tables.customers
        same = {"churn": 0, "as_of": "2026-06-30", "created_at": NOW, "updated_at": NOW}
        with self.database.write() as connection:
            if count:
                connection.execute(insert(c), [{"user_id": f"u{number:04}", **same} for number in range(count)])
            return list(connection.execute(select(c.c.id).order_by(c.c.user_id)).scalars())

    def subscribe(
        self, name: str, start: str, end: str | None = None, *, cancelled: str | None = None, price: float = 9.0
    ) -> int:
        """A lifetime of a customer; the customer's key."""
        key = self.customer(name)
        row = {"customer_id": key, "started_at": start, "ended_at": end, "cancelled_at": cancelled}
        with self.database.write() as connection:
            connection.execute(insert(tables.subscriptions).values({**row, "monthly_price": price, "known_at": NOW}))
        return key

    def snapshot(
        self,
        name: str,
        as_of: str,
        values: Sequence[Any] = (1.0,),
        *,
        known: str | None = None,
        label: int | None = None,
    ) -> None:
        """Facts of a customer at a date; further ones of the same date are a correction."""
        key = self.customer(name)
        columns = dict(zip(column_names(self.schema).values(), values, strict=True))
        row = {"customer_id": key, "as_of": as_of, "known_at": known or as_of, "import_id": self.import_id}
        with self.database.write() as connection:
            if known is not None:
                row["import_id"] = connection.execute(
                    insert(tables.imports)
                    .values(
                        file_name="correction", sha256=known, schema_checksum="", rows=1, customers_new=0,
                        customers_updated=1, created_at=NOW,
                    )
                    .returning(tables.imports.c.id)
                ).scalar_one()  # fmt: skip
            connection.execute(insert(snapshots_table(self.schema)).values({**row, "label": label, **columns}))

    def known(self, day: str, source: maturity.Source = "told") -> None:
        """All ends up to a day are known."""
        with self.database.write() as connection:
            maturity.tell(connection, day, source, NOW)

    def model(self, version: str = "1.0.0", *, live: bool = True, checksum: str | None = None) -> int:
        """A whole, trained model; its key."""
        with self.database.write() as connection:
            values = {"version": version, "state": "ready", "schema_checksum": checksum or self.schema.checksum()}
            key = connection.execute(
                insert(tables.models)
                .values({**values, "trained_on": "2026-01-01", "created_at": NOW, "report_json": "{}"})
                .returning(tables.models.c.id)
            ).scalar_one()
            if live:
                models.promote(connection, key, reason="test", live_from=NOW)
        return key


def full_run(
    database: Database,
    model_id: int,
    scores: dict[int, float],
    *,
    prices: dict[int, float | None] | None = None,
    as_of: str = "2026-06-30",
    publish: bool = True,
    kind: runs.Kind = "full",
) -> int:
    """A scoring run as the worker makes one; its key."""
    ids, values = list(scores), list(scores.values())
    with database.write() as connection:
        run_id = runs.start(connection, kind=kind, model_id=model_id, as_of=as_of, job_id=None, now=NOW)
        paid = [prices.get(i) if prices else None for i in ids]
        ledger.append(connection, run_id, ids, [a_score(p) for p in values], paid, ranked=kind == "full")
        if publish:
            measured = runs.measure_bins(connection, run_id, shown=kind == "full")
            runs.store_bins(connection, run_id, measured)
            average = sum(values) / len(values) if values else None
            state = "published" if kind == "full" else "done"
            runs.finish(connection, run_id, state=state, customers=len(ids), average=average, now=NOW)
            if kind == "full":
                runs.publish(connection, run_id, NOW)
    return run_id
