# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas`: one verb a module."""

from __future__ import annotations

from pytrace_cas.cli.main import main

__all__ = ["main"]
