# SPDX-License-Identifier: Apache-2.0
"""Under which tracers a test runs."""

from __future__ import annotations

import pytest

from pytrace_exec.tracer import native

NATIVE = pytest.param("native", marks=pytest.mark.native)
TRACERS = [NATIVE, "strace"]
# For what takes long: where the native tracer is built, strace's turn comes with the soak. The corpus holds both equal.
FIRST_TRACER = [NATIVE, pytest.param("strace", marks=pytest.mark.soak) if native.is_built() else "strace"]
