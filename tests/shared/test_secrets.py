"""Secrets: real ones in production and on addresses that others reach, random ones that are kept everywhere else."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import Settings as Gateway
from gateway.settings import load_settings
from ml_service.settings import Settings as Model
from ml_service.settings import SettingsError
from ml_service.settings import load_settings as load_model_settings
from shared.errors import InvalidInput
from shared.settings import is_loopback, kept_secret, why_no_secret

ONE, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for settings in (Gateway, Model):
        for field in settings.model_fields.values():
            for name in getattr(field.validation_alias, "choices", [field.validation_alias]):
                monkeypatch.delenv(str(name), raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Why the gateway does not start with these; empty where it does."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    try:
        load_settings()
    except InvalidInput as error:
        return error.message
    return ""


PRODUCTION = {"APP_ENV": "", "NODE_ENV": "production", "JWT_SECRET": ONE, "ML_SERVICE_TOKEN": OTHER, "BEHIND_TLS": "1"}


# --- production and addresses that others reach ---------------------------------------------------------------------


def test_production_starts_with_two_secrets_of_its_own_and_a_word_about_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, **PRODUCTION) == ""
    assert refusal(monkeypatch, BEHIND_TLS="0") == ""
    assert "BEHIND_TLS" in refusal(monkeypatch, BEHIND_TLS="")


@pytest.mark.parametrize(
    "value", ["", "short", "a" * 32, "abababab" * 8, "your-secret-key", "development-only-secret-change-me-now"]
)
@pytest.mark.parametrize("name", ["JWT_SECRET", "ML_SERVICE_TOKEN"])
def test_production_refuses_what_is_no_secret_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    said = refusal(monkeypatch, **{**PRODUCTION, name: value})
    assert name in said
    assert "openssl rand -hex 32" in said
    assert not value or value not in said


def test_production_refuses_one_secret_for_two_purposes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, **{**PRODUCTION, "ML_SERVICE_TOKEN": ONE})
    assert "JWT_SECRET and ML_SERVICE_TOKEN" in said
    assert ONE not in said


@pytest.mark.parametrize("env", ["development", "test"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "gateway.example.com"])
def test_an_address_that_others_reach_takes_no_public_secret_in_development_either(
    monkeypatch: pytest.MonkeyPatch, env: str, host: str
) -> None:
    for weak in ("your-secret-key", "development-only-secret-change-me-now", "a" * 64):
        assert "JWT_SECRET" in refusal(monkeypatch, APP_ENV=env, HOST=host, JWT_SECRET=weak)
    assert refusal(monkeypatch, APP_ENV=env, HOST=host, JWT_SECRET=ONE) == ""
    assert refusal(monkeypatch, APP_ENV=env, HOST=host, JWT_SECRET="") == ""
    monkeypatch.setenv("ML_HOST", host)
    monkeypatch.setenv("ML_SERVICE_TOKEN", "development-only-service-token")
    with pytest.raises(SettingsError, match="ML_SERVICE_TOKEN"):
        load_model_settings()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_on_loopback_an_old_environment_starts_as_it_is(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    assert is_loopback(host)
    assert refusal(monkeypatch, HOST=host, JWT_SECRET="your-secret-key") == ""


def test_a_secret_is_judged_by_length_variety_and_whether_it_is_known() -> None:
    assert why_no_secret(ONE) is None
    for weak in ("", "short", "x" * 99, "0101" * 20):
        assert why_no_secret(weak)


# --- random ones ----------------------------------------------------------------------------------------------------


def test_secrets_that_nobody_gave_are_random_kept_and_the_owners_alone(tmp_path: Path) -> None:
    gateway, model = load_settings(), load_model_settings()
    assert gateway.signing_secret == load_settings().signing_secret
    assert gateway.service_token == model.service_token
    assert len({gateway.signing_secret, gateway.service_token}) == 2
    assert why_no_secret(gateway.signing_secret) is why_no_secret(gateway.service_token) is None
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(str(path.relative_to(tmp_path)) for path in kept) == [
        "database/retainstream.db.jwt-secret",
        "models/.service-token",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_a_secret_that_was_given_is_taken_and_nothing_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JWT_SECRET", ONE)
    monkeypatch.setenv("ML_SERVICE_TOKEN", OTHER)
    assert (load_settings().signing_secret, load_settings().service_token) == (ONE, OTHER)
    assert load_model_settings().service_token == OTHER
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: kept_secret(tmp_path / "new" / "secret"), range(32)))
    assert len(found) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret"]


@pytest.mark.parametrize("content", ["", "short", "a" * 64])
def test_a_file_that_holds_no_secret_is_told_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(InvalidInput, match="does not hold a secret"):
        kept_secret(tmp_path / "secret")


def test_a_folder_that_can_not_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="can't be stored"):
        kept_secret(tmp_path / "file" / "secret")


def test_no_secret_stands_in_the_repository() -> None:
    for settings in (Gateway, Model):
        for name, field in settings.model_fields.items():
            if "secret" in name or ("token" in name and "_hours" not in name and "_days" not in name):
                assert field.default is None, name
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert "\nJWT_SECRET=\n" in example
    assert "ML_SERVICE_TOKEN=\n" in example


# --- origins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "*", "https://*.example.com", "https://example.com/path", "https://example.com?x", "https://example.com#x",
        "example.com", "null", "file://x", "ftp://example.com", "https://", "https://user@example.com", ".*",
        "https://example.com:port", "https://exa mple.com", "https://example.com//", "https://(a|b).example.com", "https://a.example.com:99999",
    ],
)  # fmt: skip
def test_what_is_no_exact_origin_stops_the_start(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    assert "ALLOWED_ORIGINS" in refusal(monkeypatch, ALLOWED_ORIGINS=f"https://board.example.com,{origin}")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:3000", ("http://localhost:3000",)),
        ("https://Board.example.com/, http://[::1]:3000", ("https://board.example.com", "http://[::1]:3000")),
        ("https://xn--bcher-kva.example", ("https://xn--bcher-kva.example",)),
    ],
)
def test_exact_origins_are_taken(monkeypatch: pytest.MonkeyPatch, given: str, kept: tuple[str, ...]) -> None:
    assert refusal(monkeypatch, ALLOWED_ORIGINS=given) == ""
    found: Any = load_settings().allowed_origins
    assert found == kept


def test_the_umask_of_whoever_starts_it_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept_secret(tmp_path / "folder" / "secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700
