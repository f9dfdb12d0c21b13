"""The environment, and how the service starts."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from ml_service.__main__ import main
from ml_service.app import create_app
from ml_service.settings import Settings, SettingsError, load_settings
from shared.web.gunicorn import gunicorn_line, why_not

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields.values():
        for name in getattr(field.validation_alias, "choices", [field.validation_alias]):
            monkeypatch.delenv(str(name), raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults_are_the_documented_ones() -> None:
    settings = load_settings()
    assert (settings.python_port, settings.ml_host, settings.registry_folder) == (5001, "127.0.0.1", Path("models"))
    assert settings.ml_service_token is None
    assert settings.model_version == "2.4.1"


def test_every_setting_has_a_line_of_help() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and field.validation_alias, name


def test_an_old_environment_works_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ML_MODEL_PATH", "./models/churn_model.pkl")
    monkeypatch.setenv("NODE_ENV", "development")
    monkeypatch.setenv("TARGET_AUC", "0.87")
    assert load_settings().registry_folder == Path("models")
    create_app()
    assert capsys.readouterr().out.count("the file itself is never read") == 1


@pytest.mark.parametrize("variable", ["APP_ENV", "NODE_ENV"])
@pytest.mark.parametrize("token", [None, "", "development-only-service-token", "short"])
def test_production_refuses_a_token_that_is_known_or_short(
    monkeypatch: pytest.MonkeyPatch, variable: str, token: str | None
) -> None:
    monkeypatch.setenv(variable, "production")
    if token is not None:
        monkeypatch.setenv("ML_SERVICE_TOKEN", token)
    with pytest.raises(SettingsError, match="ML_SERVICE_TOKEN"):
        load_settings()


def test_production_starts_with_a_token_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("ML_SERVICE_TOKEN", "0123456789abcdef" * 2)
    assert load_settings().app_env == "production"


def test_a_wrong_variable_is_named_and_its_value_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_PORT", "secret-value")
    with pytest.raises(SettingsError, match="PYTHON_PORT") as error:
        load_settings()
    assert "secret-value" not in str(error.value)


def test_the_token_is_not_printed() -> None:
    assert "hidden" not in repr(Settings(_env_file=None, ml_service_token=SecretStr("hidden")))


def test_a_taken_port_is_said_in_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("PYTHON_PORT", str(taken.getsockname()[1]))
        assert main([]) == 1
        err = capsys.readouterr().err
    assert re.fullmatch(r"Port \d+ on 127\.0\.0\.1 is taken: .*PYTHON_PORT.*\n", err)


def test_an_address_that_is_not_ours_is_said_too() -> None:
    problem = why_not("192.0.2.1", 5001, "PYTHON_PORT")
    assert problem is not None and "PYTHON_PORT" in problem


def test_it_is_served_by_gunicorn_threads_of_one_process() -> None:
    line = " ".join(gunicorn_line("ml_service.app:create_app", host="127.0.0.1", port=5001, threads=8, reload=True))
    assert "--no-control-socket" in line and "--worker-class shared.web.worker.Worker" in line and "--workers 1" in line
    assert "--bind 127.0.0.1:5001" in line and line.endswith("--reload") and "preload" not in line


def test_importing_the_app_creates_nothing(tmp_path: Path) -> None:
    code = "import threading, ml_service.app, ml_service.api.routes; print(threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "APP_ENV": "production"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "1" and list(tmp_path.iterdir()) == []


def test_nothing_in_the_service_reads_a_pickle() -> None:
    for path in (ROOT / "ml_service").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (pickle|joblib|cloudpickle|dill|shelve)\b", text, re.MULTILINE), path
        assert "allow_pickle=True" not in text and not re.search(r"\bsubprocess\b|\bos\.fork\b", text), path
