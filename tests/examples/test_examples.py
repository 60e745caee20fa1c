# SPDX-License-Identifier: Apache-2.0
"""What lies in `examples/` is what the programs that read it accept, and names options that there are."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.server import PYTRACE_CAS, server_environment

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
UNIT = EXAMPLES / "pytrace-cas.service"
CHECKED = {
    "Containerfile",
    "alerts.yaml",
    "cas.toml",
    "compose.yaml",
    "haproxy.cfg",
    "nginx.conf",
    "prometheus.yaml",
    "pytrace-cas.service",
}


def settings(*arguments: str) -> dict[str, tuple[object, str]]:
    """Ask the program itself what options come to; it refuses what it does not know."""
    command = [str(PYTRACE_CAS), "config", "show", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=server_environment(), check=False)
    assert done.returncode == 0, done.stderr
    return {name: (row["value"], row["source"]) for name, row in json.loads(done.stdout)["settings"].items()}


def test_the_settings_file_is_read() -> None:
    shown = settings("--config", str(EXAMPLES / "cas.toml"))
    assert shown["max-size"] == (50 << 30, "configuration file")
    assert shown["log-format"] == ("json", "configuration file")


def directives(text: str) -> configparser.RawConfigParser:
    """Parse a unit: sections of keys, of which a key may come twice."""
    unit = configparser.RawConfigParser(strict=False, interpolation=None, comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


def test_the_unit_starts_the_server_as_it_is() -> None:
    service = directives(UNIT.read_text())["Service"]
    program, verb, *options = shlex.split(service["ExecStart"])
    assert (Path(program).name, verb) == ("pytrace-cas", "serve")
    here = [str(EXAMPLES / "cas.toml") if option.startswith("/etc/") else option for option in options]
    assert settings(*here)["dir"][1] == "command line"
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    assert service["ExecReload"].endswith("kill -HUP $MAINPID")
    # Longer than the supervisor waits for its workers, which is longer than they drain.
    assert int(service["TimeoutStopSec"]) > 15
    for hardened in ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "PrivateDevices", "RestrictSUIDSGID"):
        assert service[hardened] == "yes"


@pytest.mark.systemd_analyze
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/pytrace/bin/pytrace-cas", str(PYTRACE_CAS)))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    ours = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert (done.returncode, ours) == (0, [])


def container_lines() -> list[tuple[str, str]]:
    """The instructions of the container file and what each says."""
    joined = re.sub(r"\\\n\s*", "", (EXAMPLES / "Containerfile").read_text())
    lines = [line for line in joined.splitlines() if line and not line.startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_container_file_copies_what_there_is_and_starts_the_server() -> None:
    lines = container_lines()
    known = {"FROM", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in lines} <= known
    assert lines[0][0] == "FROM"
    said = dict(lines)
    command = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
    assert command[:2] == ["/opt/pytrace/bin/pytrace-cas", "serve"]
    shown = settings(*command[2:])
    ports = {str(shown[name][0]).rpartition(":")[2] for name in ("grpc-address", "http-address")}
    assert ports == set(said["EXPOSE"].split())
    assert said["USER"] != "root"
    check = json.loads(said["HEALTHCHECK"].partition("CMD ")[2])
    compile(check[-1], "the health check", "exec")


def test_the_compose_file_builds_that_container_and_mounts_what_there_is() -> None:
    compose = yaml.safe_load((EXAMPLES / "compose.yaml").read_text())
    cache, prometheus = compose["services"]["cache"], compose["services"]["prometheus"]
    assert (EXAMPLES / cache["build"]["context"] / cache["build"]["dockerfile"]).is_file()
    assert settings("--dir", "store", *cache["command"])["max-size"][0] == 50 << 30
    for mount in prometheus["volumes"]:
        assert (EXAMPLES / mount.partition(":")[0]).is_file()
    # What is published is published to this machine alone: there is no authentication by default.
    assert all(port.startswith("127.0.0.1:") for port in cache["ports"])
    assert {mount.partition(":")[0] for mount in cache["volumes"]} == set(compose["volumes"])


@pytest.mark.prometheus
def test_prometheus_takes_its_settings_and_the_alerts() -> None:
    subprocess.run(["promtool", "check", "config", EXAMPLES / "prometheus.yaml"], check=True, capture_output=True)
    subprocess.run(["promtool", "check", "rules", EXAMPLES / "alerts.yaml"], check=True, capture_output=True)


@pytest.mark.haproxy
def test_haproxy_takes_its_settings() -> None:
    subprocess.run(["haproxy", "-c", "-f", EXAMPLES / "haproxy.cfg"], check=True, capture_output=True)


def test_every_example_is_checked() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} >= CHECKED
