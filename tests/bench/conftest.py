# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from tests.support.sources import lua

__all__ = ["lua"]
