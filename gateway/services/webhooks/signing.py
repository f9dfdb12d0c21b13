"""Secrets and signatures of webhooks, as the Standard Webhooks specification has them.

Law: the signature covers id, timestamp and body, so none can be changed, and an old message can be told by its time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
SECRET_BYTES = 32


def new_secret() -> str:
    """Return a new random secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def headers(secret: str, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that name and sign a message.

    Parameters
    ----------
    at_s
        Time of this attempt, in seconds since 1970.

    Examples
    --------
    >>> headers("whsec_" + "MDEyMzQ1Njc4OWFiY2RlZg==", "msg_1", 1700000000, b"{}")["webhook-timestamp"]
    '1700000000'
    """
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{at_s}.".encode() + body
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}
