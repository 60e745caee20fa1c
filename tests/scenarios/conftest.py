# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenarios: a fresh pair of worlds, and real C sources in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sandbox import Sandbox
from tests.support.scenario import Scenario
from tests.support.sources import lua

__all__ = ["lua"]


@pytest.fixture
def scenario() -> Iterator[Scenario]:
    """Two empty worlds and an empty store."""
    with Sandbox() as sandbox:
        yield Scenario.over(sandbox)


@pytest.fixture
def lua_tree(scenario: Scenario, lua: Path) -> Scenario:
    """Worlds with Lua's sources in `src` and its headers in `include`, all of them old."""
    scenario.put(str(lua), "src")
    scenario.do("mkdir include early; mv src/*.h include; find . -exec touch -d @1500000000 {} +")
    scenario.keep()
    return scenario
