"""Settings: every environment variable of the ML service, with its type, its default and a line of help."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import setting_sources
from shared.contracts.api import Version
from shared.settings import kept_service_token, registry_folder, require_secret
from shared.validation import details_of
from shared.web.logs import LogLevel


class SettingsError(Exception):
    """A variable is missing or has a wrong value; the message names it."""


class Settings(BaseSettings):
    """The settings of the ML service; an empty variable counts as absent."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    python_port: int = Field(
        default=5001, ge=1, le=65535, validation_alias="PYTHON_PORT", description="Port the ML service listens on"
    )
    ml_host: str = Field(
        default="127.0.0.1",
        validation_alias="ML_HOST",
        description="Address to bind to; the loopback address by default",
    )
    ml_model_path: Path = Field(
        default=Path("./models"),
        validation_alias="ML_MODEL_PATH",
        description="Folder of the model registry; a path to a .pkl file means the folder of that file",
    )
    ml_service_token: SecretStr | None = Field(
        default=None,
        validation_alias="ML_SERVICE_TOKEN",
        description="Secret that callers send; required in production, otherwise random and stored in ML_MODEL_PATH",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        validation_alias="METRICS_TOKEN",
        description="Secret for reading /metrics; anybody may read them unless set",
    )
    app_env: Literal["development", "test", "production"] = Field(
        default="development",
        validation_alias=AliasChoices("APP_ENV", "NODE_ENV"),
        description="In production no token is generated; NODE_ENV is read if APP_ENV is absent",
    )
    log_level: LogLevel = Field(default="info", validation_alias="LOG_LEVEL", description="Lowest level that is logged")
    log_format: Literal["json", "text"] = Field(
        default="json", validation_alias="LOG_FORMAT", description="json for JSON lines, text for a terminal"
    )
    ml_threads: int = Field(
        default=2, ge=1, le=256, validation_alias="ML_THREADS", description="Threads of xgboost in a training"
    )
    ml_serving_threads: int = Field(
        default=1,
        ge=1,
        le=256,
        validation_alias="ML_SERVING_THREADS",
        description="Threads of xgboost in a scoring request",
    )
    ml_request_threads: int = Field(
        default=8,
        ge=1,
        le=256,
        validation_alias="ML_REQUEST_THREADS",
        description="Requests served at the same time (threads of gunicorn)",
    )
    ml_max_upload_mb: int = Field(
        default=512, ge=1, le=16_384, validation_alias="ML_MAX_UPLOAD_MB", description="Largest request body, in MiB"
    )
    ml_model_cache: int = Field(
        default=4, ge=1, le=64, validation_alias="ML_MODEL_CACHE", description="Model versions kept in memory"
    )
    model_version: Version = Field(
        default="2.4.1",
        validation_alias="MODEL_VERSION",
        description="Version of the first model if a training names none",
    )

    @model_validator(mode="after")
    def _token_is_secret(self) -> Self:
        given = self.ml_service_token.get_secret_value() if self.ml_service_token is not None else None
        require_secret("ML_SERVICE_TOKEN", given, app_env=self.app_env, host=self.ml_host)
        return self

    @cached_property
    def service_token(self) -> str:
        """The token that callers send; if unset, a random one is generated at the first use and stored."""
        if self.ml_service_token is not None:
            return self.ml_service_token.get_secret_value()
        return kept_service_token(self.ml_model_path)

    @property
    def registry_folder(self) -> Path:
        """The folder that holds one folder per model version."""
        return registry_folder(self.ml_model_path)

    @property
    def registry_note(self) -> str | None:
        """A note for the log if ML_MODEL_PATH names a file; else None."""
        if self.registry_folder == self.ml_model_path:
            return None
        return "ML_MODEL_PATH names a .pkl file: its folder is the model registry; the file itself is never read."


def load_settings() -> Settings:
    """Read the environment (and `.env` in the working folder).

    Raises
    ------
    SettingsError
        If a variable is wrong, or misspelt in `.env`; the message names each one but repeats no values.
    """
    faults = setting_sources.slips(Settings)
    try:
        settings = Settings()
    except ValidationError as error:
        faults += details_of(error, whole="")
    if faults:
        told = ((fault["field"], fault["message"]) for fault in faults)
        raise SettingsError("; ".join(f"{field}: {text}" if field else text for field, text in told))
    return settings
