"""The points by value are asked of the ML service once, until customers or the shown run are others."""

from __future__ import annotations

from typing import Any

import pytest

from database.engine import kept_figures
from gateway.services.models import dependence
from tests.world import World


def test_points_by_value_are_asked_for_once_in_each_state(demo_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, ask = [], dependence._ask

    def noted(*given: Any) -> Any:
        asked.append(given)
        return ask(*given)

    def points() -> Any:
        answer = demo_world.ask("GET", "/api/model/dependence")
        assert answer.status_code == 200, answer.get_json()
        return answer.get_json()["data"]

    monkeypatch.setattr(dependence, "_ask", noted)
    first = points()
    assert first["features"]
    assert (points(), len(asked)) == (first, 1)
    with demo_world.database.write() as connection:
        kept_figures.changed(connection)
    assert (points(), len(asked)) == (first, 2)
