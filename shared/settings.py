"""Rules that the settings of both services share: secrets in production, and the registry's folder."""

from __future__ import annotations

from pathlib import Path

#: The same in both services, so that both start together without a word of configuration.
DEV_ML_TOKEN = "development-only-service-token"
MIN_SECRET_LENGTH = 32


def require_secret(name: str, value: str, *, default: str) -> None:
    """Raise ValueError unless a production secret is long enough and not the development default."""
    if value == default or len(value) < MIN_SECRET_LENGTH:
        raise ValueError(
            f"{name} must be set to a secret of {MIN_SECRET_LENGTH} characters or more in production, "
            "for example the output of: openssl rand -hex 32"
        )


def registry_folder(ml_model_path: Path) -> Path:
    """Return the folder that holds one folder per model version: of a .pkl file, the folder it lies in.

    >>> registry_folder(Path("models/model.pkl"))
    PosixPath('models')
    """
    return ml_model_path.parent if ml_model_path.suffix.lower() == ".pkl" else ml_model_path
