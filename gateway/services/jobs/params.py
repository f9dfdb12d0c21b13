"""The parameters of every kind of job, typed.

The jobs table keeps them as JSON; `JobKind.store` and `JobKind.read` convert. Unknown names are
ignored and missing ones get their defaults, so rows of earlier versions can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

Content = Literal["customers", "risk", "segments", "predictions", "campaign", "movers"]


@dataclass(frozen=True)
class NoParams:
    """A job without parameters: the demo."""


@dataclass(frozen=True)
class TrainingParams:
    """Parameters of a training.

    Attributes
    ----------
    allow_leaks
        Features that the leak guard accepts.
    without
        Features that are left out of the model.
    again
        Train even if data and parameters are those of a version that stands.
    promote
        Make a model live that passes the gate; otherwise it is proposed, unless no model is live.
    """

    allow_leaks: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    again: bool = False
    promote: bool = True


@dataclass(frozen=True)
class ScoreParams:
    """Parameters of a scoring run.

    Attributes
    ----------
    sample_size
        Number of customers to draw; None scores every active one.
    allow_missing
        Features that may be missing for many customers although they were complete in the model's training.
    """

    sample_size: int | None = None
    allow_missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileParams:
    """A file for the worker: its path on this machine and the name its owner gave it."""

    path: str
    file_name: str


@dataclass(frozen=True)
class OutcomesParams(FileParams):
    """Parameters of an import of outcomes.

    Attributes
    ----------
    ends_complete_to
        The day up to which all ends are known once this file is in.
    """

    dry_run: bool = False
    keep_good: bool = False
    ends_complete_to: date | None = None


@dataclass(frozen=True)
class SuppressParams(FileParams):
    """A file of customers who must not be contacted, and why."""

    reason: Literal["objected", "no consent"]


@dataclass(frozen=True)
class ImportParams(FileParams):
    """Parameters of an import of customers.

    Attributes
    ----------
    schema
        The schema as `shared.schema.features.schema_from_dict` reads it.
    as_of
        Date of the facts if the file has none; today if None.
    ends_complete_to
        The day up to which all ends are known once this file is in.
    ends_are_of_today
        The ends in the file became known today, not on the dates of its rows.
    """

    schema: Mapping[str, Any]
    as_of: date | None = None
    dry_run: bool = False
    keep_good: bool = False
    absent_are_gone: bool = False
    ends_complete_to: date | None = None
    ends_are_of_today: bool = False


@dataclass(frozen=True)
class ExportParams:
    """Parameters of an export to a Parquet file.

    Attributes
    ----------
    content
        The table: customers, risk, segments or predictions.
    filters
        (name, value) pairs, as in the query string.
    """

    content: Content
    filters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CampaignParams:
    """Parameters of a campaign that is drawn.

    Attributes
    ----------
    action
        A name of the catalogue.
    filters
        (name, value) pairs, as in the query string of the customer list.
    top
        So many customers at most, the likeliest to leave first.
    reduction
        Relative reduction that the size is planned for; the action's assumed effect if absent.
    control_share
        Share without contact; chosen from the size if absent.
    clv
        Value of a customer who stays instead of leaving; the catalogue's if absent.
    """

    name: str
    action: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    top: int | None = None
    reduction: float | None = None
    control_share: float | None = None
    clv: float | None = None
