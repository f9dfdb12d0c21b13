"""Whom the credential of a request names, before anything has checked it.

Law: the credential is the one that the gateway goes by, so that nobody is another caller for a header more. Everybody
without a credential of their own is nobody: they can have little, and must not be kept waiting by one another.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode

#: How API keys begin.
KEY_PREFIX = b"rs_"
#: For a head in lower case, in the gateway's order.
_BEARER, _KEY, _COOKIE = (
    re.compile(rb"\r\nauthorization:[ \t]*+bearer[ \t]++([^\s]++)"),
    re.compile(rb"\r\nx-api-key:[ \t]*+([^\s]++)"),
    re.compile(rb"\r\ncookie:[^\r]*?access_token_cookie=\"?([^;\s\"]++)"),
)
_SUBJECT = re.compile(rb'"sub": ?"?([0-9]{1,18})')


def caller_of(head: bytes) -> bytes | None:
    """Return who asks, as far as their credential says: a user or an API key.

    Returns
    -------
    bytes or None
        None where there is no credential, and for the one token that all clients of the ML service share.
    """
    lower = head.lower()
    if found := _BEARER.search(lower):
        text = head[found.start(1) : found.end(1)]
        return text if text.startswith(KEY_PREFIX) else _user_of(text)
    if found := _KEY.search(lower):
        return head[found.start(1) : found.end(1)]
    found = _COOKIE.search(lower)
    return found and _user_of(head[found.start(1) : found.end(1)])


def _user_of(token: bytes) -> bytes | None:
    """Return the user whom a JWT names, so that all their sessions are one caller; None if it names nobody."""
    try:
        found = _SUBJECT.search(urlsafe_b64decode(token.split(b".")[1] + b"=="))
    except (binascii.Error, IndexError):
        return None
    return found and b"user " + found[1]
