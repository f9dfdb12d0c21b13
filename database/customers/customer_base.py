"""The one customer base of this database: its schema, and the feature columns made from it.

Law: a base has one schema. Its features are typed columns of `customers` (present state) and
`customer_snapshots` (dated facts), named by `column_names`; no other module adds or drops columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Column, Connection, Float, Integer, MetaData, Table, Text, delete, insert, select, update

from database.engine import kept_figures
from database.engine.alter_table import add_missing_columns, drop_column
from database.tables import tables
from shared.clock import Clock, iso
from shared.errors import NoCustomers, SchemaMismatch
from shared.schema.changes import Change, changes, edited
from shared.schema.features import Feature, Schema, schema_from_dict, snake

#: Fixed columns of `customers` that a feature of the same name and kind fills, instead of its own column.
SHARED_COLUMNS = {"plan": "category", "tenure_months": "number"}


@dataclass(frozen=True)
class Base:
    """The customer base of this database."""

    schema: Schema
    checksum: str
    is_demo: bool
    is_ready: bool

    @property
    def name(self) -> str:
        return self.schema.name or "customers"


def get(connection: Connection) -> Base | None:
    """Return the base, or None if the database is empty."""
    row = connection.execute(select(tables.base)).one_or_none()
    if row is None:
        return None
    return Base(
        schema=schema_of_text(row.schema_json),
        checksum=row.schema_checksum,
        is_demo=bool(row.is_demo),
        is_ready=row.state == "ready",
    )


@lru_cache(maxsize=8)
def schema_of_text(text: str) -> Schema:
    """Parse a schema as the database stores it."""
    return schema_from_dict(json.loads(text))


@lru_cache(maxsize=8)
def column_names(schema: Schema) -> Mapping[str, str]:
    """Return the column name of each feature: snake case, unique, never one of the tables' own columns."""
    taken = {c.name for t in (tables.customers, tables.customer_snapshots) for c in t.columns} - set(SHARED_COLUMNS)
    names: dict[str, str] = {}
    for feature in schema.features:
        wanted = snake(feature)
        fits = SHARED_COLUMNS.get(wanted, schema.features[feature].kind) == schema.features[feature].kind
        name = wanted if fits and wanted not in taken else f"f_{wanted}"
        count = 2
        while name in taken:
            name, count = f"f_{wanted}_{count}", count + 1
        taken.add(name)
        names[feature] = name
    return names


def _column(name: str, feature: Feature) -> Column[object]:
    kind = Text() if feature.kind == "category" else Integer() if feature.whole else Float()
    return Column(name, kind)


@lru_cache(maxsize=8)
def customers_table(schema: Schema) -> Table:
    """`customers` with this schema's feature columns."""
    return _with_features(tables.customers, schema)


@lru_cache(maxsize=8)
def snapshots_table(schema: Schema) -> Table:
    """`customer_snapshots` with this schema's feature columns."""
    return _with_features(tables.customer_snapshots, schema)


def _with_features(table: Table, schema: Schema) -> Table:
    wide = table.to_metadata(MetaData())
    for feature, name in column_names(schema).items():
        if name not in wide.columns:
            wide.append_column(_column(name, schema.features[feature]))
    return wide


def adopt(connection: Connection, schema: Schema, *, is_demo: bool, clock: Clock) -> None:
    """Create the base in an empty database, with columns for its schema; `mark_ready` ends its loading."""
    _add_columns(connection, schema)
    connection.execute(
        insert(tables.base).values(
            id=1,
            schema_json=json.dumps(schema.as_dict()),
            schema_checksum=schema.checksum(),
            state="loading",
            is_demo=int(is_demo),
            created_at=iso(clock()),
        )
    )
    _record_version(connection, schema, clock)


def _add_columns(connection: Connection, schema: Schema) -> None:
    for wide in (customers_table(schema), snapshots_table(schema)):
        add_missing_columns(connection, wide)


def versions(connection: Connection) -> dict[str, Schema]:
    """Return every schema that this base has had, by checksum, oldest first."""
    v = tables.schema_versions
    rows = connection.execute(select(v).order_by(v.c.created_at, v.c.checksum))
    return {row.checksum: schema_of_text(row.schema_json) for row in rows}


def schema_of(connection: Connection, checksum: str) -> Schema | None:
    """Return the schema with a checksum, such as that of a model trained before the base was extended."""
    v = tables.schema_versions
    found = connection.execute(select(v.c.schema_json).where(v.c.checksum == checksum)).scalar_one_or_none()
    return None if found is None else schema_of_text(found)


@dataclass(frozen=True)
class Extension:
    """The result of an extension: the names of the new features, and keys of others that the wanted schema changes."""

    added: tuple[str, ...]
    differing: tuple[Change, ...]


def extend(connection: Connection, schema: Schema, clock: Clock) -> Extension:
    """Add features to the base, as new columns that are NULL in earlier facts.

    Raises
    ------
    NoCustomers
        There is no base.
    SchemaMismatch
        The schema changes the meaning of a column, or has a new feature with missing = false.
    """
    present = get(connection)
    if present is None:
        raise NoCustomers("There is no customer base to extend yet: import a table first.")
    extended, added = extension(present.schema, schema)
    if added:
        _add_columns(connection, extended)
        _keep(connection, extended)
        _record_version(connection, extended, clock)
    return Extension(added, changes(present.schema, schema))


def extension(present: Schema, wanted: Schema) -> tuple[Schema, tuple[str, ...]]:
    """Return the present schema plus the new features of `wanted`, and their names. Raises SchemaMismatch."""
    roles = ("id", "email", "label", "positive", "as_of")
    changed = [role for role in roles if getattr(present, role) != getattr(wanted, role)]
    changed += ["subscription"] if present.subscription.fixed() != wanted.subscription.fixed() else []
    gone = [name for name in present.features if name not in wanted.features]
    kinds = [n for n, f in present.features.items() if n in wanted.features and wanted.features[n].kind != f.kind]
    if changed or gone or kinds:
        what = [*(f"`{role}` differs" for role in changed), *(f"feature {name!r} is missing" for name in gone)]
        what += [f"feature {name!r} has another kind" for name in kinds]
        raise SchemaMismatch(f"This base can only be extended by new features: {'; '.join(what)}.")
    added = tuple(name for name in wanted.features if name not in present.features)
    strict = [name for name in added if not wanted.features[name].missing]
    if strict:
        raise SchemaMismatch(
            f"The new feature {strict[0]!r} has missing = false, but all earlier facts lack it: set missing = true."
        )
    new = {name: wanted.as_dict()["features"][name] for name in added}
    ignored = [column for column in present.ignore if column not in added]
    extended = {**present.as_dict(), "ignore": ignored, "features": {**present.as_dict()["features"], **new}}
    return schema_from_dict(extended), added


def edit(connection: Connection, wanted: Schema) -> tuple[Change, ...]:
    """Change what changes no facts, in the base's schema and in its earlier ones, which earlier models are read by.

    Raises
    ------
    NoCustomers
        There is no base.
    InvalidSchema
        The wanted schema changes anything else.
    """
    present = get(connection)
    if present is None:
        raise NoCustomers("There is no customer base whose schema could be changed yet: import a table first.")
    new, changed = edited(present.schema, wanted)
    if changed:
        _keep(connection, new)
        v = tables.schema_versions
        for checksum, earlier in versions(connection).items():
            text = json.dumps(_like(earlier, new).as_dict())
            connection.execute(update(v).where(v.c.checksum == checksum).values(schema_json=text))
    return changed


def _like(earlier: Schema, new: Schema) -> Schema:
    """Return the base's schema as it was before it was extended, with the words of the present one."""
    return new.without(name for name in new.features if name not in earlier.features)


def _keep(connection: Connection, schema: Schema) -> None:
    kept_figures.replaced(connection)
    values = {"schema_json": json.dumps(schema.as_dict()), "schema_checksum": schema.checksum()}
    connection.execute(update(tables.base).values(values))


def _record_version(connection: Connection, schema: Schema, clock: Clock) -> None:
    v = tables.schema_versions
    if connection.execute(select(v.c.checksum).where(v.c.checksum == schema.checksum())).one_or_none() is None:
        values = {"checksum": schema.checksum(), "schema_json": json.dumps(schema.as_dict())}
        connection.execute(insert(v).values({**values, "created_at": iso(clock())}))


def mark_ready(connection: Connection) -> None:
    """Mark the base as ready: its first import is complete."""
    connection.execute(update(tables.base).values(state="ready"))


#: Tables of the base, those that refer to others first.
_OF_THE_BASE = (
    tables.campaign_contacts,
    tables.campaign_members,
    tables.campaigns,
    tables.do_not_contact,
    tables.holdout,
    tables.contact_changes,
    tables.outcomes,
    tables.published_run,
    tables.kept_figures,
    tables.present_ranks,
    tables.present_changes,
    tables.score_changes,
    tables.score_bins,
    tables.outcome_bins,
    tables.drift_reports,
    tables.measured_runs,
    tables.ledger,
    tables.scoring_runs,
    tables.population_history,
    tables.group_churn,
    tables.cohort_months,
    tables.mrr_months,
    tables.past_prices,
    tables.segments,
    tables.worklist_history,
    tables.worklist,
    tables.known_ends,
    tables.withdrawn_ends,
    tables.subscriptions,
    tables.customer_snapshots,
    tables.imports,
    tables.customers,
    tables.model_timeline,
    tables.schema_versions,
    tables.base,
)


def forget(connection: Connection, schema: Schema) -> None:
    """Delete the base: every customer, fact, score and feature column; keep users, jobs and records of models."""
    for table in _OF_THE_BASE:
        connection.execute(delete(table))
    kept_figures.replaced(connection)
    for narrow, wide in (
        (tables.customers, customers_table(schema)),
        (tables.customer_snapshots, snapshots_table(schema)),
    ):
        for name in [c.name for c in wide.columns if c.name not in narrow.columns]:
            drop_column(connection, narrow, name)
