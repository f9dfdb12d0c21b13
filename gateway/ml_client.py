"""The only module that calls the ML service: time-outs, retries where safe, breaker, error mapping.

Law: whatever goes wrong on the way comes out as one of `shared.errors`; bytes in, bytes out, no Arrow in here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from http.client import HTTPException
from itertools import accumulate
from typing import Any, TypeVar

import pybreaker
import requests
import structlog
from pydantic import TypeAdapter, ValidationError
from requests.adapters import HTTPAdapter
from typing_extensions import TypedDict
from urllib3.util import Retry

from gateway import ml_failures
from gateway.kept_connections import KeptConnections
from gateway.riding import Riding
from shared import errors
from shared.contracts import ARROW_TYPE, JSON_TYPE, NDJSON_TYPE, RIDES_ALONG, PredictRequest, PredictResponse

CONNECT_TIMEOUT_S = 2.0
SCORE_TIMEOUT_S = 120.0
# The trainer sends a line at least every two seconds; silence of this length means it is gone.
TRAIN_SILENCE_S = 60.0
AWAY = "The ML service does not answer. It may be starting; try again in a few seconds."

CUT_OFF = "The ML service closed the connection before the training was finished."


class _OnDisk(TypedDict):
    model_version: str


class _Models(TypedDict):
    models: list[_OnDisk]


T = TypeVar("T")
#: A request, and the id of the request that it serves.
_Asked = tuple[PredictRequest, str | None]
log = structlog.get_logger()
_object = TypeAdapter(dict[str, Any])
_models = TypeAdapter(_Models)


class MLClient:
    """A pooled connection to the ML service.

    Parameters
    ----------
    url
        Where it listens.
    token
        The service token both sides know.
    """

    def __init__(self, url: str, token: str, *, pool: int = 32) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"
        # Scoring and reading are idempotent: a lost connection is tried again. Training never is.
        retry = Retry(total=2, connect=2, read=0, status=0, backoff_factor=0.1, allowed_methods={"GET", "POST"})
        self._adapter = HTTPAdapter(pool_maxsize=pool, max_retries=retry)
        self._session.mount("http://", self._adapter)
        self._session.mount("https://", self._adapter)
        self._prepared = lru_cache(maxsize=64)(self._prepare)
        always = {"Authorization": f"Bearer {token}", "Content-Type": JSON_TYPE, "Accept": JSON_TYPE}
        self._kept: KeptConnections | None = None
        if self._url.startswith("http://"):
            self._kept = KeptConnections(self._url, always, connect_timeout_s=CONNECT_TIMEOUT_S, most=pool)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=5,
            reset_timeout=3,
            exclude=[lambda e: not isinstance(e, errors.ServiceUnavailable) or isinstance(e, ml_failures.Refused)],
        )
        self._riding: Riding[_Asked, PredictResponse] = Riding(self._score_together, most=pool)

    def health(self) -> dict[str, Any]:
        """What the ML service says of itself. Raises ServiceUnavailable."""
        return _parsed(_object.validate_json, self._send("GET", "/api/health", read_timeout_s=2.0))

    def versions(self) -> list[str]:
        """Versions on its disk, verified or not."""
        found = _parsed(_models.validate_json, self._send("GET", "/api/models"))
        return [each["model_version"] for each in found["models"]]

    def report_page(self, version: str) -> bytes:
        """A version's report as HTML. Raises NotFound where it has none."""
        return self._send("GET", f"/api/models/{version}/report")

    def score_columns(self, body: bytes, model_version: str, *, request_id: str | None = None) -> bytes:
        """Score many rows: Arrow stream in, Arrow stream out (`shared.arrow`)."""
        return self._send(
            "POST",
            "/api/predict",
            body,
            content_type=ARROW_TYPE,
            params={"model_version": model_version},
            request_id=request_id,
        )

    def score_few(self, request: PredictRequest, *, request_id: str | None = None) -> PredictResponse:
        """Score a few rows, explained. Whoever asks while a call is on its way rides in the next one."""
        lengths = {len(cells) for cells in request.columns.values()}
        if len(lengths | ({len(request.row_keys)} if request.row_keys is not None else set())) > 1:
            return self._score_alone(request, request_id)  # ragged columns would shift the rows of others
        # Only what is asked alike shares a call: the same version, the same features, keys or none.
        alike = (request.model_version, request.reasons, request.row_keys is None, tuple(request.columns))
        answer = self._riding.ride(alike, (request, request_id))
        return answer if answer is not None else self._score_alone(request, request_id)

    def _score_alone(
        self, request: PredictRequest, request_id: str | None, *, also: Sequence[str] = ()
    ) -> PredictResponse:
        body = self._send("POST", "/api/predict", request.model_dump_json().encode(), request_id=request_id, also=also)
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
            # Something is wrong with one of them: each is told about its own rows only.
            return [None] * len(asked)
        return _parted(requests_, answer)

    def train(
        self, snapshot: Iterable[bytes], *, request_id: str | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """Send a training snapshot (Arrow stream) and yield the answer's lines as they come.

        Each line is a `Progress`; the last one is `{"report": ...}`. Closing the iterator cancels the training.
        """
        yield from self._stream("/api/train", snapshot, request_id)

    def backtest(self, snapshot: Iterable[bytes]) -> Generator[dict[str, Any], None, None]:
        """As `train`; the last line is `{"backtest": ...}`."""
        yield from self._stream("/api/backtest", snapshot, None)

    def _stream(
        self, path: str, snapshot: Iterable[bytes], request_id: str | None
    ) -> Generator[dict[str, Any], None, None]:
        headers = {"Content-Type": ARROW_TYPE, "Accept": NDJSON_TYPE, **_identified(request_id)}
        try:
            response = self._session.post(
                f"{self._url}{path}",
                data=iter(snapshot),
                headers=headers,
                stream=True,
                timeout=(CONNECT_TIMEOUT_S, TRAIN_SILENCE_S),
            )
            with closing(response):
                if response.status_code >= 400:
                    raise ml_failures.told(response.content)
                yield from self._lines(response)
        except requests.RequestException as error:
            raise errors.ServiceUnavailable(
                f"The ML service went away during training: {type(error).__name__}."
            ) from error

    def _lines(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        for raw in response.iter_lines(chunk_size=1):
            if not raw:
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

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = JSON_TYPE,
        params: dict[str, str] | None = None,
        request_id: str | None = None,
        also: Sequence[str] = (),
        read_timeout_s: float = SCORE_TIMEOUT_S,
    ) -> bytes:
        identified = _identified(request_id, also)
        try:
            # `calling` and not `call`: the latter holds the breaker's lock while the request runs, one at a time.
            with self._breaker.calling():
                return self._send_once(method, path, body, content_type, params, identified, read_timeout_s)
        except pybreaker.CircuitBreakerError:
            raise errors.ServiceUnavailable(AWAY) from None

    def _prepare(
        self, method: str, path: str, content_type: str, params: tuple[tuple[str, str], ...]
    ) -> requests.PreparedRequest:
        headers = {"Content-Type": content_type, "Accept": content_type}
        url = f"{self._url}{path}"
        return self._session.prepare_request(requests.Request(method, url, headers=headers, params=dict(params)))

    def _send_once(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
        params: dict[str, str] | None,
        identified: dict[str, str],
        read_timeout_s: float,
    ) -> bytes:
        try:
            if self._kept is not None and body is not None and content_type == JSON_TYPE:
                status, content = self._kept.post(path, body, identified, timeout_s=read_timeout_s)
            else:
                status, content = self._exchange(method, path, body, content_type, params, identified, read_timeout_s)
        except (requests.RequestException, OSError, HTTPException) as error:
            raise errors.ServiceUnavailable(AWAY) from error
        if status >= 400:
            raise ml_failures.told(content)
        return content

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
        params: dict[str, str] | None,
        identified: dict[str, str],
        read_timeout_s: float,
    ) -> tuple[int, bytes]:
        prepared = self._prepared(method, path, content_type, tuple((params or {}).items())).copy()
        prepared.headers.update(identified)
        if body is not None:
            prepared.headers["Content-Length"] = str(len(body))
            prepared.body = body
        # Not by the session: preparing, cookies and redirects, of which there are none, take as long as the rest.
        response = self._adapter.send(prepared, timeout=(CONNECT_TIMEOUT_S, read_timeout_s))
        return response.status_code, response.content


def _identified(request_id: str | None, also: Sequence[str] = ()) -> dict[str, str]:
    headers = {"X-Request-ID": request_id} if request_id else {}
    return headers | ({RIDES_ALONG: ",".join(also)} if also else {})


def _joined(asked: Sequence[PredictRequest]) -> PredictRequest:
    keys = None if asked[0].row_keys is None else [key for each in asked for key in each.row_keys or ()]
    columns = {name: [cell for each in asked for cell in each.columns[name]] for name in asked[0].columns}
    return asked[0].model_copy(update={"columns": columns, "row_keys": keys})


def _parted(asked: Sequence[PredictRequest], answer: PredictResponse) -> list[PredictResponse | None]:
    sizes = [len(next(iter(each.columns.values()), ())) for each in asked]
    if answer.unknown_categories or sum(sizes) != len(answer.predictions):
        # Whose they are can't be told from a sum.
        return [None] * len(asked)
    ends = list(accumulate(sizes))
    rows = [answer.predictions[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return [answer.model_copy(update={"predictions": mine}) for mine in rows]


def _parsed(read: Callable[[bytes], T], body: bytes) -> T:
    try:
        return read(body)
    except ValidationError:
        raise errors.ServiceUnavailable(ml_failures.OTHER) from None
