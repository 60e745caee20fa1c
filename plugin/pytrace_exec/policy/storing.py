# SPDX-License-Identifier: Apache-2.0
"""Which reasons not to store the user has allowed away."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.options import Options
    from pytrace_exec.policy.reasons import Reason

ALLOWING = {"network": "allow_network", "clock": "allow_clock", "exit_status": "cache_failures"}
"""Reasons that an option takes away, by the option's attribute."""


def allowed_reasons(options: Options, reasons: list[Reason]) -> list[Reason]:
    """The reasons that remain, each once."""
    remaining: dict[object, Reason] = {}
    for reason in reasons:
        attribute = ALLOWING.get(reason.code)
        if attribute is None or not getattr(options, attribute):
            remaining.setdefault(reason.key(), reason)
    return list(remaining.values())
