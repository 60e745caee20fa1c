# SPDX-License-Identifier: Apache-2.0
"""A project of its own for each test, not in pytest's own temporary folder, which tools treat as scratch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exec.cli.project import Project
from tests.support import tree


@pytest.fixture
def project() -> Iterator[Project]:
    """An empty project with a home directory and a store."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="pytrace-cli-")))
    try:
        yield Project.make(base)
    finally:
        tree.remove(os.fsencode(base))
