"""The boosters of a model at work: margins and contributions of rows, each by the booster that may score it.

Law: rows are grouped by booster and cut into chunks; neither changes a bit of any row's answer. Tables answer for a
booster (`ml_service.model.shap_tables`) once they have agreed with it on a sample; where they don't, xgboost itself
does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import structlog
import xgboost as xgb

from ml_service.arrays import Floats, Folds, Indices
from ml_service.model.forest import NotCompiled, sum_of_leaves
from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.shap_tables import ShapTables

#: Positions of rows; a slice where they follow each other.
Rows = slice | Indices

CHUNK_ROWS = 25_000
MODEL_FILE = "model.ubj"
#: Rows on which tables are held against their booster, and how far they may differ, log-odds.
SAMPLE, TOLERANCE = 128, 1e-5
TOP = 3

log = structlog.get_logger()


def _fold_file(fold: int) -> str:
    return f"fold_{fold}.ubj"


@dataclass(frozen=True)
class Contributions:
    """A block of rows: which, the base of their booster, margins (rows,), SHAP values (rows, features); log-odds."""

    rows: Rows
    base_margin: float
    margin: Floats
    values: Floats


class _Booster:
    """One booster, its tables or why it has none. Both are made when they are first needed."""

    def __init__(self, booster: xgb.Booster, types: list[str], threads: int) -> None:
        self.raw, self._types, self._threads = booster, types, threads
        booster.set_param({"nthread": threads})
        self._lock = threading.Lock()
        self._ready = False
        self._tables: ShapTables | None = None
        self._compile_error: str | None = None
        self._base = 0.0

    def prepare(self) -> str | None:
        """Make the tables; why there are none, None where there are."""
        with self._lock:
            if not self._ready:
                try:
                    self._tables = _verified(ShapTables([self.raw], len(self._types)), self)
                    self._base = self._tables.base_margin
                except NotCompiled as error:
                    self._compile_error = str(error)
                    self._base = float(self.xgboost_shap(np.full((1, len(self._types)), np.nan))[0, -1])
                    log.info("no_tables", reason=self._compile_error)
                self._ready = True
        return self._compile_error

    @property
    def base_margin(self) -> float:
        self.prepare()
        return self._base

    def explain(self, values: Floats) -> tuple[Floats, Floats]:
        """Margins, shape (rows,), and SHAP values, shape (rows, features)."""
        self.prepare()
        if self._tables is not None:
            margin, shap = self._tables.explain(values)
            return margin, shap.T
        return self.xgboost_margins(values), self.xgboost_shap(values)[:, :-1]

    def margins(self, values: Floats) -> Floats:
        """The margins of `explain` to the bit; where xgboost answers, without the reasons, which cost it the most."""
        self.prepare()
        return self.xgboost_margins(values) if self._tables is None else self._tables.explain(values)[0]

    def xgboost_margins(self, values: Floats) -> Floats:
        """What xgboost says."""
        return np.asarray(self.raw.predict(self._data(values), output_margin=True), dtype=np.float64)

    def leaf_nodes(self, values: Floats) -> Indices:
        """The node of each tree that xgboost sends each row to, shape (rows, trees)."""
        nodes = self.raw.predict(self._data(values), pred_leaf=True, strict_shape=True)
        return np.asarray(nodes, dtype=np.intp).reshape(len(values), -1)

    def xgboost_shap(self, values: Floats) -> Floats:
        """What xgboost says; the last column is the base, the same for every row."""
        return np.asarray(self.raw.predict(self._data(values), pred_contribs=True), dtype=np.float64)

    def _data(self, values: Floats) -> xgb.DMatrix:
        return xgb.DMatrix(values, feature_types=self._types, enable_categorical=True, nthread=self._threads)


def _verified(tables: ShapTables, booster: _Booster) -> ShapTables:
    """Hold tables against their booster, on the thresholds themselves, beside them, and where values are missing.

    Reasons and base against what xgboost says, margins against the leaves it reaches, added in double precision: its
    own sum of many trees is off by more than `TOLERANCE`, also from the sum of its own reasons.

    Raises
    ------
    NotCompiled
        Where they differ by more than `TOLERANCE`, or name other top reasons.
    """
    values = tables.sample(SAMPLE)
    margin, shap = tables.explain(values)
    reference = booster.xgboost_shap(values)
    difference = max(
        float(np.abs(shap.T - reference[:, :-1]).max()),
        float(np.abs(margin - sum_of_leaves(booster.raw, booster.leaf_nodes(values))).max()),
        abs(tables.base_margin - reference[0, -1]),
    )
    if not difference <= TOLERANCE:
        raise NotCompiled(f"Tables and xgboost differ by {difference:.1e} on a sample.")
    reference_sizes, sizes = np.abs(reference[:, :-1]), np.abs(shap.T)
    reference_top = np.argsort(-reference_sizes, axis=1, kind="stable")[:, :TOP]
    at_reference_top = np.take_along_axis(sizes, reference_top, axis=1)
    # Two sizes that xgboost's own rounding can't tell apart have no order.
    if np.abs(at_reference_top + np.sort(-sizes, axis=1)[:, :TOP]).max() > 2 * TOLERANCE:
        raise NotCompiled("Tables and xgboost name other top reasons on a sample.")
    return tables


class Trees:
    """The final booster and, where they are kept, those of the folds.

    Parameters
    ----------
    final
        Scores whatever was not in training.
    folds
        The k-th has not seen the rows of fold k.
    feature_types
        q for numbers, c for categories.
    """

    def __init__(
        self, final: xgb.Booster, folds: Sequence[xgb.Booster], *, feature_types: list[str], threads: int
    ) -> None:
        boosters = {UNSEEN: final, **dict(enumerate(folds))}
        self._boosters = {fold: _Booster(booster, feature_types, threads) for fold, booster in boosters.items()}

    @property
    def base_margin(self) -> float:
        """What the final booster's contributions are counted from, log-odds."""
        return self._boosters[UNSEEN].base_margin

    def prepare(self) -> str | None:
        """Make all tables now, so that no request waits for them; why xgboost scores instead, where it does."""
        return next((why for booster in self._boosters.values() if (why := booster.prepare())), None)

    def margins(self, values: Floats, folds: Folds) -> Floats:
        """Log-odds before calibration, shape (rows,)."""
        margins = np.empty(len(values), dtype=np.float64)
        for rows, fold in self._blocks(folds):
            margins[rows] = self._boosters[fold].margins(values[rows])
        return margins

    def contributions(self, values: Floats, folds: Folds) -> Iterator[Contributions]:
        """Margins and exact path-dependent SHAP values, block by block; base + sum is the margin to 1e-5."""
        for rows, fold in self._blocks(folds):
            booster = self._boosters[fold]
            margin, shap = booster.explain(values[rows])
            yield Contributions(rows, booster.base_margin, margin, shap)

    def files(self) -> dict[str, bytes]:
        """Each booster in UBJSON."""
        names = {fold: MODEL_FILE if fold == UNSEEN else _fold_file(fold) for fold in self._boosters}
        return {names[fold]: bytes(booster.raw.save_raw("ubj")) for fold, booster in self._boosters.items()}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, feature_types: list[str], threads: int) -> Self:
        """Read what `files` wrote."""
        folds: list[xgb.Booster] = []
        while _fold_file(len(folds)) in files:
            folds.append(_booster(files[_fold_file(len(folds))]))
        return cls(_booster(files[MODEL_FILE]), folds, feature_types=feature_types, threads=threads)

    def _blocks(self, folds: Folds) -> Iterator[tuple[Rows, int]]:
        for fold in self._boosters:
            of_fold = folds == fold
            rows = np.flatnonzero(of_fold)
            for start in range(0, len(rows), CHUNK_ROWS):
                end = min(start + CHUNK_ROWS, len(rows))
                yield (slice(start, end) if len(rows) == len(folds) else rows[start:end]), fold


def _booster(raw: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(raw))
    return booster
