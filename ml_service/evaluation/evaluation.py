"""Evaluation: a fitted model with its test rows, and the models that it is compared with.

Law: each score of a test row comes from a model that was not trained on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from ml_service.arrays import Dates, Floats, Ints, Labels
from ml_service.data.dataset import Snapshot
from ml_service.data.feature_matrix import to_matrix
from ml_service.data.grouping import customer_groups
from ml_service.data.splitting import Split
from ml_service.evaluation.figures import figures
from ml_service.model.churn_model import ChurnModel
from shared.contracts.api import LevelSpread, TestFigures


@dataclass(frozen=True)
class Evaluation:
    """A fitted model with its data and the champion it is compared with; all properties describe the test rows.

    Attributes
    ----------
    snapshot : Snapshot
        Training and test rows, with the features that the model uses.
    split : Split
        The training rows and the test rows.
    model : ChurnModel
        The sibling, fitted on the training rows: the model that is evaluated.
    live : ChurnModel
        Fitted to all usable rows.
    table : pyarrow.Table
        All features of the rows, those that were left out of the model too: the champion may use them.
    champion : ChurnModel or None
        The sibling of the live model, to compare with.
    decided : ChurnModel or None
        The sibling of the last version that went live by a decided comparison, if it is not the champion.
    level : LevelSpread or None
        How far the level of a period strays; None without dates.
    """

    snapshot: Snapshot
    split: Split
    model: ChurnModel
    live: ChurnModel
    table: pa.Table
    champion: ChurnModel | None
    decided: ChurnModel | None = None
    level: LevelSpread | None = None

    @cached_property
    def features(self) -> pa.Table:
        """Typed columns of the test rows."""
        return self.snapshot.features.take(pa.array(self.split.test))

    @cached_property
    def keys(self) -> pa.Array:
        """Keys of the test rows, int64, null where a row has none."""
        return self.snapshot.row_keys.take(pa.array(self.split.test))

    @cached_property
    def label(self) -> Labels:
        """Labels of the test rows, shape (n_test,)."""
        return self.snapshot.label[self.split.test]

    @cached_property
    def as_of(self) -> Dates | None:
        """Dates of the test rows, shape (n_test,); None without dates."""
        return None if self.snapshot.as_of is None else self.snapshot.as_of[self.split.test]

    @cached_property
    def probability(self) -> Floats:
        """Probabilities of the new model, shape (n_test,)."""
        return self.model.predict(self.features, self.keys, self.as_of).probability

    @property
    def champion_fits(self) -> bool:
        """Whether there is a champion of a table with the same features."""
        return self.champion is not None and same_features(self.champion, self.model)

    @cached_property
    def champion_probability(self) -> Floats | None:
        """Probabilities of the champion, shape (n_test,), out of fold for rows that it was trained on."""
        if self.champion is None or not self.champion_fits:
            return None
        return self.champion.predict(self.table.take(pa.array(self.split.test)), self.keys, self.as_of).probability

    @cached_property
    def groups(self) -> Ints:
        """The customer of each test row, shape (n_test,)."""
        values = to_matrix(self.model.schema, self.model.categories, self.features).values
        return customer_groups(self.keys, values)

    def figures_of(self, model: ChurnModel, probability: Floats) -> TestFigures:
        """Compute all figures of a model from its probabilities of the test rows.

        Parameters
        ----------
        model : ChurnModel
            Gives the thresholds.
        probability : ndarray of float64, shape (n_test,)

        Returns
        -------
        figures : TestFigures
        """
        return figures(
            self.label,
            probability,
            threshold=model.threshold,
            balanced_threshold=model.balanced_threshold,
            as_of=self.as_of,
        )


def same_features(one: ChurnModel, other: ChurnModel) -> bool:
    """Whether the tables of two models have features of the same names and kinds."""
    both = [{(name, feature.kind) for name, feature in model.table_schema.features.items()} for model in (one, other)]
    return both[0] == both[1]
