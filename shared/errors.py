"""Errors as classes with stable codes.

Law: no HTTP here. A status belongs to `shared.web.flask_app`, a sentence for people belongs to whoever raises.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Self, TypedDict


class Detail(TypedDict, total=False):
    """One thing that is wrong: where (`field`, `row`), the `value` there, and in `message` what was expected."""

    field: str
    row: int
    value: str
    message: str


class ServiceError(Exception):
    """A failure a caller can act on.

    Parameters
    ----------
    message
        One sentence for people: what is wrong and what to do about it.
    details
        Field by field or row by row, when there is more than one place to look at.
    retry_after_s
        Seconds after which the same call may succeed, when that is known.
    """

    code = "service_error"

    def __init__(self, message: str, *, details: Sequence[Detail] = (), retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)
        self.retry_after_s = retry_after_s


class MalformedRequest(ServiceError):
    """The body is no JSON, or not what its content type says."""

    code = "malformed_request"


class UnsupportedMedia(ServiceError):
    """A body of a type this route does not read."""

    code = "unsupported_media_type"


class TooLarge(ServiceError):
    """A body or file above the configured limit."""

    code = "too_large"


class InvalidInput(ServiceError):
    """Fields or rows that are not what was expected; `details` says which."""

    code = "validation_failed"

    @classmethod
    def of(cls, details: Sequence[Detail], *, lead: str | None = None) -> Self:
        """Make the error of what is wrong, told by the first detail.

        Parameters
        ----------
        lead
            Words before the first detail's message; its field and a colon if absent.
        """
        first = details[0]
        lead = f"{first['field']}: " if lead is None else lead
        return cls(lead + first["message"], details=details)


class InvalidSchema(InvalidInput):
    """A feature schema that can't be used."""

    code = "invalid_schema"


class InvalidTable(InvalidInput):
    """A customer table that does not fit its schema."""

    code = "invalid_table"


class SchemaMismatch(ServiceError):
    """A table of another customer base than the one this database holds."""

    code = "schema_mismatch"


class NotFound(ServiceError):
    """Nothing here by that name."""

    code = "not_found"


class Conflict(ServiceError):
    """It exists already, or its state does not allow this."""

    code = "conflict"


class Unauthenticated(ServiceError):
    """No token, or wrong credentials."""

    code = "unauthenticated"


class TokenRejected(ServiceError):
    """A token that is malformed, expired, revoked or of another server."""

    code = "token_rejected"


class Forbidden(ServiceError):
    """Signed in, but the role does not allow this."""

    code = "forbidden"


class RateLimited(ServiceError):
    """Too many requests from one client."""

    code = "rate_limited"


class TooManyQueued(ServiceError):
    """One person has as many jobs of a kind waiting as anybody may have."""

    code = "too_many_queued"


class NoModel(ServiceError):
    """No model is live yet."""

    code = "no_model"


class NoCustomers(ServiceError):
    """There is nobody to score or to train on yet."""

    code = "no_customers"


class InsufficientData(ServiceError):
    """Too few rows or leavers to train on; the message says how many are needed."""

    code = "insufficient_data"


class LeakFound(ServiceError):
    """A feature that tells the outcome by itself; `details` names each with its evidence."""

    code = "leak_found"


class NoSignal(ServiceError):
    """The features rank leavers no better than chance would; no model is made of that."""

    code = "no_signal"


class FeatureMissing(ServiceError):
    """Many customers lack a feature that the model's training had complete; `details` names each with its counts."""

    code = "feature_missing"


class CorruptModel(ServiceError):
    """A model folder whose files are not the ones that were saved."""

    code = "corrupt_model"


class CorruptBackup(ServiceError):
    """A backup whose files are not the ones that were saved."""

    code = "corrupt_backup"


class ServiceUnavailable(ServiceError):
    """The other service does not answer."""

    code = "service_unavailable"


class QueueFull(ServiceError):
    """As many jobs wait as the system takes."""

    code = "queue_full"


class SpoolFull(ServiceError):
    """As many uploads wait as there is room set aside for."""

    code = "spool_full"


class DatabaseBusy(ServiceUnavailable):
    """Somebody else holds the database's write lock for longer than one waits."""

    code = "database_busy"


class ModelUnavailable(ServiceUnavailable):
    """The files of a model that should be there are gone, or are not those that were saved."""

    code = "model_unavailable"


class DiskFull(ServiceError):
    """A disk has no room left for what was to be written."""

    code = "disk_full"

    def __init__(
        self,
        message: str = "The disk is full; nothing of this was kept. Free some space and try again.",
        *,
        details: Sequence[Detail] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message, details=details, retry_after_s=retry_after_s)


def is_disk_full(error: BaseException) -> bool:
    """Return whether a write failed because the disk, or a quota, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Cancelled(ServiceError):
    """Somebody asked for this work to stop."""

    code = "cancelled"


class Internal(ServiceError):
    """Something broke that nobody can mend by asking differently; the log has the trace."""

    code = "internal"


def invalid(field: str, message: str) -> InvalidInput:
    """Return the error of one field that is wrong."""
    return InvalidInput.of([{"field": field, "message": message}])


_BY_CODE: dict[str, type[ServiceError]] = {
    kind.code: kind for kind in list(vars().values()) if isinstance(kind, type) and issubclass(kind, ServiceError)
}


def from_code(
    code: str, message: str, details: Sequence[Detail] = (), *, unknown: type[ServiceError] = ServiceError
) -> ServiceError:
    """Return the error that a code names, as it was before it was stored or sent.

    Parameters
    ----------
    unknown
        The class where no error has this code.
    """
    return _BY_CODE.get(code, unknown)(message, details=details)
