# SPDX-License-Identifier: Apache-2.0
"""The zstd library as tests use it: Python's own where it has one."""

from __future__ import annotations

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["zstd"]
