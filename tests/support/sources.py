# SPDX-License-Identifier: Apache-2.0
"""Real C sources for tests and benchmarks: Lua 5.4, as the crate `lua-src` carries it, fetched once through cargo."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support import caller

CRATE, VERSION = "lua-src", "547.0.0"
KEPT = Path(__file__).parents[2] / "build" / "sources"
MANIFEST = f"""
[package]
name = "sources"
version = "0.0.0"
edition = "2021"
[lib]
path = "sources.rs"
[dependencies]
{CRATE} = "={VERSION}"
"""


class NoSources(Exception):
    """Cargo is missing or could not fetch; the message is its own."""


def lua_sources() -> Path:
    """Give the folder with Lua's `.c` and `.h` files; fetch it if it is not here yet."""
    kept = KEPT / f"{CRATE}-{VERSION}"
    if not kept.exists():
        _fetch(kept)
    return kept / "lua-5.4.7"


def _fetch(kept: Path) -> None:
    """Let cargo put the crate beside `kept`, then rename: two fetches at once do no harm."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise NoSources("cargo is not installed")
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as folder:
        Path(folder, "Cargo.toml").write_text(MANIFEST)
        Path(folder, "sources.rs").touch()
        fetched = subprocess.run(
            [cargo, "vendor", "--quiet", "vendor"],
            cwd=folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode != 0:
            raise NoSources(fetched.stderr.strip() or f"cargo vendor ended with {fetched.returncode}")
        try:
            os.rename(Path(folder, "vendor", CRATE), kept)
        except OSError:
            if not kept.exists():
                raise


def _environment() -> dict[str, str]:
    """Cargo finds its toolchain and its registry under the user's real home, whatever HOME is for the tests."""
    return {**caller.ENVIRONMENT, "HOME": pwd.getpwuid(os.getuid()).pw_dir}


@pytest.fixture(scope="session")
def lua() -> Path:
    """Lua's sources; a visible skip where they cannot be had."""
    try:
        return lua_sources()
    except NoSources as error:
        pytest.skip(f"no C sources: {error}")
