"""Rolling origins: what was not known at a date takes no part in its model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ml_service import backtest as command
from ml_service.data.dataset import Snapshot
from ml_service.training.backtest import backtest
from shared.contracts.api import Backtest
from shared.errors import InsufficientData

# One process trains for all of them.
pytestmark = pytest.mark.xdist_group("backtest")


def run(snapshot: Snapshot, most: int | None = None) -> Backtest:
    return backtest(snapshot, trials=1, most=most, progress=lambda done, stage: None)


@pytest.fixture(scope="module")
def judged(dated: Snapshot) -> Backtest:
    return run(dated, most=2)


def test_an_origin_trains_on_what_had_matured_and_judges_its_own_rows(judged: Backtest) -> None:
    first, last = judged.origins
    # Twelve months 30 days apart; a label is known 60 days after its date.
    assert (first.as_of, last.as_of) == ("2025-11-11", "2025-12-11")
    assert (first.training_samples, last.training_samples, last.n) == (9 * 500, 10 * 500, 500)
    assert last.auc is not None and last.auc > 0.8


def test_labels_that_were_unknown_at_an_origin_change_nothing_there(dated: Snapshot, judged: Backtest) -> None:
    assert dated.as_of is not None
    day = np.datetime64("2025-12-11")
    unknown = (dated.as_of + np.timedelta64(60, "D") > day) & (dated.as_of < day)
    changed = replace(dated, label=np.where(unknown, 1 - dated.label, dated.label).astype(np.int8))
    assert run(changed, most=1).origins[-1] == judged.origins[-1]


def test_a_table_without_dates_is_refused(undated: Snapshot) -> None:
    with pytest.raises(InsufficientData, match="needs a date"):
        run(undated)


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.json"
    line = ["--customers", "500", "--seed", "3", "--trials", "1", "--origins", "1", "--json", str(out)]
    assert command.main(line) == 0
    assert "2025-12-11" in capsys.readouterr().out
    assert len(json.loads(out.read_text())["origins"]) == 1
    assert command.main(["--trials", "0"]) == 2


def test_bits_of_the_past_do_not_move_when_the_future_does(dated: Snapshot, judged: Backtest) -> None:
    """Everything after a date is changed: the model of that date scores bit for bit as before."""
    assert dated.as_of is not None
    later = dated.as_of > np.datetime64("2025-11-11")
    watch = np.where(later, 1e5, dated.features["watch_time_hours"].to_numpy())
    features = dated.features.set_column(0, "watch_time_hours", pa.chunked_array([pa.array(watch)]))
    label = np.where(later, 1 - dated.label, dated.label).astype(np.int8)
    label[np.flatnonzero(dated.as_of == dated.as_of.max())[:50]] = 1
    assert run(replace(dated, features=features, label=label), most=2).origins[0] == judged.origins[0]
