"""The container files: what can be said of them without an engine, and, where there is one, that they build and run.

Law: every setting reaches its container, and nothing runs as root, writes to its image or holds what it does not need.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from gateway.settings import Settings as GatewaySettings
from ml_service.settings import Settings as MLSettings

ROOT = Path(__file__).parent.parent
SERVICES = ("gateway", "setup", "worker", "ml_service")
GATEWAY_SERVICES = ("gateway", "setup", "worker")
IMAGES = ("gateway", "ml")
RETAINSTREAM_COMPOSE_VERIFY = os.environ.get("RETAINSTREAM_COMPOSE_VERIFY")


@cache
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def service(name: str) -> dict[str, Any]:
    return compose()["services"][name]


@cache
def stages() -> dict[str, list[str]]:
    """The instructions of each stage of the Dockerfile, continuation lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines()
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in filter(None, lines):
        begins = re.fullmatch(r"FROM (\S+) AS (\S+)", line)
        if begins:
            current = found.setdefault(begins[2], [])
        current.append(line)
    return found


def variables(settings: type[BaseSettings]) -> list[str]:
    """The name of every variable; of two names for one, the first."""
    names = []
    for field in settings.model_fields.values():
        alias = field.validation_alias
        names.append(str(alias.choices[0]) if isinstance(alias, AliasChoices) else str(alias))
    return names


def test_the_compose_file_names_the_services_and_no_version() -> None:
    assert set(compose()["services"]) == set(SERVICES)
    assert "version" not in compose()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_contained(name: str) -> None:
    each = service(name)
    assert each["user"] == "10001:10001"
    assert each["read_only"] is True
    assert each["tmpfs"] == ["/tmp"]
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert each["restart"] == ("no" if name == "setup" else "unless-stopped")
    assert "privileged" not in each


@pytest.mark.parametrize(
    ("settings", "names"), [(GatewaySettings, GATEWAY_SERVICES), (MLSettings, ("ml_service",))], ids=["gateway", "ml"]
)
def test_every_setting_reaches_its_container(settings: type[BaseSettings], names: tuple[str, ...]) -> None:
    for name in names:
        assert sorted(service(name)["environment"]) == sorted(variables(settings)), name


def test_defaults_stand_in_the_settings_and_no_secret_in_the_file() -> None:
    for name in SERVICES:
        for variable, value in service(name)["environment"].items():
            # The addresses of compose's own network are known here and nowhere else.
            if str(value).startswith("$") and variable not in ("APP_ENV", "PROXY_ADDRESSES"):
                assert value == f"${{{variable}:-}}"
            assert not re.search("SECRET|TOKEN", variable) or value == f"${{{variable}:-}}"


def test_every_variable_of_the_example_is_a_setting() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    named = {line.split("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    assert named
    assert named <= {*variables(GatewaySettings), *variables(MLSettings)}


def test_the_example_starts_a_development_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {*variables(GatewaySettings), *variables(MLSettings), "NODE_ENV"}:
        monkeypatch.delenv(name, raising=False)
    example = ROOT / ".env.example"
    for made in (GatewaySettings(_env_file=example), MLSettings(_env_file=example)):  # type: ignore[call-arg]
        assert made.app_env == "development"
        assert made.ml_service_token is None, "made at random, and kept"


def test_only_the_gateway_is_published_and_on_loopback_unless_told_otherwise() -> None:
    published = {name: service(name)["ports"] for name in SERVICES if "ports" in service(name)}
    assert published == {"gateway": ["${HOST:-127.0.0.1}:${PORT:-5000}:5000"]}
    assert service("ml_service")["networks"] == ["inside"]
    assert compose()["networks"]["inside"]["internal"] is True


def test_the_gateway_does_not_wait_for_the_ml_service() -> None:
    assert "depends_on" not in service("gateway")
    assert set(service("worker")["depends_on"]) == {"gateway", "ml_service", "setup"}


def test_what_is_waited_for_says_when_it_is_well() -> None:
    for name in SERVICES:
        for other, how in service(name).get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                target = service(other)["build"]["target"]
                assert any(line.startswith("HEALTHCHECK ") for line in stages()[target])
    assert service("worker")["healthcheck"]["test"][0] == "CMD"


def test_data_are_in_named_volumes() -> None:
    assert set(compose()["volumes"]) == {"database", "models"}
    for name in GATEWAY_SERVICES:
        assert service(name)["volumes"] == ["database:/data", "models:/models"]
    assert service("ml_service")["volumes"] == ["models:/models"]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_not_roots_and_is_checked(image: str) -> None:
    lines = stages()[image]
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001:10001"]
    for instruction in ("CMD", "HEALTHCHECK"):
        line = next(line for line in lines if line.startswith(f"{instruction} "))
        assert re.search(r'CMD \["python", ', line), "exec form: no shell between the engine and the process"


def test_no_program_of_an_image_runs_as_somebody_else() -> None:
    assert "RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} +" in stages()["base"]
    for image in IMAGES:
        assert stages()[image][0] == f"FROM base AS {image}"


@pytest.mark.parametrize("image", IMAGES)
def test_an_images_user_owns_and_writes_its_volumes_alone(image: str) -> None:
    lines = [line for line in stages()["base"] + stages()[image] if not line.startswith("#")]
    (made,) = [line for line in lines if "10001" in line and not re.match("USER|RUN groupadd", line)]
    volumes = {volume.split(":")[1] for volume in service({"gateway": "gateway", "ml": "ml_service"}[image])["volumes"]}
    assert made.split("-m 0750 ")[1].split() == sorted(volumes)
    copied = [line for line in lines if line.startswith("COPY")]
    assert copied
    assert not any("--chown" in line or "--chmod" in line for line in copied)
    assert not any(re.search(r"chmod (?!a-s)|chown", line) for line in lines)


@pytest.mark.parametrize(
    ("stage", "packages"),
    [("gateway-build", {"shared", "database", "gateway"}), ("ml-build", {"shared", "ml_service", "retainstream"})],
)
def test_an_image_holds_its_own_packages_from_its_hashed_lock(stage: str, packages: set[str]) -> None:
    lines = stages()[stage]
    assert {line.split()[1] for line in lines if line.startswith("COPY ") and "/app/" in line} == packages
    (install,) = [" ".join(line.split()) for line in lines if "pip install" in line]
    assert "--no-deps --require-hashes --only-binary :all:" in install
    assert f"-r /build/{stage.removesuffix('-build')}.lock && " in install
    assert install.endswith("python -m pip check")


def test_the_labels_tell_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    told = re.findall(r'image\.version="([^"]+)"', (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    assert told == [version] * len(IMAGES)


def test_nothing_is_sent_to_a_build_but_what_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert all((ROOT / path).exists() for path in allowed)
    copied = {line.split()[1] for lines in stages().values() for line in lines if re.match(r"COPY (?!--from)", line)}
    assert copied == allowed
    # A development database stands in a folder that is sent.
    assert {"**/__pycache__", "**/.env*", "database/*.db", "database/*.db-*"} <= set(rules)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not RETAINSTREAM_COMPOSE_VERIFY, reason="RETAINSTREAM_COMPOSE_VERIFY names no script")
def test_the_images_build_and_the_system_becomes_healthy() -> None:
    done = subprocess.run([str(RETAINSTREAM_COMPOSE_VERIFY), str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
