"""Horizons never fall, causes add up to the score, and an older model says that it is older."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from ml_service.model import artefacts
from ml_service.model.calibration import BetaCalibration
from ml_service.model.churn_model import ChurnModel
from ml_service.model.outlook import OLDER, CauseModel, Horizon, OutlookModel
from ml_service.training.pipeline import Trained
from shared.contracts.api import HORIZON_DAYS
from shared.contracts.outlook import LATER_HORIZONS

slopes, intercepts = st.floats(0, 5), st.floats(-10, 10)
calibrations = st.none() | st.builds(BetaCalibration, slopes, slopes, intercepts)


class SameShare(CauseModel):
    """Says the same of everybody."""

    def share(self, *_: Any, **__: Any) -> np.ndarray:
        return np.full(3, self.booster)


@given(
    st.lists(calibrations, min_size=3, max_size=3),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.lists(st.floats(-50, 50), min_size=3, max_size=3),
    st.floats(0, 1),
)
def test_probabilities_never_fall_with_the_days_and_both_causes_add_up_to_the_score(
    found: list[BetaCalibration | None], probability: list[float], margin: list[float], share: float
) -> None:
    later = tuple(
        Horizon(days, each, None if each else "unknown") for days, each in zip(LATER_HORIZONS, found, strict=True)
    )
    model = OutlookModel(Horizon(HORIZON_DAYS), later, SameShare(share, BetaCalibration()))
    rows = model.of_rows(None, np.zeros((3, 1)), np.array(probability), np.array(margin))  # type: ignore[arg-type]
    for p, outlook in zip(probability, rows, strict=True):
        said = [each.probability for each in outlook.within if each.probability is not None]
        assert said == sorted(said) and said[0] == p and len(said) == 1 + sum(each is not None for each in found)
        assert all((each.probability is None) == (each.reason is not None) for each in outlook.within)
        assert outlook.causes.voluntary is not None and outlook.causes.involuntary is not None
        assert abs(outlook.causes.voluntary + outlook.causes.involuntary - p) <= 1e-15
        assert 0 <= outlook.causes.involuntary <= p


def test_a_saved_model_says_the_same_and_an_older_one_says_why_it_says_nothing(
    dated_model: Trained, tmp_path: Path
) -> None:
    model = dated_model.model
    loaded = ChurnModel.load(saved(model, tmp_path / "new"))
    assert loaded.outlook.as_dict() == model.outlook.as_dict() and loaded.outlook.files() == model.outlook.files()
    manifest, files = artefacts.read_folder(tmp_path / "new")
    without = {name: value for name, value in manifest.items() if name != "outlook"}
    older = ChurnModel.from_files(orjson.loads(orjson.dumps(without)), files)
    (row,) = older.outlook.of_rows(older.schema, np.zeros((1, 7)), np.array([0.2]), np.array([-1.0]))
    assert [each.reason for each in row.within] == [OLDER] * 4 and {each.probability for each in row.within} == {None}
    assert (row.causes.voluntary, row.causes.involuntary, row.causes.reason) == (None, None, OLDER)


def saved(model: ChurnModel, folder: Path) -> Path:
    model.save(folder)
    return folder
