"""Hundreds of slow clients at both services as they run; the short form is tests/shared/web/test_worker.py."""

from __future__ import annotations

import time

import pytest

from tests.serving import slow_clients
from tests.serving.slow_clients import Sockets, holding, is_closed_within, reading_nothing, seconds_to_answer
from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("stack")]
IN_TIME_S = 2.0
#: Where a body is read without a sign-in, and the largest answer that anybody may have.
OPEN_ROUTES = {
    "gateway": ("/api/auth/login", "/api/docs/assets/js/swagger-ui-bundle.js"),
    "ml": ("/api/predict", "/api/openapi.json"),
}


@pytest.mark.parametrize("service", OPEN_ROUTES)
def test_health_answers_beside_slow_clients_of_all_kinds(stack: Stack, service: str) -> None:
    port = stack.port if service == "gateway" else stack.ml_port
    post_to, large = OPEN_ROUTES[service]
    attacks = {**slow_clients.half_requests(post_to), "readers": reading_nothing(large)}
    for attack in attacks.values():
        with holding(attack, port, 64):
            assert max(seconds_to_answer(port, "/api/health") for _ in range(5)) < IN_TIME_S
    with holding(slow_clients.idle("/api/health"), port, 1_010):
        assert max(seconds_to_answer(port, "/api/health") for _ in range(5)) < IN_TIME_S
    held: Sockets = []
    try:
        for attack in attacks.values():
            held += attack(port, 64)
        until = time.monotonic() + 60
        worst = 0.0
        while time.monotonic() < until:
            worst = max(worst, seconds_to_answer(port, "/api/health"))
            time.sleep(0.5)
        assert worst < IN_TIME_S
        # The last have their answers, which the kernel holds, and may stay as idle clients may.
        assert [client for client in held[:-64] if not is_closed_within(client, 1)] == []
    finally:
        for client in held:
            client.close()
