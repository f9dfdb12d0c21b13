"""Where settings come from, and misspelt names in `.env`: for both services alike."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from gateway import settings as gateway
from ml_service import settings as ml
from shared import setting_sources
from shared.errors import InvalidInput
from shared.setting_sources import InForce, names_of

SECRET = "0123456789abcdef" * 2
#: Variables of other programs that often stand in one file with ours, and look a little like them.
OTHERS = (
    "DATABASE_URL", "DB_PATH", "NODE_VERSION", "API_PORT", "POSTGRES_PORT", "REDIS_HOST", "SECRET_KEY", "JWT_EXPIRES_IN",
    "LOG_FILE", "DEBUG", "PYTHONPATH", "PYTHON_VERSION", "MODEL_NAME", "COMPOSE_PROJECT_NAME", "SMTP_PORT", "TZ",
    "RETAINSTREAM_PASSWORD", "RETAINSTREAM_DATA",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of this machine, no file of this folder."""
    for kind in (gateway.Settings, ml.Settings):
        for name in names(kind):
            monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def names(kind: type[BaseSettings]) -> list[str]:
    return [name for field in kind.model_fields.values() for name in names_of(field)]


def write(text: str) -> None:
    Path(".env").write_text(text)


@pytest.mark.parametrize(
    "slip, meant",
    [("PROT", "PORT"), ("DATABSE_PATH", "DATABASE_PATH"), ("LOG_LEVL", "LOG_LEVEL"), ("JWTSECRET", "JWT_SECRET")],
)
def test_a_misspelt_name_is_refused_with_the_name_that_was_meant(slip: str, meant: str) -> None:
    write(f"APP_ENV=test\n{slip}=5200\n")
    with pytest.raises(InvalidInput, match=f"unknown setting {slip} in .env; did you mean {meant}") as caught:
        gateway.load_settings()
    assert "5200" not in caught.value.message


def test_the_ml_service_refuses_its_own_misspelt_names() -> None:
    write("ML_THREDS=3\n")
    assert gateway.load_settings().port == 5000
    with pytest.raises(ml.SettingsError, match=r"unknown setting ML_THREDS in .env; did you mean ML_THREADS"):
        ml.load_settings()


def test_a_misspelt_name_is_told_beside_what_else_is_wrong() -> None:
    write("PROT=5200\nGATEWAY_THREADS=0\n")
    with pytest.raises(InvalidInput, match=r"(?s)did you mean PORT.*GATEWAY_THREADS"):
        gateway.load_settings()


def test_a_file_that_is_shared_with_other_programs_works() -> None:
    write("".join(f"{name}=1\n" for name in OTHERS) + "port=5200\n")
    assert gateway.load_settings().port == 5200
    assert ml.load_settings().python_port == 5001
    assert setting_sources.unknown_names(gateway.Settings) == sorted(OTHERS)


def test_no_setting_of_one_service_looks_misspelt_to_the_other() -> None:
    near = [
        (one, other)
        for one, other in product(names(gateway.Settings), names(ml.Settings))
        if one != other and setting_sources.is_one_slip(one, other)
    ]
    assert near == []


@pytest.mark.parametrize(
    "one, other, is_one", [
        ("PORT", "PORT", False), ("PORTT", "PORT", True), ("PRT", "PORT", True), ("PART", "PORT", True),
        ("OPRT", "PORT", True), ("TROP", "PORT", False), ("PORTAL", "PORT", False), ("", "A", True), ("AB", "", False),
    ],
)  # fmt: skip
def test_one_slip_is_a_letter_too_many_too_few_or_wrong_or_two_swapped(one: str, other: str, is_one: bool) -> None:
    assert setting_sources.is_one_slip(one, other) == setting_sources.is_one_slip(other, one) == is_one


def test_each_setting_is_told_with_what_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        f"NODE_ENV=test\nPORT=5200\nTARGET_AUC=\nJWT_SECRET={SECRET}\nALLOWED_ORIGINS=http://a.example, http://b.example\n"
    )
    monkeypatch.setenv("PORT", "5300")
    monkeypatch.setenv("PYTHON_SERVICE_URL", "http://me:secret@ml:5001")
    found = {each.name: each for each in setting_sources.in_force(gateway.load_settings())}
    assert found["PORT"] == InForce("PORT", "5300", "environment", False)
    assert found["NODE_ENV"] == InForce("NODE_ENV", "test", ".env", False)
    assert found["TARGET_AUC"].source == "default"
    assert found["JWT_SECRET"] == InForce("JWT_SECRET", None, ".env", True)
    assert found["ML_SERVICE_TOKEN"] == InForce("ML_SERVICE_TOKEN", None, "default", True)
    assert found["ALLOWED_ORIGINS"].value == "http://a.example,http://b.example"
    assert found["PYTHON_SERVICE_URL"].value == "http://***@ml:5001"
    assert found["BEHIND_TLS"].value == "0"
    assert found["LIST_CUT"].value is None
    assert len(found) == len(gateway.Settings.model_fields)
