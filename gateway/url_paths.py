"""Paths of requests, kept apart as they were sent: a text in a path, such as a customer's id, may hold any character.

Law: only a `/` that was sent as one separates the parts of a path. WSGI hands on the path decoded, where `%2F` looks
like `/`; so inside the parts `%` and `/` stay encoded until a rule has matched, and a text is decoded then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from flask import Flask
from gunicorn.util import split_request_uri
from werkzeug.routing import UnicodeConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Text(UnicodeConverter):
    """A whole part of a path, decoded; the converter of `<name>` in a rule."""

    def to_python(self, value: str) -> str:
        return unquote(value)

    def to_url(self, value: object) -> str:
        return quote(str(value), safe="")


def install(app: Flask) -> None:
    """Keep the parts of paths apart; called before the first route."""
    app.url_map.converters["default"] = Text
    decoded = app.wsgi_app

    def apart(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = split_request_uri(environ["RAW_URI"]).path.removeprefix(environ["SCRIPT_NAME"])
        if "%" in path:
            environ["PATH_INFO"] = "/".join(_escaped(part) for part in path.split("/"))
        return decoded(environ, start_response)

    app.wsgi_app = apart  # type: ignore[method-assign]


def _escaped(part: str) -> str:
    # WSGI holds the bytes of a path as the characters of Latin-1.
    return unquote(part, encoding="latin-1").replace("%", "%25").replace("/", "%2F")
