# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place
from tests.support import forks, tree


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An empty root; not in pytest's own folder, which tools treat as scratch."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="pytrace-wrapper-")))
    for name in ("root", "home"):
        (base / name).mkdir()
    (base / "root" / "WORKSPACE").touch()
    yield Place(base, subprocess.run if request.node.get_closest_marker("anew") else forks.start)
    tree.remove(os.fsencode(base))
