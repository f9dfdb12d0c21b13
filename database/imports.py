"""What was imported, so that the same file twice changes nothing.

Law: a file is known by its bytes, its schema and its date.
"""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from database.tables import imports


def seen(connection: Connection, *, sha256: str, schema_checksum: str, as_of: str | None) -> bool:
    """Whether exactly this was imported before."""
    query = select(imports.c.id).where(
        imports.c.sha256 == sha256, imports.c.schema_checksum == schema_checksum, imports.c.as_of == as_of
    )
    return connection.execute(query.limit(1)).one_or_none() is not None


def record(
    connection: Connection,
    *,
    file_name: str,
    sha256: str,
    schema_checksum: str,
    as_of: str | None,
    rows: int,
    new: int,
    updated: int,
    now: str,
) -> int:
    """Note an import and return its id."""
    return connection.execute(
        insert(imports)
        .values(
            file_name=file_name,
            sha256=sha256,
            schema_checksum=schema_checksum,
            as_of=as_of,
            rows=rows,
            customers_new=new,
            customers_updated=updated,
            created_at=now,
        )
        .returning(imports.c.id)
    ).scalar_one()
