"""Trusts the headers of a named reverse proxy about its client.

Law: any other peer is itself the client, whatever its headers say.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.middleware.proxy_fix import ProxyFix

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NamedProxies:
    """A WSGI application behind proxies.

    Parameters
    ----------
    app
        The application behind them.
    hops
        Proxies in a chain, each of which adds to `X-Forwarded-For`.
    addresses
        Addresses of the last proxy, which connects here.
    """

    def __init__(self, app: WSGIApplication, *, hops: int, addresses: Sequence[Network]) -> None:
        self._direct = app
        self._proxied = ProxyFix(app, x_for=hops, x_proto=hops, x_host=0)
        self._is_named = lru_cache(maxsize=1024)(lambda address: _is_in(address, addresses))

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        app = self._proxied if self._is_named(environ.get("REMOTE_ADDR", "")) else self._direct
        return app(environ, start_response)


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in networks)
