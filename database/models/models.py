"""Records of models: versions, figures, and the timeline of live models.

Law: `model_timeline` is appended, never changed; the newest row names the live model.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from database.customers import customer_base, facts
from database.engine.bulk_insert import AnyRow
from database.engine.expressions import json_member
from database.tables import tables
from shared.contracts.report import TimeOfYear
from shared.schema.features import Schema
from shared.time_of_year import level_at, points_of

m, t = tables.models, tables.model_timeline


@dataclass(frozen=True)
class Model:
    """One version."""

    id: int
    version: str
    state: str
    schema_checksum: str
    trained_on: str
    created_at: str
    decision: str | None
    report: Mapping[str, Any] | None

    @property
    def figures(self) -> Mapping[str, Any]:
        """The report's figures; empty before the training is done."""
        return self.report or {}

    @property
    def complete_features(self) -> tuple[str, ...]:
        """Features that were complete in training; empty if an older report does not list them."""
        return tuple(each["feature"] for each in self.figures.get("blanked", ()))

    def level(self, as_of: str) -> float:
        """Return what a date adds to everybody's log-odds; 0 where the model has no level, or an older report."""
        found = self.figures.get("time_of_year")
        year = None if found is None else TimeOfYear.model_validate(found)
        return level_at(year, date.fromisoformat(as_of))

    def time_of_year_points(self, as_of: str, probability: float) -> float:
        """Return the part of a score of a date that its level makes; 0 where the model has none, or an older report."""
        return points_of(self.level(as_of), probability)


def _model(row: AnyRow) -> Model:
    return Model(
        id=row.id,
        version=row.version,
        state=row.state,
        schema_checksum=row.schema_checksum,
        trained_on=row.trained_on,
        created_at=row.created_at,
        decision=row.decision,
        report=json.loads(row.report_json) if row.report_json else None,
    )


def live(connection: Connection) -> Model | None:
    """Return the live model."""
    newest = select(t.c.model_id).order_by(t.c.id.desc()).limit(1).scalar_subquery()
    row = connection.execute(select(m).where(m.c.id == newest)).one_or_none()
    return _model(row) if row else None


def live_version(connection: Connection) -> tuple[int, str] | None:
    """Return the id and version of the live model, without its report."""
    query = select(m.c.id, m.c.version).join_from(t, m, m.c.id == t.c.model_id).order_by(t.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return (row.id, row.version) if row else None


_LIVE_SCHEMA = (
    select(m.c.version, tables.schema_versions.c.schema_json, json_member(m.c.report_json, "left_out"))
    .join_from(t, m, m.c.id == t.c.model_id)
    .join(tables.schema_versions, tables.schema_versions.c.checksum == m.c.schema_checksum)
    .order_by(t.c.id.desc())
    .limit(1)
)


@dataclass(frozen=True)
class LiveSchema:
    """The facts about the live model that a single score needs.

    Attributes
    ----------
    schema
        Schema of its base when it was trained.
    left_out
        Features of the schema that it does without.
    as_of
        Date of the newest facts, which is that of a scoring run today.
    """

    version: str
    schema: Schema
    left_out: frozenset[str]
    as_of: str | None


def live_schema(connection: Connection) -> LiveSchema | None:
    """Return version and schema of the live model, and the date of a score."""
    row = connection.execute(_LIVE_SCHEMA).one_or_none()
    if row is None:
        return None
    version, schema_json, left_out = row
    schema = customer_base.schema_of_text(schema_json)
    return LiveSchema(version, schema, frozenset(json.loads(left_out or "[]")), facts.last_date(connection))


def horizons(connection: Connection, versions: Collection[str]) -> dict[str, int | None]:
    """Return the days that the scores of each version with a report cover; None where its table did not say."""
    query = select(m.c.version, json_member(m.c.report_json, "horizon_days"))
    found = connection.execute(query.where(m.c.version.in_(versions), m.c.report_json.is_not(None)))
    return {version: None if days is None else int(days) for version, days in found}


def live_since(connection: Connection) -> AnyRow | None:
    """Return the newest entry of the timeline."""
    return connection.execute(select(t).order_by(t.c.id.desc()).limit(1)).one_or_none()


def before(connection: Connection) -> Model | None:
    """Return the model that was live before the present one; a rollback cancels the newest entry."""
    live_ids: list[int] = []
    for model_id, is_rollback in connection.execute(select(t.c.model_id, t.c.is_rollback).order_by(t.c.id)):
        if is_rollback:
            live_ids.pop()
        else:
            live_ids.append(model_id)
    if len(live_ids) < 2:
        return None
    return _model(connection.execute(select(m).where(m.c.id == live_ids[-2])).one())


def get(connection: Connection, version: str) -> Model | None:
    """Return one version."""
    row = connection.execute(select(m).where(m.c.version == version)).one_or_none()
    return _model(row) if row else None


def versions(connection: Connection) -> Sequence[Model]:
    """Return every version, newest first."""
    return [_model(row) for row in connection.execute(select(m).order_by(m.c.id.desc()))]


def ready(connection: Connection, checksum: str) -> list[str]:
    """Return the trained versions of a base, newest first, by the checksum of its schema."""
    query = select(m.c.version).where(m.c.state == "ready", m.c.schema_checksum == checksum)
    return list(connection.execute(query.order_by(m.c.id.desc())).scalars())


def next_version(connection: Connection, first: str, on_disk: Iterable[str]) -> str:
    """Return MODEL_VERSION for the first model; for others, the highest version with 1 added to its patch.

    Parameters
    ----------
    on_disk
        Versions that the ML service has: none of them is used again.
    """
    known = {*connection.execute(select(m.c.version)).scalars(), *on_disk}
    if not known:
        return first
    major, minor, patch = max(tuple(int(part) for part in version.split(".")) for version in known)
    return f"{major}.{minor}.{patch + 1}"


def reserve(
    connection: Connection, *, version: str, schema_checksum: str, trained_on: str, job_id: int, now: str
) -> int:
    """Reserve a version for a training and return its id; `trained_on` is the date of the newest data."""
    return connection.execute(
        insert(m)
        .values(
            version=version,
            state="training",
            schema_checksum=schema_checksum,
            trained_on=trained_on,
            job_id=job_id,
            created_at=now,
        )
        .returning(m.c.id)
    ).scalar_one()


def release_lost(connection: Connection) -> None:
    """Delete the versions that were reserved by trainings whose worker stopped."""
    running = select(tables.jobs.c.id).where(tables.jobs.c.state == "running")
    connection.execute(delete(m).where(m.c.state == "training", m.c.job_id.not_in(running)))


def release(connection: Connection, model_id: int) -> None:
    """Delete a reserved version whose training failed."""
    connection.execute(delete(m).where(m.c.id == model_id, m.c.state == "training"))


def record(connection: Connection, model_id: int, report: Mapping[str, Any], now: str) -> None:
    """Store the report of a finished training, and its figures in the documented tables."""
    connection.execute(update(m).where(m.c.id == model_id).values(state="ready", report_json=json.dumps(report)))
    connection.execute(
        insert(tables.model_metrics).values(
            model_id=model_id,
            auc_score=report["auc"],
            precision=report["precision"],
            recall=report["recall"],
            f1_score=report["f1_score"],
            training_samples=report["training_samples"],
            created_at=now,
        )
    )
    connection.execute(
        insert(tables.feature_importance),
        [
            {
                "feature_name": each["name"],
                "shap_value": each["importance"],
                "model_version": report["model_version"],
                "created_at": now,
            }
            for each in report["importance"]
        ],
    )


def decide(connection: Connection, model_id: int, decision: str) -> None:
    """Store why a model was, or was not, made live."""
    connection.execute(update(m).where(m.c.id == model_id).values(decision=decision))


def promote(connection: Connection, model_id: int, *, reason: str, live_from: str, user_id: int | None = None) -> None:
    """Make a model live from a given time on."""
    values = {"model_id": model_id, "reason": reason, "live_from": live_from, "user_id": user_id, "is_rollback": 0}
    connection.execute(insert(t).values(values))


def roll_back(connection: Connection, to: int, *, reason: str, live_from: str, user_id: int | None) -> None:
    """Make an earlier model live again."""
    values = {"model_id": to, "reason": reason, "live_from": live_from, "user_id": user_id, "is_rollback": 1}
    connection.execute(insert(t).values(values))


def timeline(connection: Connection) -> Sequence[AnyRow]:
    """Return the versions that were live, newest first: (version, live_from, reason, user_id)."""
    query = select(m.c.version, t.c.live_from, t.c.reason, t.c.user_id).join_from(t, m, m.c.id == t.c.model_id)
    return connection.execute(query.order_by(t.c.id.desc())).all()


def importance(connection: Connection, version: str) -> Sequence[AnyRow]:
    """Return (feature_name, shap_value) of a version, largest first."""
    f = tables.feature_importance
    query = select(f.c.feature_name, f.c.shap_value).where(f.c.model_version == version)
    return connection.execute(query.order_by(f.c.shap_value.desc(), f.c.id)).all()
