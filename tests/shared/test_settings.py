"""Rules for secrets and for the registry's folder that both services keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings import Settings as Gateway
from ml_service.settings import Settings as Model
from shared.settings import DEV_ML_TOKEN, MIN_SECRET_LENGTH, registry_folder, require_secret


@pytest.mark.parametrize("value", ["", "short", "x" * (MIN_SECRET_LENGTH - 1), "the default of this very long name"])
def test_a_short_secret_and_the_default_are_refused_without_being_repeated(value: str) -> None:
    with pytest.raises(ValueError, match="NAME must be set") as caught:
        require_secret("NAME", value, default="the default of this very long name")
    assert not value or value not in str(caught.value)


def test_a_secret_of_enough_characters_is_taken() -> None:
    require_secret("NAME", "x" * MIN_SECRET_LENGTH, default="y" * MIN_SECRET_LENGTH)


def test_a_pickles_folder_is_the_registry() -> None:
    assert registry_folder(Path("models/model.PKL")) == Path("models")
    assert registry_folder(Path("models")) == Path("models")


def test_both_services_start_with_the_same_token_and_the_same_registry() -> None:
    gateway, model = Gateway(_env_file=None), Model(_env_file=None)  # type: ignore[call-arg]
    assert gateway.ml_service_token.get_secret_value() == DEV_ML_TOKEN == model.ml_service_token.get_secret_value()
    assert gateway.registry_folder == model.registry_folder
