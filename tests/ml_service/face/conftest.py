"""Two tables in memory and the models made of them, once per run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retainstream import ChurnModel


def make_customers(rows: int = 500, seed: int = 5) -> pd.DataFrame:
    """Customers as a DataFrame holds them: an id, numbers with gaps, a category, a truth value, a date and a label."""
    rng = np.random.default_rng(seed)
    calls, age = np.abs(rng.normal(10, 4, rows)).round(2), rng.integers(18, 80, rows)
    tariff, paperless = rng.integers(0, 3, rows), rng.random(rows) < 0.4
    chance = 1 / (1 + np.exp(-(-1.2 + 0.4 * (calls - 10) + np.array([0, 0.8, -0.9])[tariff] + paperless)))
    calls[rng.random(rows) < 0.05] = np.nan
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in rng.permutation(rows)],
            "calls": calls,
            "age": age,
            "tariff": pd.Categorical(np.array(["basic", "plus", "old"])[tariff]),
            "paperless": paperless,
            "joined": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D"),
            "churn": np.where(rng.random(rows) < chance, "Yes", "No"),
        }
    )


def make_dated() -> pd.DataFrame:
    """The same customers, seen in six months."""
    table = make_customers(900, seed=6)
    months = np.arange(len(table)) % 6
    return table.assign(
        customer_id=table.index // 6, as_of=pd.Timestamp("2025-01-15") + pd.to_timedelta(30 * months, unit="D")
    )


@pytest.fixture
def registry_folder(tmp_path: Path) -> Path:
    """A registry without a model, for `own_call`."""
    return tmp_path / "models"


@pytest.fixture(scope="session")
def customers() -> pd.DataFrame:
    return make_customers()


@pytest.fixture(scope="session")
def fitted(customers: pd.DataFrame) -> ChurnModel:
    """A model of the customers, which nobody changes."""
    return ChurnModel(label="churn", trials=1, random_state=3).fit(customers)
