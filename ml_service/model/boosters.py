"""The boosters of a model at work: margins and contributions of rows, each by the booster that may score it.

Law: rows are grouped by booster and cut into chunks; neither changes a bit of any row's answer. Tables answer for a
booster (`ml_service.model.shap_tables`) once they have agreed with it on a sample; where they don't, xgboost itself
does.

A row that lacks a feature with a stand-in (`ml_service.model.stand_ins`) is answered by that. Its reasons are the
stand-in's, and the missing feature's own is what the base of the stand-in differs by from that of the booster it
stands in for: that something is missing is known first, and the sum is the margin as ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import structlog
import xgboost as xgb

from ml_service.model.forest import NotCompiled, sum_of_leaves
from ml_service.model.out_of_fold import UNSEEN
from ml_service.model.shap_tables import Tables

Floats = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int8]
#: Positions of rows; a slice where they follow each other.
Rows = slice | npt.NDArray[np.intp]
#: By position of a missing feature, the dearest first: what stands in for the final booster, then for each fold's.
StandIns: TypeAlias = Mapping[int, Sequence[xgb.Booster]]

CHUNK_ROWS = 25_000
MODEL_FILE = "model.ubj"
#: Rows on which tables are held against their booster, and how far they may differ, log-odds.
SAMPLE, TOLERANCE = 128, 1e-5
TOP = 3
#: What a stand-in's file says it lacks: the feature's position.
LACKS = "lacks"

log = structlog.get_logger()


def _file(fold: int, rank: int = 0) -> str:
    """Rank 0 is the booster itself, then its stand-ins."""
    name = MODEL_FILE.removesuffix(".ubj") if fold == UNSEEN else f"fold_{fold}"
    return f"{name}_without_{rank}.ubj" if rank else f"{name}.ubj"


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
        self._tables: Tables | None = None
        self._why_not: str | None = None
        self._base = 0.0

    def prepare(self) -> str | None:
        """Make the tables; why there are none, None where there are."""
        with self._lock:
            if not self._ready:
                try:
                    self._tables = _checked(Tables([self.raw], len(self._types)), self)
                    self._base = self._tables.base_margin
                except NotCompiled as error:
                    self._why_not = str(error)
                    self._base = float(self.shap(np.full((1, len(self._types)), np.nan))[0, -1])
                    log.info("no_tables", reason=self._why_not)
                self._ready = True
        return self._why_not

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
        return self.margin(values), self.shap(values)[:, :-1]

    def alone(self, values: Floats) -> Floats:
        """The margins of `explain` to the bit; where xgboost answers, without the reasons, which cost it the most."""
        self.prepare()
        return self.margin(values) if self._tables is None else self._tables.explain(values)[0]

    def margin(self, values: Floats) -> Floats:
        """What xgboost says."""
        return np.asarray(self.raw.predict(self._data(values), output_margin=True), dtype=np.float64)

    def leaves(self, values: Floats) -> npt.NDArray[np.intp]:
        """The node of each tree that xgboost sends each row to, shape (rows, trees)."""
        found = self.raw.predict(self._data(values), pred_leaf=True, strict_shape=True)
        return np.asarray(found, dtype=np.intp).reshape(len(values), -1)

    def shap(self, values: Floats) -> Floats:
        """What xgboost says; the last column is the base, the same for every row."""
        return np.asarray(self.raw.predict(self._data(values), pred_contribs=True), dtype=np.float64)

    def saved(self, lacks: int | None) -> bytes:
        """In UBJSON; a stand-in says which feature it lacks."""
        if lacks is not None:
            self.raw.set_attr(**{LACKS: str(lacks)})
        return bytes(self.raw.save_raw("ubj"))

    def _data(self, values: Floats) -> xgb.DMatrix:
        return xgb.DMatrix(values, feature_types=self._types, enable_categorical=True, nthread=self._threads)


def _checked(tables: Tables, booster: _Booster) -> Tables:
    """Hold tables against their booster, on the thresholds themselves, beside them, and where values are missing.

    Reasons and base against what xgboost says, margins against the leaves it reaches, added in double precision: its
    own sum of many trees is off by more than `TOLERANCE`, also from the sum of its own reasons.

    Raises
    ------
    NotCompiled
        Where they differ by more than `TOLERANCE`, or name other top reasons.
    """
    values = tables.sample(SAMPLE)
    margin, ours = tables.explain(values)
    theirs = booster.shap(values)
    apart = max(
        float(np.abs(ours.T - theirs[:, :-1]).max()),
        float(np.abs(margin - sum_of_leaves(booster.raw, booster.leaves(values))).max()),
        abs(tables.base_margin - theirs[0, -1]),
    )
    if not apart <= TOLERANCE:
        raise NotCompiled(f"Tables and xgboost differ by {apart:.1e} on a sample.")
    sizes, own_sizes = np.abs(theirs[:, :-1]), np.abs(ours.T)
    by_them = np.take_along_axis(own_sizes, np.argsort(-sizes, axis=1, kind="stable")[:, :TOP], axis=1)
    # Two sizes that xgboost's own rounding can't tell apart have no order.
    if np.abs(by_them + np.sort(-own_sizes, axis=1)[:, :TOP]).max() > 2 * TOLERANCE:
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
    stand_ins
        Where a row lacks several features, the first of them counts.
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
        # Of the final booster, then of each fold's: itself, then its stand-ins.
        self._boosters = [
            [_Booster(each, feature_types, threads) for each in (whole, *(of[at] for of in stand_ins.values()))]
            for at, whole in enumerate((final, *folds))
        ]

    @property
    def base_margin(self) -> float:
        """What the final booster's contributions are counted from, log-odds."""
        return self._boosters[0][0].base_margin

    def prepare(self) -> str | None:
        """Make the tables of whole rows now, so that no request waits for them; why xgboost scores, where it does.

        Those of a stand-in are made when the first row asks for it: that one waits, for a tenth of a second at most.
        """
        return next((why for of_one in self._boosters if (why := of_one[0].prepare())), None)

    def margins(self, values: Floats, folds: Folds) -> Floats:
        """Log-odds before calibration, shape (rows,)."""
        margins = np.empty(len(values), dtype=np.float64)
        for rows, at, rank in self._blocks(values, folds):
            margins[rows] = self._boosters[at][rank].alone(values[rows])
        return margins

    def contributions(self, values: Floats, folds: Folds) -> Iterator[Contributions]:
        """Margins and exact path-dependent SHAP values, block by block; base + sum is the margin to 1e-5."""
        for rows, at, rank in self._blocks(values, folds):
            booster, base = self._boosters[at][rank], self._boosters[at][0].base_margin
            margin, shap = booster.explain(values[rows])
            if rank:
                shap[:, self._lacks[rank - 1]] += booster.base_margin - base
            yield Contributions(rows, base, margin, shap)

    def files(self) -> dict[str, bytes]:
        """Each booster in UBJSON."""
        return {
            _file(UNSEEN if at == 0 else at - 1, rank): booster.saved(self._lacks[rank - 1] if rank else None)
            for at, of_fold in enumerate(self._boosters)
            for rank, booster in enumerate(of_fold)
        }

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], *, feature_types: list[str], threads: int) -> Self:
        """Read what `files` wrote."""
        folds = [UNSEEN, *range(sum(_file(fold) in files for fold in range(len(files))))]
        stand_ins: dict[int, list[xgb.Booster]] = {}
        for rank in range(1, len(files)):
            if _file(UNSEEN, rank) in files:
                found = [_booster(files[_file(fold, rank)]) for fold in folds]
                stand_ins[int(found[0].attr(LACKS) or 0)] = found
        whole = [_booster(files[_file(fold)]) for fold in folds]
        return cls(whole[0], whole[1:], feature_types=feature_types, threads=threads, stand_ins=stand_ins)

    def _blocks(self, values: Floats, folds: Folds) -> Iterator[tuple[Rows, int, int]]:
        """Rows; whose they are, the final booster's or a fold's; and 0, or the rank of what stands in for it."""
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
