# SPDX-License-Identifier: Apache-2.0
"""ccache against a real server, over HTTP in Bazel's layout: a remote hit from an empty local cache."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.server import running_server, server_environment

if TYPE_CHECKING:
    from pathlib import Path

CCACHE, GCC = shutil.which("ccache"), shutil.which("gcc")

pytestmark = [
    pytest.mark.compiler,
    pytest.mark.skipif(CCACHE is None, reason="ccache is not installed (Debian: ccache)"),
    pytest.mark.skipif(GCC is None, reason="there is no C compiler"),
]


def compile_with(cache: Path, url: str, source: Path) -> bytes:
    """Compile through ccache with a local cache of its own; return the object."""
    target = source.with_suffix(".o")
    target.unlink(missing_ok=True)
    subprocess.run(
        [str(CCACHE), str(GCC), "-c", source.name, "-o", target.name],
        cwd=source.parent,
        env=environment(cache, url),
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return target.read_bytes()


def environment(cache: Path, url: str) -> dict[str, str]:
    """Environment in which ccache asks the server."""
    clean = {name: value for name, value in server_environment().items() if not name.startswith("CCACHE_")}
    return clean | {"CCACHE_DIR": str(cache), "CCACHE_REMOTE_STORAGE": f"{url}|layout=bazel"}


def statistics(cache: Path, url: str) -> dict[str, int]:
    """Ask ccache what it counted."""
    done = subprocess.run(
        [str(CCACHE), "--print-stats"], env=environment(cache, url), check=True, capture_output=True, text=True
    )
    return {name: int(value) for name, value in re.findall(r"^(\w+)\t(\d+)$", done.stdout, re.MULTILINE)}


def test_an_empty_local_cache_hits_the_server(tmp_path: Path) -> None:
    source = tmp_path / "unit.c"
    source.write_text("int answer(void) { return 42; }\n")
    with running_server(tmp_path / "store") as server:
        objects = [compile_with(tmp_path / f"cache{number}", server.http_url, source) for number in range(2)]
        cold, warm = (statistics(tmp_path / f"cache{number}", server.http_url) for number in range(2))
    assert objects[0] == objects[1]
    assert cold["cache_miss"] == 1
    assert warm["direct_cache_hit"] + warm["preprocessed_cache_hit"] == 1
    assert warm["cache_miss"] == 0
