"""Translates failures of the ML service to `shared.errors`.

Law: every answer becomes one of `shared.errors`.
"""

from __future__ import annotations

from typing import Any

import orjson

from shared import errors

OTHER = "Something other than the ML service answered; check PYTHON_SERVICE_URL."
#: Errors of a scoring call whose version has missing or corrupt files.
NO_SUCH_MODEL = (errors.NotFound, errors.NoModel, errors.CorruptModel)


class Refused(errors.ServiceUnavailable):
    """The two services have different tokens: waiting does not help, so the breaker does not count it."""


def from_answer(body: bytes) -> errors.ServiceError:
    """Return the failure in the body of an answer."""
    try:
        answer = orjson.loads(body)
        return from_body({**answer["error"], "message": answer["message"]})
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return errors.ServiceUnavailable(OTHER)


def from_body(body: Any) -> errors.ServiceError:
    """Return the failure in an answer's `error`, or in a line's."""
    if not isinstance(body, dict) or not isinstance(body.get("code"), str) or not isinstance(body.get("message"), str):
        return errors.ServiceUnavailable(OTHER)
    code = body["code"]
    if code in ("unauthenticated", "token_rejected"):
        # The gateway's own token is wrong, which the caller can't fix by signing in again.
        return Refused("The ML service refuses this gateway: ML_SERVICE_TOKEN differs between the two.")
    if code == "internal":
        return errors.ServiceUnavailable("The ML service failed; search its log for this request id.")
    details = body.get("details") or ()
    return errors.from_code(code, body["message"], details, unknown=errors.ServiceUnavailable)
