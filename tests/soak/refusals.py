"""Judges how often a soak's users were told to come again. Standard library only."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

#: A route that answered at least so many times may tell this share of its users to come again.
LEAST, SHARE = 20, 0.5


def faults(
    answers: Mapping[str, int], expected: Mapping[str, int], refused: Mapping[str, int], wanted: Collection[str]
) -> Iterator[str]:
    """A sentence for each route that mostly told to come again, and for each that never answered as expected.

    Parameters
    ----------
    answers, expected
        Answers of each route, and those of them that were as expected.
    refused
        Answers that told to come again, by their status and route.
    wanted
        Routes that have to have answered as expected, beside those that were asked.
    """
    told = dict.fromkeys(answers, 0)
    for what, count in refused.items():
        told[what.partition(" ")[2]] += count
    for route, count in sorted(answers.items()):
        if count >= LEAST and told[route] > SHARE * count:
            yield f"{route}: {told[route]} of {count} answers tell to come again"
    for route in sorted({*answers, *wanted}):
        if not expected.get(route):
            yield f"{route}: none of {answers.get(route, 0)} answers is as expected"
