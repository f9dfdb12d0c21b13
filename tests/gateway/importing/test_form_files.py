"""A file that is being received lies in the spool's folder, however small it is, and leaves nothing."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from flask import request

from gateway.services.importing import uploads
from tests.world import World


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
@pytest.mark.parametrize("size", [1, 5_000_000])
def test_a_file_that_is_received_lies_on_the_disk_of_the_data(world: World, size: int) -> None:
    folder = uploads.folder(world.settings.data_folder)
    sent = {"file": (io.BytesIO(b"x" * size), "customers.csv")}
    with world.app.test_request_context(method="POST", data=sent):
        stream = request.files["file"].stream
        lies = Path(os.readlink(f"/proc/self/fd/{stream.fileno()}"))
        assert lies.parent == folder.resolve()
        assert len(stream.read()) == size
        stream.close()
    assert list(folder.iterdir()) == []
