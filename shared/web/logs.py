"""One line per event on standard output, the same in every process.

Law: a request's id stands in each line written while it is served; no secret and no personal data ever does.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logs(*, service: str, level: LogLevel = "info", json_lines: bool = True) -> None:
    """JSON lines, or coloured text for a developer's terminal.

    Parameters
    ----------
    service
        Named in every line, so that the logs of several processes can be read together.
    """

    def name_service(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, **event}

    # The console's own tracebacks show local variables, passwords among them.
    ending: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if json_lines
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    # Each retry would be a line on the terminal; what fails in the end is told by whoever asked.
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
        cache_logger_on_first_use=False,
    )
