"""Logs: one line per event, the service named, no local variables in a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from shared.web.logs import configure_logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_event_is_one_line_of_json_with_service_level_time_and_request_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs(service="gateway")
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger().info("request", path="/x\ny")
    (line,) = lines(capsys)
    assert (line["service"], line["level"], line["event"], line["request_id"]) == ("gateway", "info", "request", "r-1")
    assert str(line["timestamp"]).endswith("Z")
    assert line["path"] == "/x\ny"


def test_less_than_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(service="ml", level="warning")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_a_command_prints_its_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(service="cli", json_lines=False, is_command=True)
    structlog.get_logger().warning("slow_write")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "slow_write" in shown.err


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_trace_is_told_without_the_values_of_local_variables(
    capsys: pytest.CaptureFixture[str], json_lines: bool
) -> None:
    configure_logs(service="gateway", json_lines=json_lines)
    password = "hunter" + "2"
    try:
        raise ValueError("broken") if password else KeyError
    except ValueError:
        structlog.get_logger().exception("job_crashed")
    shown = capsys.readouterr().out
    assert "ValueError" in shown
    assert "hunter2" not in shown
