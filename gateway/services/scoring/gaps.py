"""Finds features that were complete in the model's training and are now missing for many customers: a lost feed.

Law: a run stops before it stores anything, unless each such feature is allowed by name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from database.customers import customers
from database.models.models import Model
from gateway.services.jobs.work import Work
from shared.contracts.fact_warnings import missing_warnings
from shared.errors import Detail, FeatureMissing, invalid
from shared.schema.features import Schema

#: A feature is missing for many if more customers lack it than this share and than this count.
SHARE, COUNT = 0.05, 20


@dataclass(frozen=True)
class Gap:
    """A feature that many customers lack."""

    feature: str
    missing: int
    customers: int

    @property
    def text(self) -> str:
        """Return the counts in words."""
        share = 100 * self.missing / self.customers
        return f"missing for {self.missing:,} of {self.customers:,} customers ({share:.1f} %)"

    @property
    def is_large(self) -> bool:
        """Return whether so many lack it that a feed seems lost."""
        return self.missing > COUNT and self.missing > SHARE * self.customers


@dataclass(frozen=True)
class Missing:
    """The values that customers lack of the features that were complete in training.

    Attributes
    ----------
    allowed
        Features that many lack and that are allowed by name, with their counts.
    warnings
        A sentence about each feature that a few lack.
    """

    allowed: list[dict[str, Any]]
    warnings: list[str]


def require_features(
    work: Work,
    schema: Schema,
    live: Model,
    *,
    since: str,
    among: Sequence[int] | None = None,
    allow: Sequence[str] = (),
) -> Missing:
    """Refuse a run if many customers lack such a feature, unless it is allowed; return what else they lack.

    Parameters
    ----------
    since
        ISO date; customers with older facts are not scored.
    among
        Ids of a sample; all customers that can be scored if absent.
    allow
        Features that the job allows to be missing.

    Raises
    ------
    FeatureMissing
    InvalidInput
        `allow` names a feature that does not exist.
    """
    for name in allow:
        if name not in schema.features:
            raise invalid("allow_missing", f"There is no feature {name}.")
    complete = [name for name in live.complete_features if name in schema.features]
    if not complete:
        return Missing([], [])
    with work.database.read() as connection:
        size, missing = customers.count_missing(connection, schema, complete, since=since, among=among)
    found = [Gap(name, count, size) for name, count in missing.items() if count]
    large = [gap for gap in found if gap.is_large]
    _refuse(large, {*allow, *work.settings.allow_missing})
    few = {gap.feature: gap.missing for gap in found if not gap.is_large}
    return Missing([asdict(gap) for gap in large], missing_warnings(few, size))


def _refuse(found: Sequence[Gap], allowed: Collection[str]) -> None:
    refused = [gap for gap in found if gap.feature not in allowed]
    if not refused:
        return
    details: list[Detail] = [{"field": gap.feature, "message": gap.text.capitalize() + "."} for gap in refused]
    names = [gap.feature for gap in refused]
    words = " ".join(f"--allow-missing {name}" for name in names)
    setting = f"ALLOW_MISSING={','.join(names)}"
    counts = "; ".join(f"{gap.feature} is {gap.text}" for gap in refused)
    raise FeatureMissing(
        f"{counts}. The model's training had complete values, so a feed seems lost. Nobody was scored. Import the "
        f"values and score again, or allow this: {words} (`allow_missing` on the API, {setting} as a setting).",
        details=details,
    )
