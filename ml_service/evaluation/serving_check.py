"""Counts the values, among rows that are scored, by which leavers were told in training.

Law: only for models of dated rows; in a table without dates, those scored are those who stayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ml_service.arrays import Flags, Floats
from ml_service.data.feature_matrix import Matrix
from ml_service.data.leaks import Leak, LeaverValues
from ml_service.model.churn_model import ChurnModel
from shared.contracts.serving_check import LeaverValuesSeen

#: In the model's facts about its training: the values to look for, as `leaver_values` returns them.
KEY = "leaver_values"


def leaver_values(leaks: Sequence[Leak], levels: Sequence[Sequence[str]]) -> Iterator[dict[str, object]]:
    """Yield the values that leavers have much more often, as plain values for the manifest.

    Parameters
    ----------
    leaks : sequence of Leak
        Findings that did not refuse the training.
    levels : sequence of sequence of str
        For each finding, the values of its category; empty for a number.
    """
    for leak, names in zip(leaks, levels, strict=True):
        if leak.values is not None:
            about = {"feature": leak.name, "share": leak.values.share, "of_stayers": leak.values.of_stayers}
            known = [names[code] for code in leak.values.codes]
            yield {**about, "at_least": leak.values.at_least, "at_most": leak.values.at_most, "levels": known}


def values_seen(model: ChurnModel, matrix: Matrix) -> list[LeaverValuesSeen]:
    """Count, among rows, the values to look for.

    Parameters
    ----------
    model : ChurnModel
    matrix : Matrix

    Returns
    -------
    seen : list of LeaverValuesSeen
        Empty for a model without such values.
    """
    found: list[LeaverValuesSeen] = []
    for each in model.training.get(KEY, []):
        name = each["feature"]
        column = matrix.values[:, model.schema.feature_names.index(name)]
        levels = model.categories.get(name, [])
        codes = tuple(levels.index(level) for level in each["levels"] if level in levels)
        region = LeaverValues(each["share"], each["of_stayers"], each["at_least"], each["at_most"], codes)
        found.append(
            {
                "feature": name,
                "values": _in_words(region, each["levels"]),
                "seen": int(_has(column, region).sum()),
                "rows": len(column),
                "share": each["share"],
                "of_stayers": each["of_stayers"],
            }
        )
    return found


def _has(column: Floats, region: LeaverValues) -> Flags:
    # NaN compares as false.
    if region.at_least is not None:
        return column >= region.at_least
    if region.at_most is not None:
        return column <= region.at_most
    return np.isin(column, region.codes)


def _in_words(region: LeaverValues, levels: Sequence[str]) -> str:
    if region.at_least is not None:
        return f"at least {region.at_least:g}"
    return f"at most {region.at_most:g}" if region.at_most is not None else " or ".join(map(repr, levels[:3]))
