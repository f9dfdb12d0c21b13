"""Settings that say where the ML service is.

Law: as in `gateway.settings`, whose class inherits these. The ML service reads ML_HOST and PYTHON_PORT too, so that
where it listens is set once.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

_PORTS = {"http": 80, "https": 443}
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


class MLAddress(BaseSettings):
    """The part of the gateway's settings that names the ML service."""

    ml_host: str = Field("127.0.0.1", validation_alias="ML_HOST", description="Address the ML service listens on.")
    python_port: int = Field(
        5001, ge=1, le=65535, validation_alias="PYTHON_PORT", description="Port of the ML service."
    )
    own_service_url: str | None = Field(
        None,
        validation_alias="PYTHON_SERVICE_URL",
        description="Where the ML service is reached; at ML_HOST and PYTHON_PORT unless set.",
    )

    @field_validator("own_service_url")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                url = urlsplit(value)
                is_wrong = url.scheme not in _PORTS or not url.hostname or url.port == 0
            except ValueError:
                is_wrong = True
            if is_wrong:
                raise ValueError("expected http:// or https://, a host and, if it needs one, a port")
        return value

    @property
    def python_service_url(self) -> str:
        """Where the ML service is reached."""
        if self.own_service_url is not None:
            return self.own_service_url
        return f"http://{_reached_at(self.ml_host)}:{self.python_port}"

    @property
    def contradiction(self) -> str | None:
        """Say how PYTHON_SERVICE_URL contradicts PYTHON_PORT where the ML service runs on this machine, or None."""
        if self.own_service_url is None:
            return None
        url = urlsplit(self.own_service_url)
        port = url.port or _PORTS[url.scheme]
        if port == self.python_port or url.hostname not in _THIS_MACHINE:
            return None
        return (
            f"PYTHON_SERVICE_URL says that the ML service is reached at port {port}, but PYTHON_PORT has it listen on "
            f"{self.python_port}; remove PYTHON_SERVICE_URL, which follows PYTHON_PORT where it is unset."
        )


def _reached_at(listens_on: str) -> str:
    """Return the host of a URL for an address that a server listens on.

    >>> _reached_at("192.0.2.7"), _reached_at("0.0.0.0"), _reached_at("::"), _reached_at("ml_service")
    ('192.0.2.7', '127.0.0.1', '[::1]', 'ml_service')
    """
    try:
        address = ipaddress.ip_address(listens_on)
    except ValueError:
        return listens_on  # a name
    if address.version == 6:
        return "[::1]" if address.is_unspecified else f"[{address}]"
    return "127.0.0.1" if address.is_unspecified else str(address)
