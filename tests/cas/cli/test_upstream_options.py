# SPDX-License-Identifier: Apache-2.0
"""The options that describe an upstream: what is taken, what is refused, what is shown."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.store import Store
from tests.support.server import PYTRACE_CAS

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `pytrace-cas` to its end."""
    environment = {**os.environ, **variables}
    return subprocess.run([PYTRACE_CAS, *arguments], capture_output=True, text=True, env=environment, check=False)


def test_config_shows_no_secret(tmp_path: Path) -> None:
    config = tmp_path / "cas.toml"
    config.write_text('upstream = "grpcs://who:geheim@cache/main"\nupstream-header = ["x-a=verborgen"]\n')
    plain = run("config", "show", "--config", str(config), "--upstream-timeout", "2m")
    shown = run("config", "show", "--json", "--config", str(config), "--upstream-timeout", "2m")
    settings = {name: value["value"] for name, value in json.loads(shown.stdout)["settings"].items()}
    assert settings["upstream"] == "grpcs://cache:443/main"
    assert settings["upstream-header"] == ["x-a=(hidden)"]
    assert settings["upstream-timeout"] == 120.0
    for text in (shown.stdout, plain.stdout):
        assert "geheim" not in text
        assert "verborgen" not in text


def test_headers_from_the_environment() -> None:
    headers = "authorization=Bearer one two\nx-b=2"
    shown = run("config", "show", "--json", PYTRACE_CAS_UPSTREAM_HEADER=headers, PYTRACE_CAS_UPSTREAM="http://cache")
    settings = json.loads(shown.stdout)["settings"]
    assert settings["upstream-header"] == {
        "value": ["authorization=(hidden)", "x-b=(hidden)"],
        "source": "environment",
    }


@pytest.mark.parametrize(
    "words",
    [
        "--upstream ftp://secret@cache",
        "--upstream http://who:secret@cache?x",
        "--upstream grpc://cache --upstream-header secret",
        "--upstream grpc://cache --upstream-timeout 0",
        "--upstream grpc://cache --upstream-cert c.pem",
        "--upstream grpcs://cache --upstream-ca /nonexistent/ca.pem",
        "--upstream s3://bucket --upstream-cert c.pem --upstream-key k.pem",
        "--upstream az://container",
        "--upstream grpc://cache --read-only",
        "--upstream-read-only",
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(tmp_path: Path, words: str) -> None:
    store = str(tmp_path / "s")
    if "--read-only" in words.split():
        Store.open(store).close()
    ran = run("serve", "--dir", store, "--grpc-address", "127.0.0.1:0", "--http-address", "none", *words.split())
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.count("\n") == 1
    assert "secret" not in ran.stderr


@pytest.mark.parametrize("workers", ["1", "3"])
def test_an_upstream_that_cannot_be_used_is_told_once(tmp_path: Path, workers: str) -> None:
    options = (
        "--http-address",
        "none",
        "--workers",
        workers,
        "--upstream",
        "grpcs://cache",
        "--upstream-ca",
        "/nonexistent",
    )
    ran = run("serve", "--dir", str(tmp_path / "s"), "--grpc-address", "127.0.0.1:0", *options)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("pytrace-cas: grpcs://cache:443: ")
    assert ran.stderr.count("\n") == 1
