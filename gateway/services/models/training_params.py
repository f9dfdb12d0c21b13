"""Checks what a training is asked to leave out, before it is queued.

Law: a training that could only fail because of its parameters is refused before it is a job.
"""

from __future__ import annotations

from database.customers import customer_base
from database.engine.session import Database
from gateway.services.jobs.params import TrainingParams


def checked_params(database: Database, params: TrainingParams) -> TrainingParams:
    """Return the parameters if a model can be trained without the features that they leave out.

    Raises
    ------
    InvalidInput
        The base has no such feature, or none would be left.
    """
    if params.without:
        with database.read() as connection:
            present = customer_base.get(connection)
        if present is not None:
            present.schema.without(params.without)
    return params
