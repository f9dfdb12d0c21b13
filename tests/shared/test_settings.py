"""Rules for the registry's folder that both services keep."""

from __future__ import annotations

from pathlib import Path

from gateway.settings import Settings as Gateway
from ml_service.settings import Settings as Model
from shared.settings import registry_folder


def test_a_pickles_folder_is_the_registry() -> None:
    assert registry_folder(Path("models/model.PKL")) == Path("models")
    assert registry_folder(Path("models")) == Path("models")


def test_both_services_start_with_the_same_registry() -> None:
    gateway, model = Gateway(_env_file=None), Model(_env_file=None)  # type: ignore[call-arg]
    assert gateway.registry_folder == model.registry_folder
