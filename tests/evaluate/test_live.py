"""The simulated price rise that the live model is judged by."""

from __future__ import annotations

import numpy as np

from tests.evaluate.live import RISE, rising


def test_more_leave_from_the_price_rise_on() -> None:
    snapshot = rising(customers=2_000, seed=1)
    assert snapshot.as_of is not None
    dates = sorted(set(snapshot.as_of.tolist()))
    is_later = snapshot.as_of >= np.datetime64(dates[RISE], "D")
    before, after = snapshot.label[~is_later].mean(), snapshot.label[is_later].mean()
    assert after > 1.15 * before
