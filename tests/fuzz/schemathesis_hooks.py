"""Loaded by schemathesis, in its own environment: bodies it can't make, checks of our own, and who signs in anew.

The runner (`tests.fuzz`) says by variables who calls, and leaves Arrow streams to alter in a folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import CHECKS
from schemathesis.core import NOT_SET

ARROW_TYPE = "application/vnd.apache.arrow.stream"
STREAMS = [path.read_bytes() for path in sorted(Path(os.environ["FUZZ_STREAMS"]).iterdir())]
OWN_ID = os.environ.get("FUZZ_OWN_ID", "")
#: Somebody else's number, as far as anybody has got.
NOBODYS_ID = 2**63 - 1
TABLE = Path(os.environ["FUZZ_STREAMS"], "table").read_bytes()


@st.composite
def arrow_streams(draw: Any) -> bytes:
    """A stream as it was, cut, or with some bytes changed."""
    stream = bytearray(draw(st.sampled_from(STREAMS)))
    for _ in range(draw(st.integers(0, 4))):
        stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
    return bytes(stream[: draw(st.integers(0, len(stream)))] if draw(st.booleans()) else stream)


schemathesis.openapi.media_type(ARROW_TYPE, st.one_of(st.binary(max_size=200), arrow_streams()))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Leave one's own account as it is, or the rest of the run would be a stranger's; train on a small table."""
    if case.path == "/api/users/{user_id}" and str(case.path_parameters.get("user_id")) == OWN_ID:
        case.path_parameters["user_id"] = NOBODYS_ID
    if case.path == "/api/train" and case.method == "POST" and case.body in (NOT_SET, b""):
        # Without a body it trains on 120,000 simulated subscribers, for 20 s; tests/ml_service does that once.
        case.body, case.media_type = TABLE, ARROW_TYPE


def _spare(name: str, path: str) -> None:
    """Switch a check of schemathesis off for one path."""
    check: Any = CHECKS.get_one(name)

    def spared(context: Any, response: Any, case: Any) -> bool | None:
        return None if case.path == path else check(context, response, case)

    spared.__name__ = name
    CHECKS.register(spared)


# DELETE cancels a job, which stays to be read; an import without rejected rows has no file of them.
_spare("use_after_free", "/api/jobs/{job_id}")
_spare("ensure_resource_availability", "/api/customers/import/{job_id}/rejects")


@schemathesis.check
def says_when_to_come_again(context: Any, response: Any, case: Any) -> None:
    """A caller that is refused for now gets the time to wait."""
    if response.status_code in (429, 503):
        assert response.headers.get("retry-after", [""])[0].isdigit(), "429 and 503 come with Retry-After"


@schemathesis.check
def lets_nobody_in(context: Any, response: Any, case: Any) -> None:
    """Without any credential, only what the document calls public is answered."""
    if "FUZZ_NOBODY" not in os.environ:
        return
    document = case.operation.schema.raw_schema
    asked = case.operation.definition.raw.get("security", document.get("security"))
    if asked and case.method.upper() != "OPTIONS":
        assert response.status_code >= 400, f"{response.status_code} without a credential"


if "FUZZ_LEAVER" in os.environ:

    @schemathesis.auth(refresh_interval=None)
    class _SignedInAnew:
        """A session for each request, on routes that end it."""

        def get(self, case: Any, context: Any) -> str:
            email, password = os.environ["FUZZ_LEAVER"].split(" ", 1)
            body = {"email": email, "password": password}
            answer = requests.post(f"{os.environ['FUZZ_URL']}/api/auth/login", json=body, timeout=30)
            answer.raise_for_status()
            kind = "refresh_token" if case.path == "/api/auth/refresh" else "token"
            return str(answer.json()["data"][kind])

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}
