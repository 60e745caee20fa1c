# SPDX-License-Identifier: Apache-2.0
"""Why a look-up missed: today's values held against those of the stored result nearest to them (DESIGN 11).

The wrapper asks before it runs the command, since the run changes what is compared; `pytrace explain` asks instead
of running it.
"""

from __future__ import annotations

from pytrace_exec.explain.invalidated import without_old
from pytrace_exec.explain.nearest import nearest, nearest_command
from pytrace_exec.explain.reasons import in_order, reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.lookup import LookUp

__all__ = ["why_missed"]


def why_missed(look_up: LookUp) -> list[dict[str, object]]:
    """Every reason why the nearest stored result did not serve; for use once `look_up.hits()` has been through.

    Each is a code of `reasons.SENTENCES`, a message, and where it applies a path or a name with its old and new value.
    """
    if look_up.invocation.options.mode == "recache":
        return [reason("recache")]
    found = nearest(look_up) if look_up.candidates.sets else nearest_command(look_up)
    return in_order(without_old(found))
