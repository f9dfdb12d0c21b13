"""The command that shows which settings are in force, and where each comes from.

Law: it reads what a process that is started here now would read, and tells no secret.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from gateway.settings import load_settings
from shared import setting_sources
from shared.commands.printing import echo, echo_text
from shared.errors import InvalidInput
from shared.setting_sources import InForce

TIMEOUT_S = 60
#: Secrets that are made where they are not given.
KEPT = ("JWT_SECRET", "ML_SERVICE_TOKEN")


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def show_settings(as_json: bool) -> None:
    """Show every setting in force: value, and whether it comes from the environment, .env or the default."""
    settings = load_settings()
    gateway, ml = setting_sources.in_force(settings, settings.derived), _of_the_ml_service()
    read = {each.name for each in (*gateway, *ml)}
    unknown = [name for name in setting_sources.unknown_names(type(settings)) if name not in read]
    if as_json:
        shown = {"gateway": list(map(asdict, gateway)), "ml_service": list(map(asdict, ml)), "unknown": unknown}
        echo_text(json.dumps(shown, indent=1))
        return
    _print("Gateway, worker and commands", gateway)
    echo()
    _print("ML service, if it is started in this folder with this environment", ml)
    if unknown:
        echo("", f"In {setting_sources.FILE}, read by neither: {', '.join(unknown)}")


def _of_the_ml_service() -> list[InForce]:
    """Ask the program itself: the gateway knows nothing of its settings."""
    line = [sys.executable, "-m", "ml_service", "--settings"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise InvalidInput(f"The ML service can't tell its settings: {said[-1]}")
    return [InForce(**each) for each in json.loads(done.stdout)]


def _print(title: str, settings: Sequence[InForce]) -> None:
    echo(title, bold=True)
    texts = [_text(each) for each in settings]
    name, value = max(len(each.name) for each in settings), max(map(len, texts))
    for each, text in zip(settings, texts, strict=True):
        echo(f"  {each.name:<{name}}  {text:<{value}}  {each.source}")


def _text(setting: InForce) -> str:
    if setting.is_secret and setting.source != "default":
        return "********"
    if setting.name in KEPT:
        return "random, kept"
    return setting.value or "-"


COMMANDS = (show_settings,)
