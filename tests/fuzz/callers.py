"""Everybody who may call the services, each made just before their run, so that no run ends another's caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import requests

from tests.stack import PASSWORD, Api, Stack
from tests.world import TOKEN

#: Operations that end the session of who calls them: `gateway, leaver` calls them, with a new session each time.
ENDS_THE_CALLER = ("/api/auth/logout", "/api/auth/password", "/api/auth/refresh")


@dataclass(frozen=True)
class Caller:
    """Somebody who calls one of the services, and the header by which they are known."""

    url: str
    header: str | None = None
    #: Paths to call, or all but those.
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    #: In the short form too, every boundary of every parameter is tried.
    widely: bool = False
    #: Options of schemathesis for this caller.
    options: tuple[str, ...] = ()
    #: Environment variables for the hooks.
    variables: Mapping[str, str] = field(default_factory=dict)

    def standing(self) -> tuple[int, str | None]:
        """Ask who this caller is, and return the status and the error's code."""
        name, _, value = (self.header or "").partition(": ")
        answer = requests.get(f"{self.url}/api/auth/me", headers={name: value} if name else {}, timeout=30)
        return answer.status_code, (answer.json().get("error") or {}).get("code")


def callers(stack: Stack) -> Iterator[tuple[str, Callable[[], Caller]]]:
    """Name everybody who may call, with what makes them."""
    yield "gateway, nobody", lambda: Caller(stack.url, widely=True, variables={"FUZZ_NOBODY": "1"})
    for role in ("viewer", "analyst", "admin"):
        yield f"gateway, {role}", lambda role=role: _person(stack, role)  # type: ignore[misc]
    for scope in ("read", "score", "import"):
        yield f"gateway, key to {scope}", lambda scope=scope: _key(stack, scope)  # type: ignore[misc]
    yield "gateway, leaver", lambda: _leaver(stack)
    yield "ml, token", lambda: Caller(stack.ml_url, f"Authorization: Bearer {TOKEN}", widely=True)
    yield "ml, nobody", lambda: Caller(stack.ml_url, widely=True, variables={"FUZZ_NOBODY": "1"})


def _account(stack: Stack, name: str, role: str) -> tuple[str, Api]:
    email = f"{re.sub(r'[^a-z]', '-', name)}@example.com"
    done = stack.command("user", "create", email, "--name", "Fuzz", "--role", role, RETAINSTREAM_PASSWORD=PASSWORD)
    assert done.returncode == 0, done.stderr
    answer = stack.anonymous().post("/api/auth/login", {"email": email, "password": PASSWORD})
    return email, Api(stack.url, answer.json()["data"]["token"])


def _person(stack: Stack, role: str) -> Caller:
    _, person = _account(stack, f"fuzz-{role}", role)
    own = {"FUZZ_OWN_ID": str(person.data("/api/auth/me")["id"])}
    header = f"Authorization: Bearer {person.token}"
    return Caller(stack.url, header, without=ENDS_THE_CALLER, widely=role == "admin", variables=own)


def _key(stack: Stack, scope: str) -> Caller:
    _, owner = _account(stack, f"fuzz-key-{scope}", "admin")
    made = owner.post("/api/auth/keys", {"name": scope, "scopes": [scope]})
    assert made.status_code == 201, made.text
    # A made-up bearer token beside a key that is right: `ignored_auth` would take what the key opens for its doing.
    alone = ("--generation-with-security-parameters", "false")
    return Caller(stack.url, f"X-API-Key: {made.json()['data']['key']}", without=ENDS_THE_CALLER, options=alone)


def _leaver(stack: Stack) -> Caller:
    email, _ = _account(stack, "fuzz-leaver", "viewer")
    said = {"FUZZ_LEAVER": f"{email} {PASSWORD}", "FUZZ_URL": stack.url}
    return Caller(stack.url, only=ENDS_THE_CALLER, widely=True, variables=said)
