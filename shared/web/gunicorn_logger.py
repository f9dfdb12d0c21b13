"""gunicorn's own lines in the form of all others."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger

from shared.web.logs import Foreign, configure_logs, log_everything


class GunicornLogger(Logger):  # type: ignore[misc]
    """Logs JSON lines, from gunicorn's first; they name the service by the name of the process."""

    def setup(self, cfg: Any) -> None:
        """Log by our own handler alone."""
        configure_logs(service=cfg.proc_name, level="warning")
        log_everything()
        super().setup(cfg)
        self.error_log.handlers = [Foreign()]
