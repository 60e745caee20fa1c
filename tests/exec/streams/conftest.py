# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.exec.tracer.driving import driver  # noqa: F401 -- the fixture
