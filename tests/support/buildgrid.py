# SPDX-License-Identifier: Apache-2.0
"""BuildGrid's cache as a process, installed from PyPI into an environment of its own below `.venv`, and kept."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.support import caller
from tests.support.server import server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "0.4.4"
START_SECONDS = 90
STOP_SECONDS = 30
_CONFIG = """
server:
  - !channel {{address: "unix:{folder}/socket", insecure-mode: true}}
authorization: {{method: none}}
monitoring: {{enabled: false}}
storages:
  - !disk-storage &cas {{path: "{folder}/cas"}}
caches:
  - !lru-action-cache &ac {{storage: *cas, max-cached-refs: 256, allow-updates: true, cache-failed-actions: true}}
instances:
  - name: ''
    services: [!cas {{storage: *cas}}, !bytestream {{storage: *cas}}, !action-cache {{cache: *ac}}]
"""


def bgd() -> Path:
    """BuildGrid's command, installed when it is first asked for; skips where PyPI does not answer."""
    folder = Path(sys.prefix) / "tools" / f"buildgrid-{VERSION}"
    folder.parent.mkdir(exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
            pip = (sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet")
            _run(*pip, "--disable-pip-version-check", f"buildgrid[database,redis]=={VERSION}")
            (folder / "complete").touch()
    return folder / "bin" / "bgd"


def _run(*command: str) -> None:
    done = subprocess.run(command, env=caller.ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"BuildGrid {VERSION} cannot be installed: {done.stderr.strip()[-300:]}")


@contextmanager
def running_buildgrid(folder: Path) -> Iterator[str]:
    """Run BuildGrid's cache over a folder; give its URL."""
    program = bgd()
    folder.mkdir()
    (folder / "config.yml").write_text(_CONFIG.format(folder=folder))
    url = f"unix:{folder}/socket"
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            (program, "server", "start", folder / "config.yml"),
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        with grpc.insecure_channel(url) as channel:
            grpc.channel_ready_future(channel).result(START_SECONDS)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
