# SPDX-License-Identifier: Apache-2.0
"""Services over a store of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytrace_cas.services import Limits, Services
from pytrace_cas.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(bytes(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def services(store: Store) -> Iterator[Services]:
    """Services with the limits that a server has by default."""
    with Services(store) as services:
        yield services


@pytest.fixture
def bounded(store: Store) -> Iterator[Services]:
    """Services that take blobs of up to 1000 bytes."""
    with Services(store, Limits(blob_bytes=1000)) as services:
        yield services


@pytest.fixture
def reading(store: Store, tmp_path: Path) -> Iterator[Services]:
    """Services over the same store, which they may only read."""
    with Store.open(bytes(tmp_path / "store"), read_only=True) as same, Services(same) as services:
        yield services
