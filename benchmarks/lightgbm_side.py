"""LightGBM's side of the training bar, run by a Python that has it: seconds of one fit, and AUC on the held-out rows.

Law: the same rows and columns, early stopping on a tenth of the training rows, one thread.
"""

from __future__ import annotations

import json
import sys
import time

import lightgbm as lgb
import numpy as np


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """By ranks; ties share their mean rank."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = label == 1
    n = positive.sum()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(label) - n)))


def main() -> None:
    """Fit and print one line of JSON."""
    data = np.load(sys.argv[1])
    X, y, rows = data["X"], data["y"], int(data["rows"])
    inside = np.arange(rows) % 10 != 0
    params = {"objective": "binary", "metric": "binary_logloss", "num_threads": 1, "verbosity": -1, "seed": 0}
    start = time.perf_counter()
    training = lgb.Dataset(X[:rows][inside], y[:rows][inside], categorical_feature=[X.shape[1] - 1])
    valid = lgb.Dataset(X[:rows][~inside], y[:rows][~inside], reference=training)
    booster = lgb.train(params, training, 2000, valid_sets=[valid], callbacks=[lgb.early_stopping(50, verbose=False)])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "auc": auc(y[rows:], booster.predict(X[rows:]))}))


if __name__ == "__main__":
    main()
