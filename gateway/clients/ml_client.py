"""The only module that calls the ML service: time-outs, retries where safe, breaker, error mapping.

Law: every failure is raised as one of `shared.errors`; bodies are bytes, Arrow is not read here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import accumulate
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import pybreaker
import urllib3
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict
from urllib3.exceptions import HTTPError, NewConnectionError

from gateway.clients import ml_failures
from gateway.clients.call_places import CallPlaces
from gateway.clients.coalescing import RequestCoalescer
from shared import errors
from shared.contracts.api import ARROW_TYPE, JSON_TYPE, NDJSON_TYPE, RIDES_ALONG, PredictRequest, PredictResponse
from shared.contracts.dependence import DependenceAnswer

CONNECT_TIMEOUT_S = 1.0
#: For a chunk of many thousand rows, in a job.
CHUNK_TIMEOUT_S = 120.0
#: For calls that a user waits for; with three tries to connect they take less than ten seconds.
ANSWER_TIMEOUT_S = 6.0
HEALTH_TIMEOUT_S = 1.0
#: Gateway threads that may wait for the service; the others serve requests that need no model.
MOST_CALLS = 8
# The trainer sends a line at least every two seconds; without one for this long it is considered lost.
TRAIN_LINE_TIMEOUT_S = SLOW_S = 60.0
#: A connection is tried three times. A request that was sent is never sent again.
RETRIES = urllib3.Retry(
    connect=2, read=0, redirect=0, status=0, other=0, backoff_factor=0.1, respect_retry_after_header=False
)
AWAY = "The ML service does not answer. It may be starting; try again in a few seconds."
CUT_OFF = "The ML service closed the connection before the training was finished."


class _OnDisk(TypedDict):
    model_version: str


class _Models(TypedDict):
    models: list[_OnDisk]


class _Model(TypedDict):
    verified: bool
    problem: str | None


T = TypeVar("T")
#: A request to the ML service, and the id of the HTTP request that it serves.
_Asked = tuple[PredictRequest, str | None]
_object = TypeAdapter(dict[str, Any])
_models = TypeAdapter(_Models)
_model = TypeAdapter(_Model)


class MLClient:
    """A pooled connection to the ML service.

    Parameters
    ----------
    url
        The service's address.
    token
        The service token, which both services share.
    """

    def __init__(self, url: str, token: str, *, pool: int = 32) -> None:
        self._prefix = urlsplit(url).path.rstrip("/")
        self._base_headers = {"Authorization": f"Bearer {token}"}
        self._pool = urllib3.connection_from_url(url, maxsize=pool, retries=RETRIES)
        self._places = CallPlaces(MOST_CALLS)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=5,
            reset_timeout=3,
            exclude=[lambda e: not isinstance(e, errors.ServiceUnavailable) or isinstance(e, ml_failures.Refused)],
        )
        self._coalescer: RequestCoalescer[_Asked, PredictResponse] = RequestCoalescer(
            self._score_together, max_batch=pool
        )

    def close(self) -> None:
        """Close the connections: a service that is ending waits two seconds for clients that might still ask."""
        self._pool.close()

    def health(self) -> dict[str, Any]:
        """Return the ML service's health. Raises ServiceUnavailable."""
        return _parsed(_object.validate_json, self._send("GET", "/api/health", read_timeout_s=HEALTH_TIMEOUT_S))

    def versions(self) -> list[str]:
        """Return the versions on the service's disk, verified or not."""
        found = _parsed(_models.validate_json, self._send("GET", "/api/models"))
        return [each["model_version"] for each in found["models"]]

    def report_page(self, version: str) -> bytes:
        """Return a version's report as HTML. Raises NotFound where it has none."""
        with self._places:
            return self._send("GET", f"/api/models/{version}/report")

    def require_intact(self, version: str) -> None:
        """Check that a version is on the service's disk and intact. Raises ModelUnavailable, ServiceUnavailable."""
        try:
            with self._places:
                body = self._send("GET", f"/api/models/{quote(version)}")
        except errors.NotFound as error:
            raise errors.ModelUnavailable(error.message) from None
        found = _parsed(_model.validate_json, body)
        if not found["verified"]:
            raise errors.ModelUnavailable(found["problem"] or f"Model {version} is not intact.")

    def score_columns(
        self, body: bytes, model_version: str, *, as_of: str | None = None, request_id: str | None = None
    ) -> bytes:
        """Score many rows of one date: Arrow stream in, Arrow stream out (`shared.contracts.arrow`)."""
        path = f"/api/predict?model_version={quote(model_version)}" + (f"&as_of={quote(as_of)}" if as_of else "")
        try:
            return self._send(
                "POST", path, body, content_type=ARROW_TYPE, request_id=request_id, read_timeout_s=CHUNK_TIMEOUT_S
            )
        except ml_failures.NO_SUCH_MODEL as error:
            raise errors.ModelUnavailable(error.message) from None

    def score_few(self, request: PredictRequest, *, request_id: str | None = None) -> PredictResponse:
        """Score a few rows, explained. Requests made while a call is in flight share the next call.

        Raises
        ------
        ServiceUnavailable
            The service does not answer, or too many calls wait for it; `ModelUnavailable` if it lacks the version.
        """
        with self._places:
            return self._score_few(request, request_id)

    def dependence(self, request: PredictRequest) -> DependenceAnswer:
        """Return each feature's points by its value over some rows. Raises ServiceUnavailable, ModelUnavailable."""
        try:
            with self._places:
                body = self._send("POST", "/api/dependence", request.model_dump_json().encode(), read_timeout_s=SLOW_S)
        except ml_failures.NO_SUCH_MODEL as error:
            raise errors.ModelUnavailable(error.message) from None
        return _parsed(DependenceAnswer.model_validate_json, body)

    def _score_few(self, request: PredictRequest, request_id: str | None) -> PredictResponse:
        lengths = {len(cells) for cells in request.columns.values()}
        if len(lengths | ({len(request.row_keys)} if request.row_keys is not None else set())) > 1:
            return self._score_alone(request, request_id)  # ragged columns would shift other requests' rows
        # Requests share a call where these are the same: version, date, what is asked for, keys or none, features.
        asked = (request.model_version, request.as_of, request.reasons, request.outlook)
        alike = (*asked, request.row_keys is None, tuple(request.columns))
        answer = self._coalescer.submit(alike, (request, request_id))
        return answer if answer is not None else self._score_alone(request, request_id)

    def _score_alone(
        self, request: PredictRequest, request_id: str | None, *, also: Sequence[str] = ()
    ) -> PredictResponse:
        sent = request.model_dump_json().encode()
        try:
            body = self._send("POST", "/api/predict", sent, request_id=request_id, also=also)
        except ml_failures.NO_SUCH_MODEL as error:
            raise errors.ModelUnavailable(error.message) from None
        return _parsed(PredictResponse.model_validate_json, body)

    def _score_together(self, asked: Sequence[_Asked]) -> list[PredictResponse | None]:
        requests_, request_id = [request for request, _ in asked], asked[0][1]
        if len(asked) == 1:
            return [self._score_alone(requests_[0], request_id)]
        also = [other for _, other in asked[1:] if other is not None]
        try:
            answer = self._score_alone(_joined(requests_), request_id, also=also)
        except errors.ServiceUnavailable:
            raise
        except errors.ServiceError:
            # One request is invalid: each is sent alone, so that an error is about its own rows.
            return [None] * len(asked)
        return _split(requests_, answer)

    def train(
        self, snapshot: Iterable[bytes], *, request_id: str | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """Send a training snapshot (Arrow stream) and yield the answer's lines as they arrive.

        Each line is a `Progress`; the last one is `{"report": ...}`. Closing the iterator cancels the training.
        """
        yield from self._stream("/api/train", snapshot, request_id)

    def backtest(self, snapshot: Iterable[bytes]) -> Generator[dict[str, Any], None, None]:
        """Send a snapshot for a backtest, as `train` does; the last line is `{"backtest": ...}`."""
        yield from self._stream("/api/backtest", snapshot, None)

    def _stream(
        self, path: str, snapshot: Iterable[bytes], request_id: str | None
    ) -> Generator[dict[str, Any], None, None]:
        headers = self._headers(ARROW_TYPE, NDJSON_TYPE, request_id)
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=TRAIN_LINE_TIMEOUT_S)
        try:
            response = self._pool.urlopen(
                "POST",
                self._prefix + path,
                iter(snapshot),
                headers,
                retries=False,
                redirect=False,
                timeout=timeout,
                preload_content=False,
            )
            with closing(response):
                if response.status >= 400:
                    raise ml_failures.from_answer(response.read())
                yield from _lines(response)
        except NewConnectionError as error:
            raise errors.ServiceUnavailable(AWAY) from error
        except HTTPError as error:
            raise errors.ServiceUnavailable(
                f"The connection to the ML service failed during training: {type(error).__name__}."
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = JSON_TYPE,
        request_id: str | None = None,
        also: Sequence[str] = (),
        read_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> bytes:
        headers = self._headers(content_type, content_type, request_id, also)
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_S, read=read_timeout_s)
        try:
            # `calling` and not `call`: the latter holds the breaker's lock while the request runs, one at a time.
            with self._breaker.calling():
                try:
                    response = self._pool.urlopen(
                        method, self._prefix + path, body, headers, redirect=False, timeout=timeout
                    )
                except HTTPError as error:
                    raise errors.ServiceUnavailable(AWAY) from error
                if response.status >= 400:
                    raise ml_failures.from_answer(response.data)
                return response.data
        except pybreaker.CircuitBreakerError:
            raise errors.ServiceUnavailable(AWAY) from None

    def _headers(
        self, content_type: str, accept: str, request_id: str | None, also: Sequence[str] = ()
    ) -> dict[str, str]:
        headers = {**self._base_headers, "Content-Type": content_type, "Accept": accept}
        if request_id:
            headers["X-Request-ID"] = request_id
        if also:
            headers[RIDES_ALONG] = ",".join(also)
        return headers


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, Any]]:
    for raw in response:
        if not raw.strip():
            continue
        try:
            line = _object.validate_json(raw)
        except ValidationError:
            raise errors.ServiceUnavailable(CUT_OFF) from None
        if "error" in line:
            raise ml_failures.from_body(line["error"])
        yield line
        if "report" in line or "backtest" in line:
            return
    raise errors.ServiceUnavailable(CUT_OFF)


def _joined(asked: Sequence[PredictRequest]) -> PredictRequest:
    keys = None if asked[0].row_keys is None else [key for each in asked for key in each.row_keys or ()]
    columns = {name: [cell for each in asked for cell in each.columns[name]] for name in asked[0].columns}
    return asked[0].model_copy(update={"columns": columns, "row_keys": keys})


def _split(asked: Sequence[PredictRequest], answer: PredictResponse) -> list[PredictResponse | None]:
    sizes = [len(next(iter(each.columns.values()), ())) for each in asked]
    if sum(sizes) != len(answer.predictions):
        return [None] * len(asked)
    ends = list(accumulate(sizes))
    rows = [answer.predictions[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return [answer.model_copy(update={"predictions": mine}) for mine in rows]


def _parsed(read: Callable[[bytes], T], body: bytes) -> T:
    try:
        return read(body)
    except ValidationError:
        raise errors.ServiceUnavailable(ml_failures.OTHER) from None
