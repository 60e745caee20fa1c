# SPDX-License-Identifier: Apache-2.0
"""The names of a directory as a listing's content holds them, and which of them came and went."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAMES = 200
"""Names of each sort that are told of one directory."""
_SHOWN = 5


def read_listing(data: bytes) -> dict[bytes, str]:
    """The letter of each name's type, from the canonical form; raise ValueError for anything else."""
    found, at = {}, 0
    while at < len(data):
        end = data.index(b"\0", at)
        found[data[at:end]] = data[end + 1 : end + 2].decode("ascii")
        at = end + 2
    return found


def add_names(reason: dict[str, object], before: Mapping[bytes, str], now: Mapping[bytes, str]) -> None:
    """Add to a reason for a changed listing the names that `came`, `went` and `changed` their type."""
    names = {
        "came": [os.fsdecode(name) for name in sorted(now.keys() - before.keys())],
        "went": [os.fsdecode(name) for name in sorted(before.keys() - now.keys())],
        "changed": [os.fsdecode(name) for name in sorted(before.keys() & now.keys()) if before[name] != now[name]],
    }
    reason.update({sort: listed[:MAX_NAMES] for sort, listed in names.items()})
    said = "; ".join(f"{sort}: {_some(listed)}" for sort, listed in names.items() if listed)
    if said:
        reason["message"] = f"{str(reason['message']).partition(' (')[0]} ({said})".replace("\n", "\\n")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
