# SPDX-License-Identifier: Apache-2.0
"""What the tracers observed of one program, held against each other: facts anywhere, outputs and reasons."""

from __future__ import annotations

import os
from collections.abc import Iterator

import attrs

from tests.corpus.case import Case
from tests.corpus.wording import Observed, World

# A run of 32-bit calls is not stored, and the native tracer reads none of them.
UNREAD = "foreign_abi"

STOPS_ONLY = "native, stops only"
"""The native tracer, to which no process tells its looks itself."""


class Agreement:
    """Collects what was observed; only what all tracers have run is compared."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], dict[str, Observed]] = {}
        self._cases: dict[tuple[str, str], Case] = {}

    def record(self, name: str, case: Case, mode: str, tracer: str, world: World, seen: Observed) -> None:
        """Take what one tracer observed of a program in a mode, wherever its world lay."""
        self._cases[name, mode] = case
        base = os.path.dirname(world.place)
        here = {fact.replace(base, "...") for fact in seen.elsewhere}
        self._seen.setdefault((name, mode), {})[tracer] = attrs.evolve(seen, elsewhere=frozenset(here))

    def compared(self) -> list[tuple[str, str]]:
        """Programs and modes that were run under all."""
        return [key for key, seen in self._seen.items() if len(seen) == 3]

    def by_reasons_alone(self) -> list[tuple[str, str]]:
        """Those of which one tracer says that it does not know all, so that they are not stored."""
        return [
            key
            for key in self.compared()
            if self._cases[key].unknown_to_strace or UNREAD in self._seen[key]["native"].reasons
        ]

    def differences(self) -> Iterator[str]:
        """Where they disagree."""
        partly = set(self.by_reasons_alone())
        for key in self.compared():
            native, strace = self._seen[key]["native"], self._seen[key]["strace"]
            if self._seen[key][STOPS_ONLY] != native:
                yield f"{key}: {self._seen[key][STOPS_ONLY]} where every look stops, and {native}"
            if tuple(sorted({*native.reasons, *self._cases[key].unknown_to_strace})) != strace.reasons:
                yield f"{key}: reasons {native.reasons} and {strace.reasons}"
            if key in partly:
                continue
            for what in ("facts", "elsewhere", "outputs"):
                one, other = getattr(native, what), getattr(strace, what)
                if one != other:
                    yield f"{key}: {what}: native alone {sorted(one - other)}, strace alone {sorted(other - one)}"
