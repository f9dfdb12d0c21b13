"""`retainstream settings`: what is in force in the folder and environment that it is called in."""

from __future__ import annotations

import json
from pathlib import Path

from tests import prefork
from tests.stack import Stack

SECRET = "0123456789abcdef" * 2


def test_the_settings_of_both_services_are_shown_and_no_secret_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PORT=5200\nML_THREADS=3\nML_SERVICE_TOKEN={SECRET}\nDATABASE_URL=sqlite:///x\n")
    env = {**Stack(tmp_path / "s").environment, "PYTHON_PORT": "5301"}
    for name in ("PORT", "ML_SERVICE_TOKEN"):
        del env[name]
    shown = prefork.run("gateway", "settings", folder=tmp_path, env=env)
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert ["PORT", "5200", ".env"] in lines
    assert lines.count(["PYTHON_PORT", "5301", "environment"]) == 2, "both services read it"
    assert ["PYTHON_SERVICE_URL", "http://127.0.0.1:5301", "default"] in lines
    assert lines.count(["ML_SERVICE_TOKEN", "********", ".env"]) == 2
    assert ["LIST_CUT", "0.7", "default"] in lines, "unset, it is the confidence threshold"
    assert ["LEDGER_MONTHS", "-", "default"] in lines
    assert ["SMTP_URL", "-", "default"] in lines, "a secret that nothing makes up"
    assert "read by neither: DATABASE_URL" in shown.stdout
    found = json.loads(prefork.run("gateway", "settings", "--json", folder=tmp_path, env=env).stdout)
    assert {"name": "ML_THREADS", "value": "3", "source": ".env", "is_secret": False} in found["ml_service"]
    assert found["unknown"] == ["DATABASE_URL"]
    assert SECRET not in shown.stdout + json.dumps(found)


def test_a_fault_of_the_ml_services_settings_is_told(tmp_path: Path) -> None:
    env = {**Stack(tmp_path / "s").environment, "ML_THREADS": "many"}
    shown = prefork.run("gateway", "settings", folder=tmp_path, env=env)
    assert shown.returncode == 2
    assert "ML_THREADS" in shown.stderr
    assert not list(tmp_path.glob("**/*.db*"))
