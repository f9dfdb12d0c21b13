"""One log line per event, in the same form in every process, whoever logs it: on standard output, but of a command on
standard error, since its output is its result.

Law: each line written while a request is served has its id; no line has secrets or personal data. A program configures
its logs before it does anything that may log.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Literal

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logs(
    *, service: str, level: LogLevel = "info", json_lines: bool = True, is_command: bool = False
) -> None:
    """Configure logs as JSON lines, or as coloured text for a developer's terminal.

    Parameters
    ----------
    service
        Named in every line, so that the logs of several processes can be read together.
    is_command
        Write to standard error, so that what a command prints holds its result alone.
    """

    def name_service(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    # The console's default tracebacks show local variables, including passwords.
    ending: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json_lines
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    # urllib3 would log each retry; the caller reports a request that fails in the end.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            name_service,
            *ending,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr if is_command else sys.stdout),
        cache_logger_on_first_use=False,
    )


class Foreign(logging.Handler):
    """Passes what libraries log on to our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        tell = getattr(log, record.levelname.lower(), log.warning)
        tell(record.getMessage(), logger=record.name, **({"exc_info": record.exc_info} if record.exc_info else {}))


def log_everything() -> None:
    """Turn into log lines what would be printed otherwise: logs of libraries, warnings, and errors that end a thread.

    For a process of ours alone: it changes what the whole interpreter prints. Call it after `configure_logs`.
    """
    logging.basicConfig(handlers=[Foreign()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)

    def ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            structlog.get_logger().critical("ended_by_error", exc_info=(kind, error, trace))

    sys.excepthook = ended
    threading.excepthook = lambda told: ended(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback)
