# SPDX-License-Identifier: Apache-2.0
"""sccache 0.16 against a real server, over WebDAV: a fresh sccache hits what another one stored."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.server import running_server, server_environment
from tests.support.tools import SCCACHE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.compiler


def compile_once(folder: Path, url: str, name: str) -> tuple[bytes, dict[str, Any]]:
    """Compile through an sccache of its own; return the object and what that sccache counted."""
    environment = {name: value for name, value in server_environment().items() if not name.startswith("SCCACHE_")}
    environment |= {
        "SCCACHE_WEBDAV_ENDPOINT": f"{url}/webdav",
        "SCCACHE_SERVER_UDS": str(folder / f"{name}.sock"),
        "SCCACHE_IDLE_TIMEOUT": "60",
        "SCCACHE_DIR": str(folder / name),
    }

    def sccache(*arguments: str) -> str:
        return subprocess.run(
            [str(SCCACHE.program("bin/sccache")), *arguments],
            cwd=folder,
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=60,
        ).stdout

    (folder / "unit.o").unlink(missing_ok=True)
    sccache("--start-server")
    try:
        sccache("gcc", "-c", "unit.c", "-o", "unit.o")
        counted = json.loads(sccache("--show-stats", "--stats-format", "json"))["stats"]
    finally:
        sccache("--stop-server")
    return (folder / "unit.o").read_bytes(), counted


def test_a_fresh_sccache_hits_the_server(tmp_path: Path) -> None:
    (tmp_path / "unit.c").write_text("int answer(void) { return 42; }\n")
    SCCACHE.program("bin/sccache")
    with running_server(tmp_path / "store") as server:
        first, cold = compile_once(tmp_path, server.http_url, "cold")
        second, warm = compile_once(tmp_path, server.http_url, "warm")
    assert first == second
    assert (cold["cache_misses"]["counts"], cold["cache_writes"]) == ({"C/C++": 1}, 1)
    assert (warm["cache_hits"]["counts"], warm["cache_misses"]["counts"]) == ({"C/C++": 1}, {})
