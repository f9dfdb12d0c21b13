"""Rules for the text of a setting, where a type does not say it.

Law: a message says what is expected and never repeats the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args
from urllib.parse import unquote, urlsplit

from limits import parse
from pydantic import AfterValidator

from gateway.cron import Cron

#: Tasks that the worker can do by itself.
Task = Literal["import", "score", "train", "mature", "backup", "digest"]
TASKS: tuple[Task, ...] = get_args(Task)
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9-]+(\.[a-z0-9-]+)*)(:[0-9]{1,5})?")


def split(value: object) -> object:
    """Split a comma-separated text; anything else stays as it is."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _is_a_limit(value: str) -> str:
    try:
        parse(value)
    except ValueError:
        raise ValueError("can't be read as a limit; write it like: 10 per minute") from None
    return value


def _has_three_decimals(value: float) -> float:
    if round(value, 3) != value:
        raise ValueError("use at most three decimals: scores are counted in steps of 0.001")
    return value


def exact_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    """Return origins in one form. Raises ValueError where one is not exact."""
    exact = tuple(each.lower().removesuffix("/") for each in value)
    try:
        ports = [urlsplit(each).port for each in exact]  # raises above 65535
    except ValueError:
        ports = []
    if len(ports) < len(exact) or not all(map(_ORIGIN.fullmatch, exact)):
        raise ValueError("give exact origins, such as https://board.example.com: no star, no path")
    return exact


def schedule_of(text: str) -> dict[Task, Cron]:
    """Read a schedule: lines of a task and its cron line, separated by semicolons. Raises ValueError."""
    found: dict[Task, Cron] = {}
    for line in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        name, _, cron = line.partition(" ")
        if name not in TASKS:
            raise ValueError(f"each line begins with one of the tasks {', '.join(TASKS)}")
        if name in found:
            raise ValueError(f"the task {name} stands there twice")
        try:
            found[name] = Cron.parse(cron)
        except ValueError as error:
            raise ValueError(f"the task {name}: {error}") from None
    return found


def is_a_schedule(text: str) -> str:
    """Return the text of a schedule. Raises ValueError where it can't be read."""
    schedule_of(text)
    return text


_ADDRESS = re.compile(r"[^@\s,;<>\"()]+@[^@\s,;<>\"()]+")


@dataclass(frozen=True)
class MailServer:
    """A server that takes mail; `is_tls` from the first byte on, otherwise by STARTTLS where it is offered."""

    host: str
    port: int
    is_tls: bool
    user: str | None
    password: str | None = field(repr=False)


def mail_server_of(url: str) -> MailServer:
    """Read the address of a mail server. Raises ValueError.

    >>> mail_server_of("smtp://relay.example.com").port
    587
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_plain = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or not is_plain:
        raise ValueError("expected smtp:// or smtps://, then user:password@ if it asks for them, and host:port")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("expected both a user and a password, or neither")
    user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
    is_tls = parts.scheme == "smtps"
    return MailServer(parts.hostname, port or (465 if is_tls else 587), is_tls, user, password)


def _is_an_address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or not value.isascii():
        raise ValueError("expected a plain e-mail address, such as ann@example.com")
    return value


#: An e-mail address without a name.
Address = Annotated[str, AfterValidator(_is_an_address)]
#: A rate limit, such as `10 per minute`.
Limit = Annotated[str, AfterValidator(_is_a_limit)]
#: A probability in steps of 0.001.
Cut = Annotated[float, AfterValidator(_has_three_decimals)]
