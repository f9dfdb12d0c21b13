"""The simulated snapshot: its later outcomes are those of the simulated lifetimes, and a training reports them."""

from __future__ import annotations

import numpy as np

from ml_service.data.later_outcomes import UNKNOWN
from ml_service.data.simulated import FIRST_DAY, MONTHS, STEP_DAYS, simulated
from ml_service.training.pipeline import Effort, train
from shared.contracts.outlook import LATER_HORIZONS
from shared.simulation.simulate import END_REASONS, simulate


def test_later_outcomes_are_the_ends_of_the_simulated_lifetimes_as_far_as_the_year_goes() -> None:
    made = simulated(customers=200, seed=3).snapshot
    assert made.later is not None and made.as_of is not None
    lives = simulate("documented", customers=200, months=MONTHS, seed=3).subscriptions
    ends: dict[int, list[tuple[int, int]]] = {}
    for at in np.flatnonzero(~lives.is_open):
        ends.setdefault(int(lives.customer[at]), []).append((int(lives.ended_day[at]), int(lives.end_reason[at])))
    days = (made.as_of - FIRST_DAY).astype(int)
    for row, (customer, day) in enumerate(zip(made.row_keys.to_pylist(), days.tolist(), strict=True)):
        following = min((each for each in ends.get(customer, []) if each[0] > day), default=(10**6, UNKNOWN))
        assert made.label[row] == (following[0] - day <= STEP_DAYS)
        for horizon in LATER_HORIZONS:
            is_known = day + horizon <= MONTHS * STEP_DAYS
            expected = int(following[0] - day <= horizon) if is_known else UNKNOWN
            assert made.later.left_within[horizon][row] == expected
        is_involuntary = following[1] == END_REASONS.index("involuntary")
        assert made.later.left_involuntarily[row] == (is_involuntary if made.label[row] else UNKNOWN)


def test_a_training_on_it_reports_observed_over_expected_of_the_horizons_and_causes() -> None:
    report = train(simulated(customers=700, seed=1).snapshot, version="1.0.0", effort=Effort(trials=1)).report.outlook
    assert report is not None
    judged = {each.days: each.judged for each in report.horizons if each.judged is not None}
    assert {60, 90} <= set(judged)
    for each in judged.values():
        assert each.left > 50
        assert each.ratio_interval[0] < each.ratio < each.ratio_interval[1]
    assert {each.cause for each in report.causes} == {"voluntary", "involuntary"}
