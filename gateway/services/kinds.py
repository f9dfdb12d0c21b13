"""The kinds of jobs: web, worker and commands share this registry.

A kind names the scope that an API key needs for it, and the function that runs it. Those functions need NumPy and
Arrow, which the web process never loads: a command imports them when its job starts, the worker at its own start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from database.jobs.jobs import Lane
from gateway.services import digest
from gateway.services.campaigns import drawing
from gateway.services.jobs.params import (
    CampaignParams,
    ExportParams,
    FileParams,
    ImportParams,
    NoParams,
    OutcomesParams,
    ScoreParams,
    SuppressParams,
    TrainingParams,
)
from gateway.services.jobs.work import JobKind, LaneName, Result, Work
from gateway.services.maintenance import backups
from shared.errors import InvalidInput


def _train(work: Work, params: TrainingParams) -> Result:
    from gateway.services.models import training

    return training.run(work, params)


def _score(work: Work, params: ScoreParams) -> Result:
    from gateway.services.monitoring import drifting
    from gateway.services.scoring import scoring_run

    result = scoring_run.run(work, params)
    drifting.measure(work, result["run_id"])
    return result


def _import(work: Work, params: ImportParams) -> Result:
    from gateway.services.importing import import_file

    return import_file.run(work, params)


def _import_outcomes(work: Work, params: OutcomesParams) -> Result:
    from gateway.services.importing import import_outcomes

    return import_outcomes.run(work, params)


def _import_contacts(work: Work, params: FileParams) -> Result:
    from gateway.services.campaigns import contact_files

    return contact_files.import_contacts(work, params)


def _suppress(work: Work, params: SuppressParams) -> Result:
    from gateway.services.campaigns import contact_files

    return contact_files.suppress(work, params)


def _preview(work: Work, params: FileParams) -> Result:
    from gateway.services.importing import preview

    return preview.preview(work, params)


def _propose_schema(work: Work, params: FileParams) -> Result:
    from gateway.services.importing import preview

    return preview.propose(work, params)


def _export(work: Work, params: ExportParams) -> Result:
    from gateway.services.exporting import parquet

    return parquet.run(work, params)


def _mature(work: Work, params: NoParams) -> Result:
    from gateway.services.importing import publish_import

    return publish_import.mature(work)


def _backup(work: Work, params: NoParams) -> Result:
    return backups.run(work)


def _digest(work: Work, params: NoParams) -> Result:
    return digest.run(work)


def _demo(work: Work, params: NoParams) -> Result:
    from gateway.services import demo

    return demo.run(work, params)


TRAIN = JobKind("train", "training", None, TrainingParams, _train)
DEMO = JobKind("demo", "training", None, NoParams, _demo)
SCORE = JobKind("score", "bulk", "score", ScoreParams, _score)
IMPORT = JobKind("import", "bulk", "import", ImportParams, _import)
IMPORT_OUTCOMES = JobKind("import-outcomes", "bulk", "import", OutcomesParams, _import_outcomes)
IMPORT_CONTACTS = JobKind("import-contacts", "short", "import", FileParams, _import_contacts)
SUPPRESS = JobKind("do-not-contact", "short", "import", SuppressParams, _suppress)
PREVIEW = JobKind("preview", "short", "import", FileParams, _preview)
PROPOSE_SCHEMA = JobKind("propose-schema", "short", "import", FileParams, _propose_schema)
CAMPAIGN = JobKind("campaign", "short", None, CampaignParams, drawing.run)
EXPORT = JobKind("export", "bulk", "read", ExportParams, _export)
MATURE = JobKind("mature", "bulk", None, NoParams, _mature)
BACKUP = JobKind("backup", "bulk", None, NoParams, _backup)
DIGEST = JobKind(digest.KIND, "bulk", None, NoParams, _digest)

KINDS: Mapping[str, JobKind[Any]] = {
    kind.name: kind
    for kind in (
        TRAIN,
        DEMO,
        SCORE,
        IMPORT,
        IMPORT_OUTCOMES,
        IMPORT_CONTACTS,
        SUPPRESS,
        PREVIEW,
        PROPOSE_SCHEMA,
        CAMPAIGN,
        EXPORT,
        MATURE,
        BACKUP,
        DIGEST,
    )
}

_SHORT = frozenset(kind.name for kind in KINDS.values() if kind.lane == "short")
_TRAINING = frozenset(kind.name for kind in KINDS.values() if kind.lane == "training")
#: Somebody waits for a short job: it does not queue behind a million rows.
LANES: Mapping[LaneName, Lane] = {
    "training": Lane(_TRAINING),
    "short": Lane(_SHORT),
    "bulk": Lane(_TRAINING | _SHORT, is_the_rest=True),
}


def load() -> None:
    """Import the modules of all kinds before threads start: two threads that import NumPy together see half of it."""
    from gateway.services import demo  # noqa: F401
    from gateway.services.campaigns import contact_files  # noqa: F401
    from gateway.services.exporting import parquet  # noqa: F401
    from gateway.services.importing import import_file, import_outcomes, preview, publish_import  # noqa: F401
    from gateway.services.models import training  # noqa: F401
    from gateway.services.monitoring import drifting  # noqa: F401
    from gateway.services.scoring import scoring_run  # noqa: F401


def by_name(name: str) -> JobKind[Any]:
    """Return the kind of a stored job; for an unknown name, a kind whose run fails."""
    return KINDS.get(name) or JobKind(name, "bulk", None, NoParams, _refuse)


def of_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Return the names of the kinds that a key with these scopes may use."""
    held = set(scopes)
    return frozenset(kind.name for kind in KINDS.values() if kind.scope in held)


def _refuse(work: Work, params: NoParams) -> Result:
    raise InvalidInput(f"There is no job kind {work.job.kind!r}.")
