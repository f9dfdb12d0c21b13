"""Rules that the settings of both services share: secrets, loopback addresses and the registry's folder.

Law: the repository holds no secret. Outside production, a missing secret is replaced by a random one, which is kept.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path

from shared.errors import InvalidInput

MIN_SECRET_LENGTH = 32
#: Different characters: random hex of that length has fewer only once in millions.
MIN_VARIETY = 8
#: Texts that were in this repository or in the example of the backend it replaces.
_PUBLIC = ("development-only-secret-change-me-now", "development-only-service-token", "your-secret-key")
_SHARED_FILE = ".service-token"


def why_no_secret(value: str) -> str | None:
    """Return why a text is not a secret, as the end of a sentence; None if it can be one."""
    if len(value) < MIN_SECRET_LENGTH:
        return f"has fewer than {MIN_SECRET_LENGTH} characters"
    if value in _PUBLIC:
        return "is public"
    if len(set(value)) < MIN_VARIETY:
        return f"has fewer than {MIN_VARIETY} different characters"
    return None


def require_secret(name: str, value: str | None, *, app_env: str, host: str) -> None:
    """Raise ValueError if a variable does not hold a secret, in production or if others can reach the address.

    Outside production, the variable can be unset.
    """
    is_production = app_env == "production"
    if not is_production and (value is None or is_loopback(host)):
        return
    why = "is not set" if value is None else why_no_secret(value)
    if why is not None:
        where = "in production" if is_production else f"on {host}, which others can reach"
        raise ValueError(f"{name} {why}; {where} it must be a secret, for example the output of: openssl rand -hex 32")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def kept_secret(path: Path) -> str:
    """Return the secret in a file; the first call makes it at random, for its owner only.

    Raises
    ------
    InvalidInput
        The file can't be written, or does not hold a secret.
    """
    try:
        if not path.exists():
            _create_secret(path)
        found = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        message = f"A random secret can't be stored in {path}: {error.strerror}. Set JWT_SECRET and ML_SERVICE_TOKEN."
        raise InvalidInput(message) from None
    why = why_no_secret(found)
    if why is not None:
        raise InvalidInput(f"{path} does not hold a secret: it {why}. Delete it to have a new one made.")
    return found


def _create_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        # Written atomically, and the first file wins, since processes start at the same time.
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def kept_service_token(ml_model_path: Path) -> str:
    """Return the token that both services share if none was given, kept in the registry's folder."""
    return kept_secret(registry_folder(ml_model_path) / _SHARED_FILE)


def registry_folder(ml_model_path: Path) -> Path:
    """Return the folder with one folder per model version; for a .pkl file, the folder it is in.

    >>> registry_folder(Path("models/model.pkl"))
    PosixPath('models')
    """
    return ml_model_path.parent if ml_model_path.suffix.lower() == ".pkl" else ml_model_path
