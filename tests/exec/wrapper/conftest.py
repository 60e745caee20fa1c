# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.wrapper.place import Place
from tests.support import tree


@pytest.fixture
def place() -> Iterator[Place]:
    """An empty root; not in pytest's own folder, which tools treat as scratch."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="pytrace-wrapper-")))
    for name in ("root", "home"):
        (base / name).mkdir()
    (base / "root" / "WORKSPACE").touch()
    yield Place(base)
    tree.remove(os.fsencode(base))
