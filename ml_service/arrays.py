"""Types of the package's arrays, each named after its use."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Probabilities, margins, feature values.
Floats = npt.NDArray[np.float64]
#: 1 where the customer left, 0 where they stayed.
Labels = npt.NDArray[np.int8]
#: The fold that holds out each row, -1 if none does.
Folds = npt.NDArray[np.int8]
#: Row positions, groups and keys.
Ints = npt.NDArray[np.int64]
#: Hashes of customers.
Hashes = npt.NDArray[np.uint64]
#: Positions as NumPy returns them.
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]
#: Days, datetime64[D].
Dates = npt.NDArray[np.datetime64]
