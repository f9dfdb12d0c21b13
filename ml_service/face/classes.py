"""The two classes of a label, in its own values, as scikit-learn names them.

Law: which value means that the customer left is read by the function that reads the labels of files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from ml_service.arrays import Flags, Floats
from shared.errors import InvalidInput
from shared.schema.features import Schema
from shared.tables.columns import FileColumns, plain
from shared.tables.row_checks import Reading


@dataclass(frozen=True)
class Classes:
    """Two classes, one of which means that the customer left.

    Attributes
    ----------
    names : ndarray, shape (2,)
        Sorted.
    left : int
        Position of the one that means it.
    """

    names: np.ndarray
    left: int

    def columns(self, leaving: Floats) -> Floats:
        """The probabilities of both classes, shape (n_rows, 2)."""
        both = [1 - leaving, leaving]
        return np.column_stack(both if self.left else both[::-1])

    def labels(self, left: Flags) -> np.ndarray:
        """The class of each row."""
        return self.names[np.where(left, self.left, 1 - self.left)]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return {"names": self.names.tolist(), "left": self.left}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """The classes that `as_dict` wrote."""
        is_text = isinstance(kept["names"][0], str)
        return cls(np.array(kept["names"], dtype=object if is_text else None), kept["left"])


#: The classes of a label with more than two values, and of a model whose labels nobody kept.
PLAIN = Classes(np.array([0, 1]), 1)


def checked_labels(y: Any) -> np.ndarray:
    """Check the labels that a caller gave, as scikit-learn does.

    Returns
    -------
    labels : ndarray, shape (n_rows,)

    Raises
    ------
    ValueError
        If they are not of two classes, or one is missing.
    """
    labels = np.asarray(column_or_1d(y, warn=True))
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    count = len(np.unique(labels))
    if count > 2:
        raise InvalidInput("Only binary classification is supported. The type of the target is multiclass.")
    if count == 1:
        raise InvalidInput("y holds 1 class; leavers and stayers are needed.")
    return labels


def classes_of(labels: pa.Array, schema: Schema) -> Classes:
    """The classes of a label.

    Parameters
    ----------
    labels : pyarrow.Array, length n_rows
        The label's column as it stands in the table.
    schema : Schema
        Says which of them mean that the customer left.

    Returns
    -------
    classes : Classes
        The label's own values if two mean something, else 0 and 1.
    """
    values = np.unique(labels.drop_null().to_numpy(zero_copy_only=False))
    name = schema.label or ""
    file = FileColumns((name,), (plain(pa.array(values)),), None)
    read = Reading(file, schema, np.arange(len(values))).label()
    told = {} if read is None else {at: left for at, left in enumerate(read[0].to_pylist()) if left is not None}
    if sorted(told.values()) != [0, 1]:
        return PLAIN
    return Classes(values[list(told)], list(told.values()).index(1))
