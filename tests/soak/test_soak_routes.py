"""The soak asks every route that there is, and sees services that refuse everybody and processes that died."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest

from tests.soak import refusals
from tests.soak.__main__ import SERVING, told_of_memory
from tests.soak.memory import Memory, slope
from tests.soak.routes import COVERED, routes_of, uncovered
from tests.stack import Stack
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


TRAIN = "POST /api/model/train"


@pytest.mark.parametrize(
    ("answers", "refused", "fault"),
    [
        (1000, 1000, "1000 of 1000 answers tell to come again"),
        (20, 11, "11 of 20 answers tell to come again"),
        (20, 10, None),
        (19, 18, None),
        (1, 1, "none of 1 answers is as expected"),
    ],
)
def test_a_route_that_tells_most_users_to_come_again_is_a_fault(answers: int, refused: int, fault: str | None) -> None:
    told = {f"503 {TRAIN}": refused - refused // 2, f"429 {TRAIN}": refused // 2}
    found = list(refusals.faults({TRAIN: answers}, {TRAIN: answers - refused}, told, ()))
    assert found[:1] == ([] if fault is None else [f"{TRAIN}: {fault}"])


def test_a_route_that_nobody_asked_is_a_fault_where_each_has_to_be_reached() -> None:
    found = refusals.faults({"GET /": 3}, {"GET /": 3}, {}, ["GET /", TRAIN])
    assert list(found) == [f"{TRAIN}: none of 0 answers is as expected"]


@pytest.mark.parametrize("again", [None, *SERVING])
def test_a_process_that_was_started_again_is_a_fault(again: str | None) -> None:
    memory = Memory(cast("Stack", None))
    for name in (*SERVING, "gateway", "ml", "worker child"):
        for second in range(61):
            pid = 8 if name == again and second > 30 else 7
            memory.samples[f"{name} ({pid})"].append((float(second), 200.0))
    found = told_of_memory(memory, began=0.0, minutes=1, alone=30.0, end=60.0)
    assert found == ([] if again is None else [f"{again}: no process lasted from the beginning to the end"])
