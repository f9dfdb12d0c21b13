"""Lets the databases and apps of one test process share what each compiles anew: SQL of statements, builders of addresses.

Compiling took a third of the CPU time of the tests that ask a gateway. A process that serves has one database and one app.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.util import LRUCache
from werkzeug.routing.rules import Rule

from database.engine.sqlite import connections

STATEMENTS = 3000
_Build = Callable[..., tuple[str, str]]
_compile: Callable[[Rule, bool], _Build] = Rule._compile_builder


class _Shared(LRUCache[Any, Any]):
    """Compiled statements of all engines, which have equal dialects: the first part of a key, left out here."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


def _compile_when_called(self: Rule, append_unknown: bool = True) -> _Build:
    """In place of a function that builds a route's address: one that is compiled when first called, as few ever are."""
    compiled: list[_Build] = []

    def build(rule: Rule, **values: Any) -> tuple[str, str]:
        if not compiled:
            compiled.append(_compile(rule, append_unknown))
        return compiled[0](rule, **values)

    return build


def install() -> None:
    """Share what is compiled, in this process."""
    shared = {"compiled_cache": _Shared(STATEMENTS)}
    connections.create_engine = partial(create_engine, execution_options=shared)  # type: ignore[assignment]
    Rule._compile_builder = _compile_when_called  # type: ignore[method-assign]
