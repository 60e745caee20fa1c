# SPDX-License-Identifier: Apache-2.0
"""A store for each test, and its catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytrace_cas.catalogue import Catalogue
from pytrace_cas.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


@pytest.fixture
def catalogue(store: Store) -> Iterator[Catalogue]:
    """Its catalogue."""
    with Catalogue(store) as opened:
        yield opened
