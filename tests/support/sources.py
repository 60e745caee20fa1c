# SPDX-License-Identifier: Apache-2.0
"""Real C sources for tests and benchmarks: Lua 5.4, as the source distribution of `lupa` carries it, fetched by pip."""

from __future__ import annotations

import os
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest

from tests.support.fetching import NotFetched, download

PACKAGE, VERSION = "lupa", "2.4"
INSIDE = PurePosixPath("third-party/lua54")
# All of Lua in one file, and its own test hooks: not parts of the library.
LEFT_OUT = frozenset({"onelua.c", "ltests.c"})
KEPT = Path(__file__).parents[2] / "build" / "sources"


def lua_sources() -> Path:
    """Give the folder with Lua's `.c` and `.h` files; fetch it if it is not here yet. Raises `NotFetched`."""
    kept = KEPT / f"lua-of-{PACKAGE}-{VERSION}"
    if not kept.exists():
        _fetch(kept)
    return kept


def _fetch(kept: Path) -> None:
    """Unpack beside `kept`, then rename: two fetches at once do no harm."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as name:
        folder = Path(name)
        # --no-binary names the package, since `:all:` would build the build requirements from source as well.
        download(f"{PACKAGE}=={VERSION}", folder, "--no-binary", PACKAGE)
        unpacked = folder / "lua"
        unpacked.mkdir()
        with tarfile.open(folder / f"{PACKAGE}-{VERSION}.tar.gz") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if path.parent == PurePosixPath(f"{PACKAGE}-{VERSION}") / INSIDE and _is_of_the_library(path):
                    content = archive.extractfile(member)
                    assert content is not None, f"{path} is not a regular file"
                    (unpacked / path.name).write_bytes(content.read())
        try:
            os.rename(unpacked, kept)
        except OSError:
            if not kept.exists():
                raise


def _is_of_the_library(path: PurePosixPath) -> bool:
    return path.suffix in {".c", ".h"} and path.name not in LEFT_OUT


@pytest.fixture(scope="session")
def lua() -> Path:
    """Lua's sources; a visible skip where they cannot be had."""
    try:
        return lua_sources()
    except NotFetched as error:
        pytest.skip(f"no C sources: {error}")
