"""Files of forms while they are received.

Law: they lie on the disk of DATA_FOLDER, in the spool's folder: the system's folder for temporary files is memory in a
container. They have no name, so that nothing is left when the process dies.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from flask import Flask
from flask.wrappers import Request

from gateway.services.importing import uploads


def install(app: Flask, data_folder: Path) -> None:
    """Have an app keep the files of forms there while it receives them."""

    class FormRequest(Request):
        def _get_file_stream(self, *_: Any, **__: Any) -> IO[bytes]:
            return TemporaryFile(dir=uploads.folder(data_folder))

    app.request_class = FormRequest
