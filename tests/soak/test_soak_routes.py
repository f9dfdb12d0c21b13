"""The soak asks every route that there is."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from tests.soak.memory import slope
from tests.soak.routes import COVERED, routes_of, uncovered
from tests.world import World

RULE, PATH = r"<(?:\w+:)?(\w+)>", r"{\1}"


def test_every_route_of_the_gateway_has_a_task_and_every_task_a_route(make_world: Callable[..., World]) -> None:
    world = make_world()
    assert uncovered(world.client.get("/api/openapi.json").get_json()) == []
    served = {
        f"{method} {re.sub(RULE, PATH, rule.rule)}"
        for rule in world.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == COVERED


def test_a_new_route_is_named() -> None:
    document = {"paths": {"/api/health": {"get": {}}, "/api/new": {"post": {}}}}
    assert routes_of(document) == {"GET /api/health", "POST /api/new"}
    assert uncovered(document) == ["POST /api/new"]


def test_memory_that_grows_is_told_from_memory_that_sways() -> None:
    at_s, chance = np.arange(300.0), np.random.default_rng(1)
    sways = 250 + 8 * np.sin(at_s / 9) + chance.normal(0, 2, 300)
    still, grows = slope(at_s, sways), slope(at_s, sways + at_s * 3 / 60)
    assert still is not None
    assert not still.is_leak
    assert grows is not None
    assert grows.is_leak
    assert abs(grows.mb_per_minute - 3) < 3 * grows.error
    assert slope(at_s[:30], sways[:30]) is None
