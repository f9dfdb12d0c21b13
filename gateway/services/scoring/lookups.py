"""Look-ups before a single score: the live model, and the facts of the customer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from database.customers import customer_base, customers
from database.engine.session import Database
from database.models import models
from database.models.models import LiveSchema
from gateway.query_cache import QueryCache
from gateway.services.scoring.reasons import facts_by_feature
from shared.errors import NoCustomers, NoModel, NotFound, invalid
from shared.schema.features import Schema


def live_schema(database: Database, cache: QueryCache) -> tuple[Schema, str]:
    """Return the live model's schema and version. Raises NoCustomers, NoModel."""
    schema, version, _ = live_model(database, cache)
    return schema, version


def live_model(database: Database, cache: QueryCache) -> tuple[Schema, str, tuple[str, ...]]:
    """Return the live model's schema, version, and the features that were complete in its training.

    Raises
    ------
    NoCustomers, NoModel
    """
    found = _live_model(database, cache)
    return found.schema, found.version, found.complete


def left_out(database: Database, cache: QueryCache) -> frozenset[str]:
    """Return the features of the schema that the live model does without. Raises NoCustomers, NoModel."""
    return _live_model(database, cache).left_out


def _live_model(database: Database, cache: QueryCache) -> LiveSchema:
    return cache.get_or_read("live model", lambda: _read(database))


def _read(database: Database) -> LiveSchema:
    with database.connect() as connection:
        live = models.live_schema(connection)
    if live is None:
        with database.connect() as connection:
            if customer_base.get(connection) is None:
                raise NoCustomers("There are no customers yet: import a table first.")
        raise NoModel("No model is live yet: train one first (POST /api/model/train).")
    return live


def present_facts(database: Database, schema: Schema, user_id: str) -> tuple[int, dict[str, Any]]:
    """Return a customer's key and present facts. Raises NotFound."""
    with database.read() as connection:
        known = customers.ids_by_user_id(connection, [user_id])
        if user_id not in known:
            raise NotFound("Customer not found")
        row = customers.features_of(connection, schema, known[user_id])
    return known[user_id], facts_by_feature(schema, row)


def given_facts(schema: Schema, features: dict[str, Any], *, left_out: Collection[str] = frozenset()) -> dict[str, Any]:
    """Return given facts with every feature named; the customer need not exist.

    Raises
    ------
    InvalidInput
        A name is no feature, or a feature may not be missing and was not left out of the model.
    """
    for name in sorted(set(features) - set(schema.features)):
        raise invalid(f"features.{name}", "there is no such feature; GET /api/schema lists them")
    for name, about in schema.features.items():
        if features.get(name) is None and not about.missing and name not in left_out:
            raise invalid(f"features.{name}", "this feature may not be missing")
    return {name: features.get(name) for name in schema.feature_names}
