# SPDX-License-Identifier: Apache-2.0
"""A certificate for loopback, as the wrapper's tests of TLS have it."""

from __future__ import annotations

from tests.exec.cache.test_tls import certificate

__all__ = ["certificate"]
