"""ChurnModel keeps scikit-learn's conventions: its own checks, pipelines, cross-validation."""

from __future__ import annotations

from unittest import SkipTest

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_estimator,
    estimator_checks_generator,
)

from retainstream import ChurnModel

MOST_EXCEPTIONS = 12
EXCEPTIONS = {
    "check_positive_only_tag_during_fit": "its feature alone tells the class of the irises: the product refuses a leak",
    "check_classifiers_train": "one feature of its blobs alone tells their class: the product refuses a leak",
}


def checked() -> ChurnModel:
    """Most tables of the checks are smaller than the product trains on (25 leavers): there, it says the rate, as told."""
    return ChurnModel(trials=1, threads=1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_checks_of_scikit_learn_hold_but_for_the_exceptions_named() -> None:
    assert len(EXCEPTIONS) <= MOST_EXCEPTIONS
    held, skipped = 0, 0
    for model, check in estimator_checks_generator(checked(), expected_failed_checks=EXCEPTIONS, mark="skip"):
        try:
            check(model)
            held += 1
        except SkipTest:
            skipped += 1
    assert held > 45
    assert skipped <= 5, "the exceptions, one of which is three checks, and one that another library's setting turns on"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_exception_still_is_one() -> None:
    results = check_estimator(checked(), expected_failed_checks=EXCEPTIONS, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "xfail"} == set(EXCEPTIONS)
    assert {result["status"] for result in results} <= {"passed", "xfail", "skipped"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_names_of_columns_are_those_of_fit_in_their_order() -> None:
    check_dataframe_column_names_consistency("ChurnModel", ChurnModel(trials=1))


def test_parameters_are_read_set_and_shown() -> None:
    model = ChurnModel("churn", "Yes", 2).set_params(random_state=4)
    assert {"label": "churn", "positive": "Yes", "trials": 2, "random_state": 4}.items() <= model.get_params().items()
    assert repr(model) == "ChurnModel(label='churn', positive='Yes', random_state=4, trials=2)"


def test_it_works_at_the_end_of_a_pipeline_and_under_cross_validation(customers: pd.DataFrame) -> None:
    numbers = customers[["calls", "age"]].to_numpy()
    left = (customers["churn"] == "Yes").to_numpy()
    pipeline = make_pipeline(StandardScaler(), ChurnModel(trials=1))
    found = cross_validate(pipeline, numbers, left, scoring="roc_auc", cv=2, return_estimator=True)
    assert (found["test_score"] > 0.65).all()
    for fitted in found["estimator"]:
        probability = fitted.predict_proba(numbers)
        assert probability.shape == (500, 2)
        assert np.allclose(probability.sum(axis=1), 1)
        assert fitted.classes_.tolist() == [False, True]
        assert fitted[-1].n_features_in_ == 2
        assert not hasattr(fitted[-1], "feature_names_in_")


@pytest.mark.filterwarnings("ignore:.*at least 25 of each:UserWarning")
def test_a_table_that_holds_its_label_is_cross_validated_without_y(customers: pd.DataFrame) -> None:
    model = ChurnModel(label="churn")
    accuracies = cross_val_score(model, customers.head(60), cv=2)
    stayed = (customers["churn"].head(60) == "No").to_numpy()
    assert accuracies.tolist() == [stayed[:30].mean(), stayed[30:].mean()]
