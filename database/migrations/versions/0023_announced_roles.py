"""The day on which a contract ends; features that were found by their names say so in the schema now.

The announced ends knew auto-renew and the end of a contract by the names of features. A schema names them from now on;
those of bases that were imported before get the roles of the features that were found.
"""

from __future__ import annotations

import json
from typing import Any

from alembic import op
from sqlalchemy import select, update

from database.engine.alter_table import add_missing_columns
from database.tables import tables
from shared.schema.features import snake

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

#: Names, in snake case, of features that say it, the first that a base has; and the unit that a name says.
AUTO_RENEW = ("auto_renew", "is_auto_renew", "autorenew", "auto_renewal")
CONTRACT_END = {
    "days_to_contract_end": "days", "contract_days_left": "days", "days_to_renewal": "days",
    "days_until_expiry": "days", "months_to_contract_end": "months", "contract_months_left": "months",
}  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    add_missing_columns(connection, tables.customers)
    for table, key in ((tables.base, tables.base.c.id), (tables.schema_versions, tables.schema_versions.c.checksum)):
        for name, text in connection.execute(select(key, table.c.schema_json)).all():
            told = json.dumps(_with_roles(json.loads(text)))
            connection.execute(update(table).where(key == name).values(schema_json=told))


def _with_roles(schema: dict[str, Any]) -> dict[str, Any]:
    features = schema.get("features", {})
    known = {snake(name): name for name in reversed(features)}
    roles = dict(schema.get("subscription", {}))
    renews = next((known[name] for name in AUTO_RENEW if name in known), None)
    if renews is not None:
        roles.setdefault("auto_renew", renews)
    end = next((name for name in CONTRACT_END if name in known), None)
    if end is not None and features[known[end]]["kind"] == "number":
        features[known[end]]["unit"] = CONTRACT_END[end]
        roles.setdefault("contract_end", known[end])
    return {**schema, "subscription": roles} if roles else schema


def downgrade() -> None:
    raise NotImplementedError("A backup restores the earlier database.")
