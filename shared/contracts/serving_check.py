"""The serving check: do customers who are scored have the values by which leavers were told in training?

Law: honest values are as common among those scored as in training; values that are written when somebody leaves are no
more common than among those who stayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import Field, with_config
from typing_extensions import TypedDict

from shared.contracts.report import Strict
from shared.wilson import wilson

#: Fewer rows tell nothing.
MIN_ROWS = 1000
#: The values seen may lie this far above the share of those who stayed, on the way to the share of all in training.
NEAR_STAYERS = 0.25


@with_config(Strict.model_config)
class LeaverValuesSeen(TypedDict):
    """How many of some rows have the values of a feature that leavers had much more often in training."""

    feature: str
    values: Annotated[str, Field(description="The values in words, such as `at least 25`")]
    seen: int
    rows: int
    share: Annotated[float, Field(description="Share of the training rows with such a value")]
    of_stayers: Annotated[float, Field(description="Share of those who stayed with such a value")]


def added_up(parts: Iterable[Sequence[LeaverValuesSeen]]) -> list[LeaverValuesSeen]:
    """Add up what was seen in parts of a table."""
    found: dict[str, LeaverValuesSeen] = {}
    for each in (each for part in parts for each in part):
        before = found.get(each["feature"])
        seen, rows = (before["seen"], before["rows"]) if before else (0, 0)
        found[each["feature"]] = {**each, "seen": each["seen"] + seen, "rows": each["rows"] + rows}
    return list(found.values())


def serving_warnings(found: Iterable[LeaverValuesSeen]) -> list[str]:
    """Return a sentence for each feature whose values of leavers next to none of those scored have."""
    return [_sentence(each) for each in found if each["rows"] >= MIN_ROWS and _upper(each) < _limit(each)]


def _limit(each: LeaverValuesSeen) -> float:
    return each["of_stayers"] + NEAR_STAYERS * (each["share"] - each["of_stayers"])


def _upper(each: LeaverValuesSeen) -> float:
    return wilson(each["seen"], each["rows"])[1]


def _sentence(each: LeaverValuesSeen) -> str:
    return (
        f"{each['feature']}: {each['values']} for {100 * each['share']:.2g} % of the training rows "
        f"({100 * each['of_stayers']:.2g} % of those who stayed), but for {each['seen']:,} of the {each['rows']:,} "
        "customers scored: it may be written when somebody leaves. Train without it, or check where it comes from."
    )
