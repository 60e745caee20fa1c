# SPDX-License-Identifier: Apache-2.0
"""Upstreams over TLS, with certificates on either side."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.exec.cache.test_tls import served
from tests.support.server import running_server
from tests.support.upstreams import Client, metric, pushed

if TYPE_CHECKING:
    from pathlib import Path

REQUESTS = "pytrace_cas_upstream_requests_total"


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_both_sides_show_certificates(tmp_path: Path, certificate: tuple[Path, Path], scheme: str) -> None:
    cert, key = map(str, certificate)
    blob, files = os.urandom(3000), ("--upstream-ca", cert, "--upstream-cert", cert, "--upstream-key", key)
    with served(scheme, *certificate) as url:
        with running_server(tmp_path / "a", "--upstream", url, *files) as server, Client(server) as client:
            client.put(blob)
            pushed(server)
        with running_server(tmp_path / "b", "--upstream", url, *files) as server, Client(server) as client:
            assert client.read(blob) == blob


@pytest.mark.parametrize("scheme", ["grpcs", "https"])
def test_one_that_nobody_vouches_for_is_not_used(tmp_path: Path, certificate: tuple[Path, Path], scheme: str) -> None:
    with (
        served(scheme, *certificate) as url,
        running_server(tmp_path / "a", "--upstream", url) as server,
        Client(server) as client,
    ):
        assert client.missing(b"blob") == [b"blob"]
        assert metric(server, REQUESTS, method="contains", status="ok") == 0
        assert metric(server, REQUESTS, method="contains", status="error") == 1
