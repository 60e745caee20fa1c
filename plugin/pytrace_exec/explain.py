# SPDX-License-Identifier: Apache-2.0
"""Why a look-up missed: today's values held against those of the stored results nearest to them (DESIGN 11)."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.lookup import LookUp


def why_missed(look_up: LookUp) -> list[dict[str, object]]:
    """Every reason why the nearest stored result did not serve."""
    if not look_up.tried:
        return [{"code": "never_seen", "message": "never seen: no result is stored for this command", "path": None}]
    return [{"code": "inputs_changed", "message": "inputs changed", "path": os.fsdecode(look_up.invocation.cwd)}]
