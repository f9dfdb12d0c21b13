"""Settings of what the worker does by itself: schedule, import folder, backups, webhooks, the digest; and of metrics.

Law: as in `gateway.settings`, whose class inherits these.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

from gateway.cron import Cron
from gateway.setting_rules import Address, MailServer, Task, is_a_schedule, mail_server_of, schedule_of, split
from shared.settings import why_no_secret


class AutomationSettings(BaseSettings):
    """The part of the gateway's settings that only the worker, metrics and webhooks use."""

    schedule_lines: Annotated[str, AfterValidator(is_a_schedule)] = Field(
        "",
        validation_alias="SCHEDULE",
        description="Tasks that the worker does by itself, with cron lines (UTC): score 30 3 * * *; train 0 4 * * 0",
    )
    promotion: Literal["proposed", "promoted"] = Field(
        "proposed",
        validation_alias="SCHEDULED_PROMOTION",
        description="A scheduled challenger that passes the gate is proposed to an administrator, or promoted.",
    )
    import_folder: Path | None = Field(
        None, validation_alias="IMPORT_FOLDER", description="Folder whose new files the task import takes."
    )
    backup_folder: Path | None = Field(
        None,
        validation_alias="BACKUP_FOLDER",
        description="Folder that the task backup writes to.",
    )
    webhook_networks: Annotated[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...], NoDecode] = Field(
        (),
        validation_alias="WEBHOOK_NETWORKS",
        description="Internal addresses or networks that webhooks may reach, comma separated; none unless set.",
    )
    webhook_log_days: int = Field(
        30,
        ge=2,
        le=36_500,
        validation_alias="WEBHOOK_LOG_DAYS",
        description="Days that delivered and dead deliveries of webhooks are kept.",
    )
    smtp_url: SecretStr | None = Field(
        None,
        validation_alias="SMTP_URL",
        description="Mail server of the digest, smtp[s]://user:password@host:port; special characters as %40.",
    )
    digest_to: Annotated[tuple[Address, ...], NoDecode] = Field(
        (), validation_alias="DIGEST_TO", description="E-mail addresses that the digest goes to, comma separated."
    )
    digest_from: Address | None = Field(
        None, validation_alias="DIGEST_FROM", description="E-mail address that the digest comes from."
    )
    digest_webhook: SecretStr | None = Field(
        None,
        validation_alias="DIGEST_WEBHOOK",
        description="Address that takes the digest as JSON with one key, text, in place of e-mail.",
    )

    metrics_token: SecretStr | None = Field(
        None,
        validation_alias="METRICS_TOKEN",
        description="Secret for reading /metrics; production tells the state of the system only where it is set.",
    )
    worker_metrics_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        validation_alias="WORKER_METRICS_PORT",
        description="Port on HOST where the worker serves its metrics; none unless set.",
    )

    @field_validator("webhook_networks", "digest_to", mode="before")
    @classmethod
    def _split_lists(cls, value: object) -> object:
        return split(value)

    @field_validator("smtp_url")
    @classmethod
    def _check_mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            mail_server_of(value.get_secret_value())
        return value

    @field_validator("digest_webhook")
    @classmethod
    def _check_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("expected an address that begins with https://")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for task, folder, name in (
            ("import", self.import_folder, "IMPORT_FOLDER"),
            ("backup", self.backup_folder, "BACKUP_FOLDER"),
        ):
            if task in self.schedule and folder is None:
                raise ValueError(f"SCHEDULE has the task {task}, which needs {name}")
        self._check_digest()
        if self.metrics_token is not None and (why := why_no_secret(self.metrics_token.get_secret_value())):
            raise ValueError(f"METRICS_TOKEN {why}; it must be a secret, such as the output of: openssl rand -hex 32")
        return self

    def _check_digest(self) -> None:
        if self.smtp_url is not None and self.digest_webhook is not None:
            raise ValueError("SMTP_URL and DIGEST_WEBHOOK are both set; the digest goes one way")
        if self.smtp_url is not None and not (self.digest_to and self.digest_from):
            raise ValueError("SMTP_URL needs DIGEST_TO and DIGEST_FROM")
        if self.smtp_url is None and (self.digest_to or self.digest_from):
            raise ValueError("DIGEST_TO and DIGEST_FROM need SMTP_URL")
        if "digest" in self.schedule and self.smtp_url is None and self.digest_webhook is None:
            raise ValueError("SCHEDULE has the task digest, which needs SMTP_URL or DIGEST_WEBHOOK")

    @property
    def mail_server(self) -> MailServer | None:
        """The server that takes the digest as mail; None where it is not sent by mail."""
        return None if self.smtp_url is None else mail_server_of(self.smtp_url.get_secret_value())

    @property
    def token_of_metrics(self) -> str | None:
        """The token that metrics need; None where anybody may read them."""
        return None if self.metrics_token is None else self.metrics_token.get_secret_value()

    @property
    def schedule(self) -> dict[Task, Cron]:
        """The tasks of the schedule, in its order."""
        return schedule_of(self.schedule_lines)
