"""Rate limits: strict where passwords and tokens are given out, generous elsewhere.

Law: a request counts against one limit, before any other work on it. Strict counts are kept in the database,
which all processes share; the others in this process's memory, where they cost no query.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from flask import Response, g, request
from limits import RateLimitItem, parse

from database.accounts import audit
from database.accounts import rate_limits as counters
from database.accounts.audit import Actor
from database.engine.session import Database
from gateway.security import authentication, roles
from gateway.services.accounts.guesses import Guesses
from gateway.settings import Settings
from gateway.web_environment import environment
from shared.clock import iso
from shared.errors import InvalidInput, RateLimited, ServiceError
from shared.web.request_ids import request_id

HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
STRICT = ("/api/auth/login", "/api/auth/register", "/api/auth/refresh", "/api/auth/password")
EXEMPT = ("/api/health", "/api/health/ready", "/api/openapi.json", "/api/docs", "/api/docs/assets/<path:name>")
_IPV6_PREFIX_BITS = 64


class Window(NamedTuple):
    """Requests counted since the window began, and when it ends, seconds since 1970."""

    hits: int
    ends_at_s: float


def _is_open(window: Window, now_s: float, window_s: float) -> bool:
    """Whether a window is still open; one that ends later than a new one would is from before a clock was set back."""
    return now_s < window.ends_at_s <= now_s + window_s + counters.SLACK_S


class Counter(Protocol):
    """Counts requests in fixed windows."""

    def hit(self, key: str, *, limit: int, window_s: float) -> Window:
        """Count one request."""


class LocalCounter:
    """Counts in this process's memory, exactly, even from many threads."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._windows: dict[str, Window] = {}
        self._sweep_at_s = 0.0

    def hit(self, key: str, *, limit: int, window_s: float) -> Window:
        """Count one request."""
        now = self._now()
        with self._lock:
            if now >= self._sweep_at_s:
                self._windows = {k: w for k, w in self._windows.items() if w.ends_at_s > now}
                self._sweep_at_s = now + window_s
            found = self._windows.get(key)
            if found is None or not _is_open(found, now, window_s):
                found = Window(0, now + window_s)
            counted = self._windows[key] = Window(min(found.hits, limit) + 1, found.ends_at_s)
            return counted


class SharedCounter:
    """Counts in the database, for all processes together.

    Clients over the limit are kept here until the window ends, so that a flood costs no writes.
    """

    def __init__(self, database: Database, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now
        self._over: dict[str, Window] = {}

    def hit(self, key: str, *, limit: int, window_s: float) -> Window:
        """Count one request."""
        now = self._now()
        over = self._over.get(key)
        if over is not None and _is_open(over, now, window_s):
            self._over[key] = over._replace(hits=over.hits + 1)
            return self._over[key]
        with self._database.write() as connection:
            window = Window(*counters.hit(connection, key, window_s=window_s, now_s=now))
        if window.hits > limit:
            self._over = {k: w for k, w in self._over.items() if w.ends_at_s > now} | {key: window}
        return window


class Limiter:
    """Counts each request, refuses it above its limit, and reports how many are left."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._strict = _limit("CREDENTIALS_LIMIT", settings.credentials_limit)
        self._general = _limit("REQUEST_LIMIT", settings.request_limit)
        self._secret = settings.signing_secret.encode()
        self._shared: Counter = SharedCounter(database)
        self._local: Counter = LocalCounter()

    def count(self) -> None:
        """Count the present request.

        Raises
        ------
        RateLimited
        """
        rule = request.url_rule.rule if request.url_rule else None
        if rule in EXEMPT or not request.path.startswith("/api/"):
            return
        is_strict = rule in STRICT
        limit, counter = (self._strict, self._shared) if is_strict else (self._general, self._local)
        name = self._stored_name(f"{client()} {rule}") if is_strict else client()
        window = counter.hit(name, limit=limit.amount, window_s=limit.get_expiry())
        g.rate = (limit.amount, max(0, limit.amount - window.hits), math.ceil(window.ends_at_s))
        if window.hits > limit.amount:
            if is_strict and window.hits == limit.amount + 1:
                self._record_excess(str(rule))
            wait_s = max(1, math.ceil(window.ends_at_s - time.time()))
            raise RateLimited(f"Too many requests. Try again in {wait_s} s.", retry_after_s=wait_s)

    def _stored_name(self, key: str) -> str:
        # Hashed with a secret: the table must not hold people's addresses, and an unkeyed hash is easily reversed.
        return hmac.digest(self._secret, key.encode(), "sha256").hex()[:32]

    def _record_excess(self, rule: str) -> None:
        # Once per window. The keyed hash identifies a returning client without revealing who it is.
        mark = hmac.digest(self._secret, client().encode(), "sha256").hex()[:16]
        env = environment()
        with env.database.write() as connection:
            subject = f"{request.method} {rule} client:{mark}"
            actor = Actor(request_id=request_id())
            audit.record(connection, "credentials.limited", at=iso(env.clock()), actor=actor, subject=subject)

    def write_headers(self, response: Response) -> Response:
        """Add the limit, the requests left and the end of the window to the response."""
        if "rate" in g:
            for name, value in zip(HEADERS, g.rate, strict=True):
                response.headers[name] = str(value)
        return response


def guesses() -> Guesses:
    """Return the counter of wrong passwords for the present request."""
    env, name = environment(), client()
    secret = env.settings.signing_secret.encode()
    limit = _limit("ACCOUNT_LIMIT", env.settings.account_limit)
    return Guesses(env.database, limit, secret, name, is_known=name.startswith("user:"))


def client() -> str:
    """Return the client that a request counts for: the user of its valid token or key, else its address."""
    rule = request.url_rule
    if rule is not None and roles.access_of(request.method, rule.rule) != "public":
        try:
            caller = authentication.caller()
            # A person and all their keys share one count: fifty keys do not raise the limit fifty times.
            return f"user:{caller.user.id}"
        except ServiceError:
            pass  # raised again once the request has been counted
    return f"address:{_household(request.remote_addr or '')}"


def _household(address: str) -> str:
    # An IPv6 household has 2**64 addresses: it counts as one client.
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), _IPV6_PREFIX_BITS), strict=False))


def _limit(name: str, text: str) -> RateLimitItem:
    try:
        return parse(text)
    except ValueError:
        message = f"{name} can't be read as a limit; write it like: 10 per minute"
        raise InvalidInput.of([{"field": name, "message": message}], lead="") from None
