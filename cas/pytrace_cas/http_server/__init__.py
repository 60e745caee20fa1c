# SPDX-License-Identifier: Apache-2.0
"""Bazel's HTTP cache protocol and the server's status pages, a thin adapter around the services."""

from __future__ import annotations

from pytrace_cas.http_server.server import HttpServer

__all__ = ["HttpServer"]
