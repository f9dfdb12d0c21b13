"""Error handling and file writing of the commands.

Law: bad input gives one line on standard error and exit code 2; a file is written completely or not at all.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ml_service.settings import SettingsError
from shared.commands.printing import echo
from shared.errors import InvalidInput, ServiceError
from shared.web.logs import configure_logs

BAD_INPUT, INTERRUPTED = 2, 130


def guarded(program: str, work: Callable[[], None]) -> int:
    """Run the work of a command and return its exit code; print an error as one line, and of logs only warnings."""
    configure_logs(service=program, level="warning", json_lines=False, is_command=True)
    try:
        work()
        sys.stdout.flush()
    except (ServiceError, SettingsError) as error:
        return _fail(program, " ".join(str(error).split()))
    except BrokenPipeError:
        # The reader has closed the pipe; keep the interpreter from flushing to it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(program, f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        return _fail(program, "stopped; nothing was written", INTERRUPTED)
    return 0


def _fail(program: str, message: str, code: int = BAD_INPUT) -> int:
    echo(f"{program}: {message}", err=True)
    return code


def check_writable(path: Path) -> None:
    """Raise InvalidInput if a file can't be written, before the work begins."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder; give the name of a file.")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path} can't be written: there is no folder {path.parent}.")
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(f"{path} can't be written: no permission in {path.parent}.")


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[str]]:
    """Open a text file under a temporary name, and rename it when it is complete."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
