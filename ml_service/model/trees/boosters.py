"""Trees: the boosters of a model, which compute the margins and SHAP values of rows.

Each booster is compiled to tables (`ml_service.model.trees.shap_tables`), which are compared with xgboost on a
sample; if they differ, xgboost itself computes the answers.

A row that lacks a feature with a stand-in (`ml_service.model.missing_features`) is scored by the stand-in, which also
gives its SHAP values. The value of the missing feature is the difference of the two base margins, so that base margin
and SHAP values still add up to the margin.

Law: grouping the rows by booster and splitting them into chunks changes no bit of any row's answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, TypeAlias

import numpy as np
import structlog
import xgboost as xgb

from ml_service.arrays import Floats, Folds, Indices
from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.trees.forest import NotCompiled, sum_of_leaves
from ml_service.model.trees.shap_tables import ShapTables
from shared.contracts.api import TOP_REASONS

#: Positions of rows; a slice if they are contiguous.
Rows = slice | Indices
#: Stand-ins of the final booster and of each fold's, by position of the missing feature, the costliest first.
StandIns: TypeAlias = Mapping[int, Sequence[xgb.Booster]]

CHUNK_ROWS = 25_000
MODEL_FILE = "model.ubj"
#: Number of rows on which tables are compared with xgboost, and the largest difference allowed, in log-odds.
SAMPLE, TOLERANCE = 128, 1e-5
#: Attribute of a stand-in: the position of the feature it lacks.
LACKS = "lacks"

log = structlog.get_logger()


def _file(fold: int, rank: int = 0) -> str:
    """File of a booster (rank 0) or of one of its stand-ins."""
    name = MODEL_FILE.removesuffix(".ubj") if fold == UNSEEN else f"fold_{fold}"
    return f"{name}_without_{rank}.ubj" if rank else f"{name}.ubj"


@dataclass(frozen=True)
class Contributions:
    """Margins and SHAP values of a block of rows, in log-odds.

    Attributes
    ----------
    rows : slice or ndarray of intp
        Positions of the rows.
    base_margin : float
        Base margin of the booster that scored them.
    margin : ndarray of float64, shape (n_rows,)
    values : ndarray of float64, shape (n_rows, n_features)
        SHAP values; with the base margin they add up to the margin.
    """

    rows: Rows
    base_margin: float
    margin: Floats
    values: Floats


class _Booster:
    """One booster and its tables, which are compiled when they are first needed."""

    def __init__(self, booster: xgb.Booster, types: list[str], threads: int) -> None:
        self.raw, self._types, self._threads = booster, types, threads
        booster.set_param({"nthread": threads})
        self._lock = threading.Lock()
        self._ready = False
        self._tables: ShapTables | None = None
        self._compile_error: str | None = None
        self._base = 0.0

    def prepare(self) -> str | None:
        """Compile the tables; return the reason if that is not possible, else None."""
        with self._lock:
            if not self._ready:
                try:
                    self._tables = _verified(ShapTables([self.raw], len(self._types)), self)
                    self._base = self._tables.base_margin
                except NotCompiled as error:
                    self._compile_error = str(error)
                    self._base = float(self.xgboost_shap(np.full((1, len(self._types)), np.nan))[0, -1])
                    log.info("tables_not_compiled", reason=self._compile_error)
                self._ready = True
        return self._compile_error

    @property
    def base_margin(self) -> float:
        self.prepare()
        return self._base

    def explain(self, values: Floats) -> tuple[Floats, Floats]:
        """Margins, shape (n_rows,), and SHAP values, shape (n_rows, n_features)."""
        self.prepare()
        if self._tables is not None:
            margin, shap = self._tables.explain(values)
            return margin, shap.T
        return self.xgboost_margins(values), self.xgboost_shap(values)[:, :-1]

    def margins(self, values: Floats) -> Floats:
        """Margins only, identical to those of `explain`; without tables this skips the SHAP values of xgboost."""
        self.prepare()
        return self.xgboost_margins(values) if self._tables is None else self._tables.explain(values)[0]

    def xgboost_margins(self, values: Floats) -> Floats:
        """Margins as xgboost computes them, shape (n_rows,)."""
        return np.asarray(self.raw.predict(self._data(values), output_margin=True), dtype=np.float64)

    def leaf_nodes(self, values: Floats) -> Indices:
        """The leaf of each tree that xgboost sends each row to, shape (n_rows, n_trees)."""
        nodes = self.raw.predict(self._data(values), pred_leaf=True, strict_shape=True)
        return np.asarray(nodes, dtype=np.intp).reshape(len(values), -1)

    def xgboost_shap(self, values: Floats) -> Floats:
        """SHAP values as xgboost computes them, shape (n_rows, n_features + 1); the last column is the base margin."""
        return np.asarray(self.raw.predict(self._data(values), pred_contribs=True), dtype=np.float64)

    def saved(self, lacks: int | None) -> bytes:
        """The booster in UBJSON; a stand-in also names the feature it lacks."""
        if lacks is not None:
            self.raw.set_attr(**{LACKS: str(lacks)})
        return bytes(self.raw.save_raw("ubj"))

    def _data(self, values: Floats) -> xgb.DMatrix:
        return xgb.DMatrix(values, feature_types=self._types, enable_categorical=True, nthread=self._threads)


def _verified(tables: ShapTables, booster: _Booster) -> ShapTables:
    """Compare tables with xgboost on a sample: at the split thresholds, just below them, and on missing values.

    SHAP values and base margin are compared with those of xgboost. Margins are compared with the sum of the leaves that
    xgboost reaches, in double precision, because its own single-precision sum is off by more than `TOLERANCE`.

    Raises
    ------
    NotCompiled
        If they differ by more than `TOLERANCE` or have different top reasons.
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
    reference_top = np.argsort(-reference_sizes, axis=1, kind="stable")[:, :TOP_REASONS]
    at_reference_top = np.take_along_axis(sizes, reference_top, axis=1)
    # Features whose SHAP values differ by less than the rounding of xgboost can swap places.
    if np.abs(at_reference_top + np.sort(-sizes, axis=1)[:, :TOP_REASONS]).max() > 2 * TOLERANCE:
        raise NotCompiled("Tables and xgboost give different top reasons on a sample.")
    return tables


class Trees:
    """The final booster of a model and, if they were kept, those of the folds.

    Parameters
    ----------
    final : xgboost.Booster
        Scores rows that were not in training.
    folds : sequence of xgboost.Booster
        The k-th was trained without the rows of fold k.
    feature_types : list of str
        q for numbers, c for categories.
    threads : int
        Threads of xgboost.
    stand_ins : mapping of int to sequence of xgboost.Booster, optional
        A row that lacks several of these features is scored by the stand-in of the first.
    """

    def __init__(
        self,
        final: xgb.Booster,
        folds: Sequence[xgb.Booster],
        *,
        feature_types: list[str],
        threads: int,
        stand_ins: StandIns = MappingProxyType({}),
    ) -> None:
        self._lacks = list(stand_ins)
        # For the final booster, then for each fold's: the booster and its stand-ins.
        self._boosters = [
            [
                _Booster(each, feature_types, threads)
                for each in (whole, *(boosters[at] for boosters in stand_ins.values()))
            ]
            for at, whole in enumerate((final, *folds))
        ]

    @property
    def base_margin(self) -> float:
        """Base margin of the final booster, in log-odds."""
        return self._boosters[0][0].base_margin

    def prepare(self) -> str | None:
        """Compile the tables for complete rows; return the reason if one can't be compiled, else None.

        The tables of a stand-in are compiled when the first row needs it, which takes a tenth of a second at most.
        """
        return next((why for boosters in self._boosters if (why := boosters[0].prepare())), None)

    def margins(self, values: Floats, folds: Folds) -> Floats:
        """Compute log-odds before calibration.

        Parameters
        ----------
        values : ndarray of float64, shape (n_rows, n_features)
            The model's matrix.
        folds : ndarray of int8, shape (n_rows,)
            The fold that held out each row, UNSEEN for rows that were not in training.

        Returns
        -------
        margins : ndarray of float64, shape (n_rows,)
        """
        margins = np.empty(len(values), dtype=np.float64)
        for rows, at, rank in self._blocks(values, folds):
            margins[rows] = self._boosters[at][rank].margins(values[rows])
        return margins

    def contributions(self, values: Floats, folds: Folds) -> Iterator[Contributions]:
        """Generate margins and exact path-dependent SHAP values, block by block, additive to 1e-5.

        Parameters
        ----------
        values, folds : ndarray
            As in `margins`.

        Yields
        ------
        block : Contributions
        """
        for rows, at, rank in self._blocks(values, folds):
            booster, base = self._boosters[at][rank], self._boosters[at][0].base_margin
            margin, shap = booster.explain(values[rows])
            if rank:
                shap[:, self._lacks[rank - 1]] += booster.base_margin - base
            yield Contributions(rows, base, margin, shap)

    def files(self) -> dict[str, bytes]:
        """The boosters as files in UBJSON."""
        return {
            _file(UNSEEN if at == 0 else at - 1, rank): booster.saved(self._lacks[rank - 1] if rank else None)
            for at, boosters in enumerate(self._boosters)
            for rank, booster in enumerate(boosters)
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, feature_types: list[str], threads: int) -> Self:
        """Read the boosters that `files` wrote."""
        folds = [UNSEEN, *range(sum(_file(fold) in files for fold in range(len(files))))]
        stand_ins: dict[int, list[xgb.Booster]] = {}
        for rank in range(1, len(files)):
            if _file(UNSEEN, rank) in files:
                boosters = [_booster(files[_file(fold, rank)]) for fold in folds]
                stand_ins[int(boosters[0].attr(LACKS) or 0)] = boosters
        whole = [_booster(files[_file(fold)]) for fold in folds]
        return cls(whole[0], whole[1:], feature_types=feature_types, threads=threads, stand_ins=stand_ins)

    def _blocks(self, values: Floats, folds: Folds) -> Iterator[tuple[Rows, int, int]]:
        """Rows, the position of their booster (0: final), and the rank of the stand-in that scores them, or 0."""
        width = 1 + len(self._lacks)
        code = (folds.astype(np.intp) - UNSEEN) * width
        gaps = np.isnan(values[:, self._lacks])
        if gaps.any():
            code += np.where(gaps.any(axis=1), 1 + gaps.argmax(axis=1), 0)
        for each in np.flatnonzero(np.bincount(code)):
            rows = np.flatnonzero(code == each)
            for start in range(0, len(rows), CHUNK_ROWS):
                end = min(start + CHUNK_ROWS, len(rows))
                yield (slice(start, end) if len(rows) == len(folds) else rows[start:end]), *divmod(int(each), width)


def _booster(raw: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(raw))
    return booster
