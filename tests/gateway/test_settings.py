"""Settings of both services: described, defaulted, forgiving to old files, strict in production."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from gateway import settings as gateway
from ml_service import settings as ml
from shared.errors import InvalidInput

SECRET = "0123456789abcdef" * 2
OLD_ENV = """
NODE_ENV=development
PORT=5050
DATABASE_PATH=./database/retainstream.db
ALLOWED_ORIGINS=http://localhost:3000, https://board.example.com
JWT_SECRET=your-secret-key
PYTHON_SERVICE_URL=http://localhost:5001
ML_MODEL_PATH=./models/churn_model.pkl
CONFIDENCE_THRESHOLD=0.7
MODEL_VERSION=2.4.1
TARGET_AUC=0.87
PYTHON_PORT=5001
SOMETHING_ELSE=ignored
"""


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No variable of this machine, no file of this folder."""
    for settings in (gateway.Settings, ml.Settings):
        for name in names(settings):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return


def names(settings: type[BaseSettings]) -> list[str]:
    found: list[str] = []
    for field in settings.model_fields.values():
        alias: Any = field.validation_alias
        found += [alias] if isinstance(alias, str) else [str(choice) for choice in alias.choices]
    return found


@pytest.mark.parametrize("settings", [gateway.Settings, ml.Settings])
def test_every_variable_has_a_description_and_a_default(settings: type[BaseSettings]) -> None:
    for name, field in settings.model_fields.items():
        assert field.description, name
        assert not field.is_required(), name
        assert field.validation_alias is not None, name


def test_both_services_start_together_without_a_word_of_configuration() -> None:
    one, other = gateway.load_settings(), ml.load_settings()
    assert one.service_token == other.service_token
    assert one.python_service_url == f"http://{other.ml_host}:{other.python_port}"
    assert (one.port, str(one.database_path), one.confidence_threshold) == (5000, "database/retainstream.db", 0.7)
    assert (one.model_version, one.target_auc, one.access_token_hours, one.host) == ("2.4.1", 0.87, 24, "127.0.0.1")
    assert one.cut == 0.7
    assert one.registration_is_open


def test_the_data_folder_is_that_of_the_database_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PATH", "/somewhere/retainstream.db")
    assert str(gateway.load_settings().data_folder) == "/somewhere"
    monkeypatch.setenv("DATA_FOLDER", "/elsewhere")
    assert str(gateway.load_settings().data_folder) == "/elsewhere"


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"),
        ("ml.example", "ml.example"),
    ],
)  # fmt: skip
def test_the_ml_service_is_looked_for_where_it_listens_unless_it_is_said_where(
    monkeypatch: pytest.MonkeyPatch, host: str, reached: str
) -> None:
    monkeypatch.setenv("PYTHON_PORT", "5301")
    monkeypatch.setenv("ML_HOST", host)
    assert gateway.load_settings().python_service_url == f"http://{reached}:5301"
    monkeypatch.setenv("PYTHON_SERVICE_URL", "https://elsewhere.example")
    assert gateway.load_settings().python_service_url == "https://elsewhere.example"


@pytest.mark.parametrize(
    ("url", "contradicts"),
    [
        ("http://localhost:5001", True), ("http://127.0.0.1", True), ("http://[::1]:5001", True),
        ("http://localhost:5301", False), ("http://elsewhere.example:5001", False), ("", False),
    ],
)  # fmt: skip
def test_an_address_of_the_ml_service_that_nothing_listens_on_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str, contradicts: bool
) -> None:
    monkeypatch.setenv("PYTHON_PORT", "5301")
    monkeypatch.setenv("PYTHON_SERVICE_URL", url)
    said = gateway.load_settings().contradiction
    assert (said is not None) == contradicts
    assert said is None or ("PYTHON_SERVICE_URL" in said and "5301" in said)


def test_an_old_environment_file_works_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(OLD_ENV)
    one, other = gateway.load_settings(), ml.load_settings()
    assert (one.app_env, one.port) == ("development", 5050)
    assert one.allowed_origins == ("http://localhost:3000", "https://board.example.com")
    assert str(other.registry_folder) == "models"


def test_the_example_environment_works_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text((Path(__file__).parents[2] / ".env.example").read_text())
    assert gateway.load_settings().app_env == "development"
    assert ml.load_settings().app_env == "development"


def test_the_newer_name_of_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_ENV", "production")
    monkeypatch.setenv("APP_ENV", "test")
    assert gateway.load_settings().app_env == ml.load_settings().app_env == "test"


def test_production_closes_registration_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"APP_ENV": "production", "JWT_SECRET": SECRET, "ML_SERVICE_TOKEN": SECRET[::-1], "BEHIND_TLS": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = gateway.load_settings()
    assert not found.registration_is_open
    assert ml.load_settings().app_env == "production"
    monkeypatch.setenv("OPEN_REGISTRATION", "1")
    assert gateway.load_settings().registration_is_open


def test_production_wants_passwords_hashed_at_a_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"APP_ENV": "production", "JWT_SECRET": SECRET, "ML_SERVICE_TOKEN": SECRET[::-1], "BEHIND_TLS": "1"}
    for name, value in (given | {"BCRYPT_COST": "9"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match="BCRYPT_COST is below 10"):
        gateway.load_settings()
    monkeypatch.setenv("BCRYPT_COST", "10")
    assert gateway.load_settings().bcrypt_cost == 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "five-thousand-77"), ("PORT", "70077"), ("APP_ENV", "staging77"), ("MODEL_VERSION", "v77"),
        ("CONFIDENCE_THRESHOLD", "0.177"), ("LIST_CUT", "0.70771"), ("REGISTER_ROLE", "root77"), ("BCRYPT_COST", "77"),
        ("DEMO", "perhaps77"), ("LOG_LEVEL", "loud77"), ("GATEWAY_THREADS", "0"), ("DEMO_CUSTOMERS", "77"),
        ("PYTHON_SERVICE_URL", "ml77:5001"), ("PYTHON_SERVICE_URL", "http://ml:port77"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named_and_its_value_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInput, match=name) as caught:
        gateway.load_settings()
    assert value not in caught.value.message or value == "0"
    assert "77" not in repr(caught.value.details)


@pytest.mark.parametrize(
    ("name", "value"), [("PYTHON_PORT", "port77"), ("ML_THREADS", "many77"), ("LOG_FORMAT", "xml77")]
)
def test_the_ml_service_names_a_wrong_variable_too(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ml.SettingsError, match=name) as caught:
        ml.load_settings()
    assert value not in str(caught.value)


def test_a_secret_is_not_shown_by_printing_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("ML_SERVICE_TOKEN", SECRET)
    assert SECRET not in repr(gateway.load_settings())
    assert SECRET not in repr(ml.load_settings())


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in names(gateway.Settings):
        monkeypatch.setenv(name, "")
    assert gateway.load_settings() == gateway.Settings(_env_file=None)  # type: ignore[call-arg]


def test_the_cut_of_the_list_may_differ_from_the_confidence_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIST_CUT", "0.25")
    assert gateway.load_settings().cut == 0.25
