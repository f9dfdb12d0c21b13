"""What a model was made with, and what tells it from another.

Law: the same data, seed and trials give the same checksum; no time and no version is part of it.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import scipy
import xgboost as xgb


def library_versions() -> dict[str, str]:
    """Of what takes part in a score."""
    return {
        "python": platform.python_version(),
        "xgboost": xgb.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pyarrow": pa.__version__,
    }


def model_checksum(files: Mapping[str, bytes], decides: Sequence[Any]) -> str:
    """SHA-256 of the boosters and of the plain values that decide a score."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(name.encode() + data if name.endswith(".ubj") else b"")
    digest.update(orjson.dumps(decides))
    return digest.hexdigest()
