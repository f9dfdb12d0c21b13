"""Settings that say where the ML service is.

Law: as in `gateway.settings`, whose class inherits these. The ML service reads ML_HOST and PYTHON_PORT too, so that
where it listens is set once.
"""

from __future__ import annotations

import ipaddress

from pydantic import Field
from pydantic_settings import BaseSettings


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

    @property
    def python_service_url(self) -> str:
        """Where the ML service is reached."""
        if self.own_service_url is not None:
            return self.own_service_url
        return f"http://{_reached_at(self.ml_host)}:{self.python_port}"


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
