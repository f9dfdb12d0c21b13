"""The metadata that all tables belong to, and columns that many of them share.

Law: constraints and indexes are named by one convention, so that migrations can name them.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, MetaData

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def id_column() -> Column[int]:
    """Return a table's primary key column."""
    return Column("id", Integer, primary_key=True)


def reference(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    """Return a column that refers to another table's key."""
    return Column(name, Integer, ForeignKey(target), nullable=nullable)
