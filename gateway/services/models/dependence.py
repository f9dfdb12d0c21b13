"""How the points of each feature go with its value, over a sample of the shown run's customers.

Law: model and date are those of the shown run, facts are the present ones; the same customers are taken each time.
"""

from __future__ import annotations

from database.customers import customer_base, customers
from database.engine import kept_figures
from database.engine.session import Database
from database.models import models
from database.scoring import runs
from database.scoring.runs import Published
from gateway.clients.ml_client import MLClient
from gateway.query_cache import QueryCache
from shared.contracts.api import PredictRequest
from shared.contracts.dependence import DependenceAnswer
from shared.errors import NoCustomers
from shared.schema.features import Schema

#: Most rows, and most cells, of one question: it stays below the ML service's limit of a JSON body.
SAMPLE, MOST_CELLS = 2_000, 40_000
POINTS = "points by value"
NOBODY = "None of the shown run's customers can be scored any more: import facts, then score."


def shown_run(database: Database) -> Published | None:
    """Return the run whose scores are shown; None if there is none."""
    with database.read() as connection:
        return runs.published(connection)


def points_by_value(
    database: Database, cache: QueryCache, ml: MLClient, run: Published
) -> tuple[Schema, DependenceAnswer]:
    """Return the schema of the run's model, and the points of its features by their values.

    They are asked for again once another run is shown or customers have changed.

    Raises
    ------
    NoCustomers
        None of the run's customers is active with facts that are young enough.
    ServiceUnavailable
        The ML service does not answer, or lacks the model.
    """
    with database.read() as connection:
        state = kept_figures.state_of(connection, run)
    # Nobody waits for somebody else's call: the ML service's places say how many threads may wait for it.
    found: tuple[Schema, DependenceAnswer] | None = cache.find_in(state, POINTS)
    if found is None:
        found = _ask(database, ml, run)
        cache.put_in(state, POINTS, found)
    return found


def _ask(database: Database, ml: MLClient, run: Published) -> tuple[Schema, DependenceAnswer]:
    with database.read() as connection:
        model, base = models.get(connection, run.model_version), customer_base.get(connection)
        assert model is not None
        assert base is not None
        schema = customer_base.schema_of(connection, model.schema_checksum) or base.schema
        size = max(1, min(SAMPLE, MOST_CELLS // len(schema.features)))
        ids = customers.spread_of_ids(connection, size, run.facts_from or "")
        query = customers.to_score(schema, as_of=run.as_of, after_id=0, limit=size, among=ids)
        rows = connection.execute(query).all()
    if not rows:
        raise NoCustomers(NOBODY)
    keys, _, *facts, _ = zip(*rows, strict=True)
    columns = {name: list(values) for name, values in zip(schema.features, facts, strict=True)}
    asked = PredictRequest(model_version=run.model_version, columns=columns, row_keys=list(keys), as_of=run.as_of)
    return schema, ml.dependence(asked)
