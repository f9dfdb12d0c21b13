"""Errors as classes with stable codes.

Law: no HTTP here. Statuses belong to `shared.web.error_responses`, messages to the code that raises.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Self, TypedDict


class Detail(TypedDict, total=False):
    """One fault: its place (`field`, `row`), the `value` there, and in `message` what was expected."""

    field: str
    row: int
    value: str
    message: str


class ServiceError(Exception):
    """A failure that a caller can act on.

    Parameters
    ----------
    message
        One sentence for people: what is wrong and what to do about it.
    details
        The faults by field or row.
    retry_after_s
        Seconds after which the same call can succeed, if known.
    """

    code = "service_error"

    def __init__(self, message: str, *, details: Sequence[Detail] = (), retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = list(details)
        self.retry_after_s = retry_after_s


class MalformedRequest(ServiceError):
    """The body is not JSON, or does not match its content type."""

    code = "malformed_request"


class UnsupportedMedia(ServiceError):
    """The route does not accept this content type."""

    code = "unsupported_media_type"


class TooLarge(ServiceError):
    """A body or file is larger than the configured limit."""

    code = "too_large"


class InvalidInput(ServiceError):
    """Fields or rows are not as expected; `details` names them."""

    code = "validation_failed"

    @classmethod
    def of(cls, details: Sequence[Detail], *, lead: str | None = None) -> Self:
        """Make an error of these details, with the first detail's message.

        Parameters
        ----------
        lead
            Text before the first detail's message; by default its field and a colon.
        """
        first = details[0]
        lead = f"{first['field']}: " if lead is None else lead
        return cls(lead + first["message"], details=details)


class InvalidSchema(InvalidInput):
    """The feature schema can't be used."""

    code = "invalid_schema"


class InvalidTable(InvalidInput):
    """The customer table does not match its schema."""

    code = "invalid_table"


class IdempotencyKeyReused(InvalidInput):
    """The idempotency key has made a job for another request."""

    code = "idempotency_key_reused"


class SchemaMismatch(ServiceError):
    """The table is of another customer base than this database's."""

    code = "schema_mismatch"


class NotFound(ServiceError):
    """Nothing with this name exists."""

    code = "not_found"


class Conflict(ServiceError):
    """The object exists already, or its state does not allow this."""

    code = "conflict"


class Unauthenticated(ServiceError):
    """The token is missing, or the credentials are wrong."""

    code = "unauthenticated"


class TokenRejected(ServiceError):
    """The token is malformed, expired, revoked or from another server."""

    code = "token_rejected"


class Forbidden(ServiceError):
    """The caller's role does not allow this."""

    code = "forbidden"


class RateLimited(ServiceError):
    """Too many requests from one client."""

    code = "rate_limited"


class TooManyQueued(ServiceError):
    """A user has the maximum number of queued jobs of this kind."""

    code = "too_many_queued"


class NoModel(ServiceError):
    """No model is live yet."""

    code = "no_model"


class NoCustomers(ServiceError):
    """There are no customers to score or train on yet."""

    code = "no_customers"


class InsufficientData(ServiceError):
    """There are too few rows or leavers to train on; the message states how many are needed."""

    code = "insufficient_data"


class Unchanged(ServiceError):
    """Data and parameters of a training are those of a version that stands, which `details` names by its `value`."""

    code = "unchanged"


class LeakFound(ServiceError):
    """A feature gives away the outcome; `details` names each such feature with its evidence."""

    code = "leak_found"


class NoSignal(ServiceError):
    """The features rank leavers no better than chance, so no model is made."""

    code = "no_signal"


class FeatureMissing(ServiceError):
    """Many customers lack a feature that was complete in training; `details` names each with its counts."""

    code = "feature_missing"


class CorruptModel(ServiceError):
    """The files of a model are not those that were saved."""

    code = "corrupt_model"


class CorruptBackup(ServiceError):
    """The files of a backup are not those that were saved."""

    code = "corrupt_backup"


class ServiceUnavailable(ServiceError):
    """The other service does not answer."""

    code = "service_unavailable"


class QueueFull(ServiceError):
    """The maximum number of jobs is queued."""

    code = "queue_full"


class SpoolFull(ServiceError):
    """The space reserved for waiting uploads is full."""

    code = "spool_full"


class DatabaseBusy(ServiceUnavailable):
    """Another process holds the database's write lock for longer than a writer waits."""

    code = "database_busy"


class ModelUnavailable(ServiceUnavailable):
    """The files of a model are missing, or are not those that were saved."""

    code = "model_unavailable"


class DiskFull(ServiceError):
    """The disk has no room for the data to be written."""

    code = "disk_full"

    def __init__(
        self,
        message: str = "The disk is full; nothing was saved. Free some space and try again.",
        *,
        details: Sequence[Detail] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message, details=details, retry_after_s=retry_after_s)


def is_disk_full(error: BaseException) -> bool:
    """Return whether a write failed because the disk or a quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class Cancelled(ServiceError):
    """The cancellation of this work was requested."""

    code = "cancelled"


class Internal(ServiceError):
    """An internal failure, which no other request would avoid; the log has the traceback."""

    code = "internal"


def invalid(field: str, message: str) -> InvalidInput:
    """Return the error for one invalid field."""
    return InvalidInput.of([{"field": field, "message": message}])


_BY_CODE: dict[str, type[ServiceError]] = {
    kind.code: kind for kind in list(vars().values()) if isinstance(kind, type) and issubclass(kind, ServiceError)
}


def from_code(
    code: str, message: str, details: Sequence[Detail] = (), *, unknown: type[ServiceError] = ServiceError
) -> ServiceError:
    """Return the error with a code, as it was before it was stored or sent.

    Parameters
    ----------
    unknown
        The class to use if no error has this code.
    """
    return _BY_CODE.get(code, unknown)(message, details=details)
