# SPDX-License-Identifier: Apache-2.0
"""`pytrace`: one verb a module."""

from __future__ import annotations

from pytrace_exec.cli.main import main

__all__ = ["main"]
