"""Causes: fits the model that tells involuntary ends from wished ones among leavers, and judges it on the test rows.

Law: a leaver whose reason nobody knows counts for neither cause; the judged model was fitted to training rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from ml_service.arrays import Ints
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.grouping import customer_groups
from ml_service.data.later_outcomes import UNKNOWN
from ml_service.data.splitting import Split
from ml_service.evaluation.level import judged
from ml_service.model.calibration import fit_beta
from ml_service.model.churn_model import ChurnModel
from ml_service.model.cross_validation import SearchData, cross_validate
from ml_service.model.outlook import CauseModel
from ml_service.model.trees import boosting
from ml_service.training.horizons import NO_DATES, NO_ENDS, customers_of
from shared.contracts.api import HORIZON_DAYS, LevelSpread
from shared.contracts.outlook import CauseCheck
from shared.errors import InsufficientData

#: At least this many leavers of each cause are needed to fit and to judge, and this share of leavers with a reason.
MIN_FIT, MIN_JUDGED, MIN_KNOWN = 25, 5, 0.5
#: Few rows, so larger steps than those of the score's booster cost nothing that matters.
LEARNING_RATE = 0.1
TOO_FEW = (
    "Too few leavers have a known reason of each kind: {involuntary} involuntary and {voluntary} voluntary ends among "
    "the training rows, {least} of each are needed."
)
TOO_FEW_JUDGED = "Too few leavers of the test rows have a known reason of each kind to judge the causes."
MOSTLY_UNKNOWN = "Only {share:.0f} % of the leavers have a known reason."


@dataclass(frozen=True)
class Causes:
    """The causes of a training.

    Attributes
    ----------
    model : CauseModel or str
        Fitted to all usable rows; the reason, where there is none.
    checks : list of CauseCheck
    reasons_known : float or None
        Share of the leavers with a known reason; None where nobody left or no ends came.
    """

    model: CauseModel | str
    checks: list[CauseCheck]
    reasons_known: float | None


def fit_causes(
    snapshot: Snapshot, split: Split, sibling: ChurnModel, live: ChurnModel, spread: LevelSpread | None
) -> Causes:
    """Fit the causes to the training rows and judge them on the test rows, then fit them to all usable rows.

    Parameters
    ----------
    snapshot : Snapshot
    split : Split
        Training and test rows of the snapshot.
    sibling, live : ChurnModel
        Fitted to the training rows, and to all usable rows.
    spread : LevelSpread or None
        Spread of the model's level, for the intervals.

    Returns
    -------
    causes : Causes
    """
    if snapshot.as_of is None or snapshot.later is None:
        return Causes(NO_DATES if snapshot.as_of is None else NO_ENDS, [], None)
    cause, left = snapshot.later.left_involuntarily, snapshot.label == 1
    known = float((cause[split.rows][left[split.rows]] != UNKNOWN).mean())
    if known < MIN_KNOWN:
        return Causes(MOSTLY_UNKNOWN.format(share=100 * known), [], known)
    judged_model = _fit(snapshot, split.training, sibling)
    if isinstance(judged_model, str):
        return Causes(judged_model, [], known)
    checks = _judge(snapshot, split.test, sibling, judged_model, spread)
    model = _fit(snapshot, split.rows, live) if checks else TOO_FEW_JUDGED
    return Causes(model, checks, known)


def _fit(snapshot: Snapshot, rows: Ints, model: ChurnModel) -> CauseModel | str:
    assert snapshot.later is not None
    cause = snapshot.later.left_involuntarily
    rows = rows[cause[rows] != UNKNOWN]
    label = cause[rows]
    involuntary, voluntary = int(label.sum()), int((label == 0).sum())
    if min(involuntary, voluntary) < MIN_FIT:
        return TOO_FEW.format(involuntary=involuntary, voluntary=voluntary, least=MIN_FIT)
    values = to_matrix(model.schema, model.categories, snapshot.features.take(pa.array(rows))).values
    base = boosting.parameters(model.schema, rows=len(rows), leavers=involuntary, seed=model.seed)
    # Directions of the schema are about leaving, not about why.
    params = {name: value for name, value in base.items() if name != "monotone_constraints"}
    params["learning_rate"] = LEARNING_RATE
    groups = customer_groups(snapshot.row_keys.take(pa.array(rows)), values)
    data = SearchData(model.schema, values, label, groups)
    try:
        found = cross_validate(data, params, bag=1, threads=model.threads, progress=lambda done, stage: None)
    except InsufficientData as error:
        return error.message
    rounds = found.cross_validation.rounds
    booster = boosting.fit(model.schema, params, values, label, rounds=rounds, bag=1, threads=1)
    return CauseModel(booster, fit_beta(found.cross_validation.margins, label))


def _judge(
    snapshot: Snapshot, test: Ints, sibling: ChurnModel, causes: CauseModel, spread: LevelSpread | None
) -> list[CauseCheck]:
    """Judge both causes; nothing where too few of either left."""
    part = snapshot.take(test)
    assert part.as_of is not None
    assert part.later is not None
    label, why = part.label, part.later.left_involuntarily
    if min(int(((label == 1) & (why == each)).sum()) for each in (0, 1)) < MIN_JUDGED:
        return []
    # Only leavers with a known reason can be seen, so only as many are expected.
    seen = float((why[label == 1] != UNKNOWN).mean())
    probability = sibling.predict(part.features, part.row_keys, part.as_of).probability
    values = to_matrix(sibling.schema, sibling.categories, part.features).values
    involuntary = probability * causes.share(sibling.schema, values, sibling.threads)
    judge = partial(judged, customers=customers_of(part), as_of=part.as_of, days=HORIZON_DAYS, spread=spread)
    return [
        CauseCheck(cause=name, judged=judge((why == code).astype(np.int8), seen * p))
        for name, code, p in (("voluntary", 0, probability - involuntary), ("involuntary", 1, involuntary))
    ]
