"""Look-ups before a single score: the live model, and the facts of the customer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from database.customers import customer_base, customers
from database.engine.session import Database
from database.models import models
from database.models.models import LiveSchema
from gateway.query_cache import QueryCache
from gateway.services.scoring.reasons import facts_by_feature
from shared.contracts.api import Cell
from shared.errors import Detail, InvalidInput, NoCustomers, NoModel, NotFound, invalid
from shared.schema.features import Feature, Schema
from shared.schema.units import is_never_negative
from shared.tables import messages


def live_schema(database: Database, cache: QueryCache) -> tuple[Schema, str]:
    """Return the live model's schema and version. Raises NoCustomers, NoModel."""
    found = live_model(database, cache)
    return found.schema, found.version


def live_model(database: Database, cache: QueryCache) -> LiveSchema:
    """Return what a score needs to know of the live model. Raises NoCustomers, NoModel."""
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


def present_facts(database: Database, schema: Schema, user_id: str) -> tuple[int, dict[str, Cell]]:
    """Return a customer's key and present facts. Raises NotFound."""
    with database.read() as connection:
        known = customers.ids_by_user_id(connection, [user_id])
        if user_id not in known:
            raise NotFound("Customer not found")
        row = customers.features_of(connection, schema, known[user_id])
    return known[user_id], facts_by_feature(schema, row)


def given_facts(
    schema: Schema, features: Mapping[str, Cell], *, left_out: Collection[str] = frozenset()
) -> dict[str, Cell]:
    """Return given facts with every feature named; the customer need not exist.

    Raises
    ------
    InvalidInput
        A name is no feature, a value is of the wrong kind, or a feature may not be missing and was not left out of the
        model.
    """
    for name in sorted(set(features) - set(schema.features)):
        raise invalid(f"features.{name}", "there is no such feature; GET /api/schema lists them")
    for name, about in schema.features.items():
        if features.get(name) is None and not about.missing and name not in left_out:
            raise invalid(f"features.{name}", "this feature may not be missing")
    wrong = facts_of_wrong_kind(schema, features, within="features")
    if wrong:
        raise InvalidInput.of(wrong, lead="")
    return {name: features.get(name) for name in schema.feature_names}


def changed_facts(schema: Schema, facts: Mapping[str, Cell], changes: Mapping[str, Cell]) -> dict[str, Cell]:
    """Return facts with some of them changed.

    Raises
    ------
    InvalidInput
        A changed feature does not exist, can't be acted on, or its value is of the wrong kind.
    """
    details: list[Detail] = []
    for name in changes:
        if name not in schema.features:
            details.append({"field": f"changes.{name}", "message": f"There is no feature {name!r}."})
        elif not schema.features[name].actionable:
            details.append({"field": f"changes.{name}", "message": f"{schema.feature_label(name)} can't be acted on."})
    details += facts_of_wrong_kind(schema, changes, within="changes")
    if details:
        raise InvalidInput.of(details, lead="")
    return {**facts, **changes}


def facts_of_wrong_kind(schema: Schema, facts: Mapping[str, Cell], *, within: str) -> list[Detail]:
    """Name the facts that an import would refuse: no number where one is needed, negative or not whole."""
    details: list[Detail] = []
    for name, value in facts.items():
        feature = schema.features.get(name)
        problem = None if feature is None or value is None else _problem(name, feature, value)
        if problem is not None:
            details.append({"field": f"{within}.{name}", "message": problem})
    return details


def _problem(name: str, feature: Feature, value: Cell) -> str | None:
    if feature.kind != "number":
        return None
    if isinstance(value, str | bool):
        return f"{json.dumps(value)} was given, but {name} is a number."
    if value is not None and value < 0 and is_never_negative(feature.unit):
        return f"{messages.negative(value, str(feature.unit))}."
    if value is not None and feature.whole and value != int(value):
        return f"{messages.not_whole(value)}."
    return None
