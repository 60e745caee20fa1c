# SPDX-License-Identifier: Apache-2.0
"""Our server in front of BuildGrid."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.support.foreign_servers import running_buildgrid
from tests.support.server import running_server
from tests.support.upstreams import Client, metric, pushed

if TYPE_CHECKING:
    from pathlib import Path


def test_cold_then_warm_from_an_empty_store(tmp_path: Path) -> None:
    small, large, action = os.urandom(500), os.urandom(3 << 20), os.urandom(40)
    with running_buildgrid(tmp_path / "grid") as url:
        with running_server(tmp_path / "a", "--upstream", url) as server, Client(server) as client:
            assert client.missing(small, large) == [small, large]
            assert client.result(action) is None
            client.put(small, large)
            stored = client.put_result(action, {"small": small, "large": large})
            pushed(server)
            assert metric(server, "pytrace_cas_upstream_dropped_total") == 0
        with running_server(tmp_path / "b", "--upstream", url) as server, Client(server) as client:
            assert client.missing(small, large) == []
            assert client.result(action) == stored
            assert client.read(large) == large
            assert client.read(small) == small
            assert metric(server, "pytrace_cas_upstream_requests_total", status="error") == 0
