"""Bodies and answers that several resources share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, BaseModel, Field, StrictInt

from gateway.openapi import Legacy
from gateway.services.jobs.params import ScoreParams


class SampleBody(Legacy):
    """Number of customers to score; absent means every active one."""

    sample_size: Annotated[StrictInt, Field(ge=1, le=100_000_000)] | None = Field(
        None, validation_alias=AliasChoices("sample_size", "sampleSize")
    )
    allow_missing: list[str] = Field(
        default_factory=list,
        max_length=500,
        description="Names of features that many customers may lack although the model's training had them complete",
    )

    def params(self) -> ScoreParams:
        """Return the parameters of the scoring job."""
        return ScoreParams(sample_size=self.sample_size, allow_missing=tuple(self.allow_missing))


class AllowedMissing(BaseModel):
    """A feature that the run was allowed to use although many customers lack it."""

    feature: str
    missing: int
    customers: int


class DatedFacts(BaseModel):
    """Customers whose newest facts are of one date."""

    as_of: str
    customers: int


class OlderFacts(BaseModel):
    """Customers who were not scored because their newest facts are older than the run may use, by date."""

    customers: int
    before: str
    dates: list[DatedFacts]


class RunOut(BaseModel):
    """Result of a scoring run."""

    predictions_generated: int
    average_probability: float | None
    timestamp: str
    run_id: int
    model_version: str
    allowed_missing: list[AllowedMissing]
    older_facts: OlderFacts | None = None
    warnings: list[str] = Field(
        default_factory=list,
        description="Values that the model does not know, scored as missing, and features complete in training that a "
        "few customers lack; with counts",
    )


class Balanced(BaseModel):
    """Figures at prevalence 1/2, at a threshold of their own."""

    threshold: float
    precision: float | None
    recall: float | None
    f1_score: float | None
