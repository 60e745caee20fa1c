# SPDX-License-Identifier: Apache-2.0
"""A real server for each module's tests, and channels to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Serve an empty store, for all tests of a module."""
    with running_server(tmp_path_factory.mktemp("server") / "store") as server:
        yield server


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    """Connect to the server."""
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel
