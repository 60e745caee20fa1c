# SPDX-License-Identifier: Apache-2.0
"""Why a look-up missed: today's values held against those of the stored result nearest to them (DESIGN 11).

The wrapper asks before it runs the command, since the run changes what is compared; `pytrace explain` asks instead
of running it.
"""

from __future__ import annotations

from pytrace_cas.explained.reasons import in_order, reason
from pytrace_exec.explain.candidates import FEW
from pytrace_exec.explain.nearest import nearest, told
from pytrace_exec.explain.not_stored import noted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.explain.nearest import Nearest
    from pytrace_exec.lookup import LookUp

__all__ = ["Explanation", "explain_miss", "why_missed"]


class Explanation:
    """Every reason why a look-up missed, and the stored result that it was held against, if any."""

    __slots__ = ("nearest", "reasons")

    def __init__(self, reasons: list[dict[str, object]], nearest: Nearest | None = None) -> None:
        self.reasons = in_order(reasons)
        self.nearest = nearest


def why_missed(look_up: LookUp) -> list[dict[str, object]]:
    """Every reason why the nearest stored result did not serve; for use once `look_up.hits()` has been through.

    Each is a code of `reasons.SENTENCES`, a message, and where it applies a path or a name with its old and new value.
    """
    return explain_miss(look_up).reasons


def explain_miss(look_up: LookUp, limit: int = FEW) -> Explanation:
    """As `why_missed`, with the result that was nearest among `limit`."""
    if look_up.invocation.options.mode == "recache":
        return Explanation([reason("recache")])
    refused = _not_stored(look_up)
    found = nearest(look_up, limit)
    if found is None:
        nothing = "unknown" if look_up.candidates.sets else "never_seen"
        return Explanation(refused or [reason(nothing)])
    reasons = told(look_up, found)
    if any(one["code"] == "arguments_changed" for one in reasons) and not refused:
        reasons.append(reason("never_seen"))
    return Explanation([*refused, *reasons], found)


def _not_stored(look_up: LookUp) -> list[dict[str, object]]:
    """Why the last run of this command left no result: each reason with its call, process, program and path."""
    last = noted(look_up.cache.store, look_up.weak.digest)
    found = []
    for one in last[1] if last is not None else ():
        told = reason("not_stored", said=str(one.get("message")))
        more = {name: one.get(name) for name in ("call", "pid", "program")}
        found.append({**told, "path": one.get("path"), "why": one.get("code"), **more})
    return found
