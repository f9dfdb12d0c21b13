"""Secrets and signatures of webhooks, as the Standard Webhooks specification has them.

Law: the signature covers id, timestamp and body, so none can be changed, and an old message can be told by its time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(secrets_of: Sequence[str], message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that name and sign a message.

    Parameters
    ----------
    secrets_of
        The receiver's secrets: each signs, so that a receiver who knows any of them can verify the message.
    at_s
        Time of this attempt, in seconds since 1970.

    Examples
    --------
    >>> headers(["whsec_" + "MDEyMzQ1Njc4OWFiY2RlZg=="], "msg_1", 1700000000, b"{}")["webhook-timestamp"]
    '1700000000'
    """
    signed = f"{message_id}.{at_s}.".encode() + body
    signatures = " ".join(f"v1,{_signature(each, signed)}" for each in secrets_of)
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": signatures}


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
