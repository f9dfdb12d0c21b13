"""The folder of a trial: a base of its own with its models, its schema and its settings.

Law: a folder that no trial made is never changed; where a trial ends before its table is imported, what it made is
removed again, and an earlier base is put back.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from database.engine import files
from gateway.settings import load_settings
from shared.errors import InvalidInput
from shared.web.gunicorn import why_not

SCHEMA, SETTINGS, LOG = "schema.toml", ".env", "ml.log"
_BASE, _EARLIER, _DATABASE = "base", "base.earlier", "base/retainstream.db"
#: The first line of the settings, by which a folder of a trial is known.
_HEAD = "# Made by `retainstream try`: commands and services that start in this folder use its base."
_WHERE = {"DATABASE_PATH": f"./{_DATABASE}", "DATA_FOLDER": f"./{_BASE}", "ML_MODEL_PATH": f"./{_BASE}/models"}
#: Ports that are tried where one is taken.
_TRIED, _STEP = 50, 10


class TrialFolder:
    """The folder of one trial, while it is being made.

    Parameters
    ----------
    shown
        Its path, as the person wrote it.
    again
        Whether it is an earlier trial's folder, whose base is made anew.
    """

    def __init__(self, shown: Path, *, again: bool) -> None:
        self.shown, self.path, self.again = shown, shown.absolute(), again
        self._kept = False
        self._exported: list[str] = []

    @property
    def start_line(self) -> str:
        """The command that starts the services; variables of the shell would come before the folder's settings."""
        unset = " ".join(["env", *(f"-u {name}" for name in self._exported), ""]) if self._exported else ""
        return f"cd {shlex.quote(str(self.shown))} && {unset}retainstream up"

    @property
    def schema_path(self) -> Path:
        """The schema that the base was made with, to be read and corrected."""
        return self.path / SCHEMA

    def refuse(self) -> None:
        """Raise InvalidInput if the folder can't be made, or can't be used again."""
        ours = self._is_ours()
        if self.again and not ours:
            raise InvalidInput(f"{self.shown} holds no earlier trial: leave --again out.")
        if not self.again and os.path.lexists(self.path):
            anew = "--again makes its base anew with the schema.toml in it, " if ours else ""
            raise InvalidInput(f"{self.shown} exists already: {anew}--folder NAME makes another one.")

    def _is_ours(self) -> bool:
        settings = self.path / SETTINGS
        if not settings.is_file() or not self.schema_path.is_file():
            return False
        return settings.read_text(encoding="utf-8", errors="replace").startswith(_HEAD)

    def __enter__(self) -> Self:
        """Make the folder, or set its earlier base aside."""
        try:
            if self.again:
                self._set_aside()
            else:
                self.path.mkdir(mode=0o700)
        except OSError as error:
            raise InvalidInput(f"{self.shown} can't be made: {error.strerror}. --folder names another.") from None
        return self

    def _set_aside(self) -> None:
        if (self.path / _EARLIER).exists():  # a trial was killed: what it made is not finished
            shutil.rmtree(self.path / _BASE, ignore_errors=True)
        elif (self.path / _BASE).exists():
            with files.exclusive_use(self.path / _DATABASE):
                (self.path / _BASE).rename(self.path / _EARLIER)

    def keep(self, schema: str) -> None:
        """Keep what was made, whatever happens next: the table is imported."""
        self.schema_path.write_text(schema, encoding="utf-8")
        self._kept = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._kept:
            shutil.rmtree(self.path / _EARLIER, ignore_errors=True)
        elif self.again:
            shutil.rmtree(self.path / _BASE, ignore_errors=True)
            if (self.path / _EARLIER).exists():
                (self.path / _EARLIER).rename(self.path / _BASE)
        else:
            shutil.rmtree(self.path)

    def enter(self) -> list[str]:
        """Have this process, and those it starts, work in the folder.

        Returns
        -------
        list of str
            A sentence for each port that was taken, with the one chosen instead.
        """
        os.chdir(self.path)
        self._exported = [name for name in _WHERE if name in os.environ]
        os.environ.update(_WHERE)
        chosen, said = _ports()
        os.environ.update(chosen)
        file = Path(SETTINGS)
        before = file.read_text(encoding="utf-8").splitlines() if self.again else [_HEAD]
        names = _WHERE | chosen
        kept = [line for line in before if line.partition("=")[0] not in names]
        file.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in names.items())]) + "\n", "utf-8")
        return [f"{each} ({self.shown / SETTINGS} has the ports)" for each in said]


def _ports() -> tuple[dict[str, str], list[str]]:
    """The settings of the ports, with free ports where the wanted ones are taken, and what to say of those."""
    settings = load_settings()
    gateway, said = _free(settings.host, settings.port, "PORT")
    ml, more = _free("127.0.0.1", settings.python_port, "PYTHON_PORT")
    url = f"http://localhost:{ml}"
    return {"PORT": str(gateway), "PYTHON_PORT": str(ml), "PYTHON_SERVICE_URL": url, "DEMO": "0"}, [*said, *more]


def _free(host: str, wanted: int, variable: str) -> tuple[int, list[str]]:
    problem = why_not(host, wanted, variable)
    if problem is None:
        return wanted, []
    for port in range(wanted + _STEP, min(wanted + _STEP * _TRIED, 65_536), _STEP):
        if why_not(host, port, variable) is None:
            return port, [f"Port {wanted} is taken, so {variable} is {port}."]
    raise InvalidInput(problem)
