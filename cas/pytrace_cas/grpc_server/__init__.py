# SPDX-License-Identifier: Apache-2.0
"""Thin grpc.aio adapters around the services, one service a module, and the server that runs them."""

from __future__ import annotations

from pytrace_cas.grpc_server.server import GrpcServer

__all__ = ["GrpcServer"]
