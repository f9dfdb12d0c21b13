"""Every setting of the gateway: type, default, one line of help.

Law: the environment (and `.env`) is read here and nowhere else. docs/operations.md lists exactly these.
"""

from __future__ import annotations

import ipaddress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from gateway.automation_settings import AutomationSettings
from gateway.ml_address import MLAddress
from gateway.setting_rules import Cut, Limit, exact_origins, split
from shared import setting_sources
from shared.contracts.api import Version
from shared.errors import InvalidInput
from shared.settings import kept_secret, kept_service_token, registry_folder, require_secret
from shared.validation import details_of
from shared.web.logs import LogLevel

Role = Literal["viewer", "analyst", "admin"]


class Settings(MLAddress, AutomationSettings):
    """The gateway's settings, read once by `create_app`, the worker or a command."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, protected_namespaces=())

    app_env: Literal["development", "production", "test"] = Field(
        "development",
        validation_alias=AliasChoices("APP_ENV", "NODE_ENV"),
        description="development, test or production; NODE_ENV is read too. Production generates no secrets.",
    )
    host: str = Field("127.0.0.1", validation_alias="HOST", description="Address the gateway listens on.")
    port: int = Field(5000, ge=1, le=65535, validation_alias="PORT", description="Port of the gateway.")
    threads: int = Field(16, ge=6, le=128, validation_alias="GATEWAY_THREADS", description="Request threads.")
    database_path: Path = Field(
        Path("./database/retainstream.db"), validation_alias="DATABASE_PATH", description="The SQLite file."
    )
    own_data_folder: Path | None = Field(
        None,
        validation_alias="DATA_FOLDER",
        description="Folder of uploads, exports and lock files, the same for every process; the database's unless set.",
    )
    actions_file: Path | None = Field(
        None,
        validation_alias="ACTIONS_FILE",
        description="TOML catalogue of actions, with their costs; the built-in one unless set.",
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode, AfterValidator(exact_origins)] = Field(
        ("http://localhost:3000",),
        validation_alias="ALLOWED_ORIGINS",
        description="CORS origins, exact, comma separated: scheme, host, port; no path, no star.",
    )
    behind_tls: bool = Field(
        False,
        validation_alias="BEHIND_TLS",
        description="Served over HTTPS: secure cookies, HSTS. Production requires a value, even if 0.",
    )
    trusted_proxies: int = Field(
        0, ge=0, le=5, validation_alias="TRUSTED_PROXIES", description="Proxies whose X-Forwarded-For is trusted."
    )
    proxy_addresses: Annotated[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], NoDecode] = Field(
        (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")),
        validation_alias="PROXY_ADDRESSES",
        description="Addresses or networks of the proxy that connects here; others are not trusted.",
    )
    jwt_secret: SecretStr | None = Field(
        None,
        validation_alias="JWT_SECRET",
        description="Signs tokens; 32 characters or more in production. Unset elsewhere: random, kept in DATA_FOLDER.",
    )
    access_token_hours: int = Field(
        24, ge=1, le=168, validation_alias="ACCESS_TOKEN_HOURS", description="Life of an access token."
    )
    refresh_token_days: int = Field(
        30, ge=1, le=365, validation_alias="REFRESH_TOKEN_DAYS", description="Life of a session from its sign-in."
    )
    open_registration: bool | None = Field(
        None,
        validation_alias="OPEN_REGISTRATION",
        description="Anyone may register; on in development, off in production unless set.",
    )
    register_role: Role = Field("analyst", validation_alias="REGISTER_ROLE", description="Role of new accounts.")
    bcrypt_cost: int = Field(
        12, ge=4, le=16, validation_alias="BCRYPT_COST", description="Work factor of password hashes."
    )
    credentials_limit: Limit = Field(
        "10 per minute",
        validation_alias="CREDENTIALS_LIMIT",
        description="Limit per client and route on sign-in, registration and password routes.",
    )
    account_limit: Limit = Field(
        "50 per hour",
        validation_alias="ACCOUNT_LIMIT",
        description="Wrong passwords for one account from any address; an address it signed in from has its own count.",
    )
    request_limit: Limit = Field(
        "600 per minute", validation_alias="REQUEST_LIMIT", description="Limit per person or address on other routes."
    )
    ml_service_token: SecretStr | None = Field(
        None,
        validation_alias="ML_SERVICE_TOKEN",
        description="Shared with the ML service; rules as for JWT_SECRET, another value. Unset: kept in ML_MODEL_PATH.",
    )
    confidence_threshold: float = Field(
        0.7,
        ge=0.5,
        le=1,
        validation_alias="CONFIDENCE_THRESHOLD",
        description="A prediction with less confidence counts as unsure.",
    )
    list_cut: Cut | None = Field(
        None,
        ge=0,
        le=1,
        validation_alias="LIST_CUT",
        description="Cut of the high-risk list; CONFIDENCE_THRESHOLD unless set.",
    )
    model_version: Version = Field("2.4.1", validation_alias="MODEL_VERSION", description="Version of the first model.")
    target_auc: float = Field(
        0.87, ge=0.5, le=1, validation_alias="TARGET_AUC", description="AUC shown as the target beside the model's."
    )
    alert_auc: float | None = Field(
        None,
        ge=0.5,
        le=1,
        validation_alias="ALERT_AUC",
        description="Live AUC below which the model is degraded; unset: only what training promised counts.",
    )
    allow_missing: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="ALLOW_MISSING",
        description="Features that scoring may lack although training had them complete, comma separated.",
    )
    facts_max_age_days: int = Field(
        35, ge=0, le=3650, validation_alias="FACTS_MAX_AGE_DAYS", description="Oldest facts that a run scores, days."
    )
    max_upload_mb: int = Field(
        200, ge=1, le=10_000, validation_alias="MAX_UPLOAD_MB", description="Largest accepted body, megabytes."
    )
    export_keep_hours: float = Field(
        24.0, gt=0, le=8760, validation_alias="EXPORT_KEEP_HOURS", description="Hours that Parquet exports are kept."
    )
    export_stream_minutes: float = Field(
        10.0, gt=0, le=1440, validation_alias="EXPORT_STREAM_MINUTES", description="Minutes a streamed export may take."
    )
    max_waiting: int = Field(
        4, ge=0, le=64, validation_alias="MAX_WAITING", description="Requests that may wait for a job at the same time."
    )
    max_queued: int = Field(
        20, ge=1, le=1000, validation_alias="MAX_QUEUED", description="Jobs of one kind that a person may have waiting."
    )
    max_queue: int = Field(
        200,
        ge=1,
        le=10_000,
        validation_alias="MAX_QUEUE",
        description="Total jobs that may wait; of one person a quarter.",
    )
    max_spool_mb: int = Field(
        2_000,
        ge=1,
        le=1_000_000,
        validation_alias="MAX_SPOOL_MB",
        description="Disk space for stored uploads and rejected rows, megabytes.",
    )
    worker_memory_mb: int = Field(
        4_096,
        ge=512,
        le=1_000_000,
        validation_alias="WORKER_MEMORY_MB",
        description="Maximum memory of the worker's data, megabytes: a job that needs more fails.",
    )
    ml_model_path: Path = Field(
        Path("./models"),
        validation_alias="ML_MODEL_PATH",
        description="The ML service's model registry, for backup and restore; ending in .pkl, that file's folder.",
    )
    ledger_months: int | None = Field(
        None, ge=1, le=1200, validation_alias="LEDGER_MONTHS", description="Months the ledger is kept; unset: for ever."
    )
    audit_months: int | None = Field(
        None, ge=1, le=1200, validation_alias="AUDIT_MONTHS", description="Months audit rows are kept; unset: for ever."
    )
    jobs_months: int | None = Field(
        None, ge=1, le=1200, validation_alias="JOBS_MONTHS", description="Months ended jobs are kept; unset: for ever."
    )
    job_results_days: int = Field(
        30,
        ge=1,
        le=36_500,
        validation_alias="JOB_RESULTS_DAYS",
        description="Days that results and details of errors of ended jobs are kept.",
    )
    demo: bool = Field(
        True,
        validation_alias="DEMO",
        description="`make run` makes demo data when the database is empty; 0 starts empty.",
    )
    demo_customers: int = Field(
        13_334, ge=500, le=200_000, validation_alias="DEMO_CUSTOMERS", description="Active customers of the demo."
    )
    log_level: LogLevel = Field("info", validation_alias="LOG_LEVEL", description="debug, info, warning or error.")
    log_format: Literal["json", "text"] = Field(
        "json", validation_alias="LOG_FORMAT", description="json lines, or text for a terminal."
    )

    @field_validator("allowed_origins", "allow_missing", "proxy_addresses", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split(value)

    @model_validator(mode="after")
    def _check_secrets(self) -> Self:
        given = (self.jwt_secret, self.ml_service_token)
        jwt, token = (each.get_secret_value() if each is not None else None for each in given)
        require_secret("JWT_SECRET", jwt, app_env=self.app_env, host=self.host)
        require_secret("ML_SERVICE_TOKEN", token, app_env=self.app_env, host=self.host)
        if self.app_env != "production":
            return self
        if jwt == token:
            raise ValueError("JWT_SECRET and ML_SERVICE_TOKEN are the same; each needs a secret of its own")
        if self.bcrypt_cost < 10:
            raise ValueError("BCRYPT_COST is below 10, which is too weak for production")
        if "behind_tls" not in self.model_fields_set:
            raise ValueError(
                "BEHIND_TLS is not set; in production set 1, behind a proxy that ends TLS, "
                "or 0 if cookies and tokens may be sent unencrypted"
            )
        return self

    @cached_property
    def signing_secret(self) -> str:
        """The secret that signs tokens; if unset, a random one is made at the first use and kept."""
        if self.jwt_secret is not None:
            return self.jwt_secret.get_secret_value()
        return kept_secret(self.data_folder / f"{self.database_path.name}.jwt-secret")

    @cached_property
    def service_token(self) -> str:
        """The token that the gateway sends to the ML service; if unset, a random one is made and kept."""
        if self.ml_service_token is not None:
            return self.ml_service_token.get_secret_value()
        return kept_service_token(self.ml_model_path)

    @property
    def registration_is_open(self) -> bool:
        return self.open_registration if self.open_registration is not None else self.app_env != "production"

    @property
    def data_folder(self) -> Path:
        """The folder of the files that are not the database's own: uploads, exports, locks."""
        return self.own_data_folder if self.own_data_folder is not None else self.database_path.parent

    @property
    def registry_folder(self) -> Path:
        """The folder that holds one folder per model version."""
        return registry_folder(self.ml_model_path)

    @property
    def cut(self) -> float:
        """The cut of the high-risk list."""
        return self.list_cut if self.list_cut is not None else self.confidence_threshold

    @property
    def derived(self) -> dict[str, object]:
        """The values that hold where these are unset."""
        return {
            "own_data_folder": self.data_folder,
            "open_registration": self.registration_is_open,
            "list_cut": self.cut,
            "own_service_url": self.python_service_url,
        }


def load_settings() -> Settings:
    """Read the environment.

    Raises
    ------
    InvalidInput
        Names each wrong variable and what was expected; never its value. Names each misspelt one in `.env`.
    """
    details = setting_sources.slips(Settings)
    try:
        settings = Settings()
    except ValidationError as error:
        details += details_of(error, whole="settings")
    if details:
        text = "; ".join(f"{d['field']}: {d['message']}" for d in details)
        raise InvalidInput(f"The settings can't be used: {text}", details=details)
    return settings
