# SPDX-License-Identifier: Apache-2.0
"""Effects as answers show them: one object each, in the words in which `pytrace trace` tells outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.json_fields import below, text_fields
from pytrace_cas.recorded.effect_entries import Dir, File, Hardlink, LinkTo, Mode, Move, Remove, Symlink
from pytrace_cas.recorded.names import link_target, path_of

if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry
    from pytrace_cas.recorded.places import Places


def described_effect(entry: Entry, places: Places) -> dict[str, Any]:
    """One output; paths under the root are relative. Raise `MalformedText` for a place that is not set."""

    def named(field: str, name: bytes) -> dict[str, Any]:
        return text_fields(field, below(path_of(places, name), places.root))

    if isinstance(entry, File):
        return {"kind": "file", **named("path", entry.path), "digest": str(entry.digest), "mode": f"{entry.mode:04o}"}
    if isinstance(entry, Dir):
        return {"kind": "directory", **named("path", entry.path), "mode": f"{entry.mode:04o}"}
    if isinstance(entry, Symlink):
        return {
            "kind": "symlink",
            **named("path", entry.path),
            **text_fields("target", link_target(places, entry.target)),
        }
    if isinstance(entry, Hardlink | LinkTo):
        return {"kind": "hardlink", **named("path", entry.path), **named("target", entry.other)}
    if isinstance(entry, Remove):
        return {
            "kind": "removed",
            **named("path", entry.path),
            "type": "directory" if entry.type == "dir" else entry.type,
        }
    if isinstance(entry, Move):
        return {"kind": "moved", **named("path", entry.to), **named("moved_from", entry.path)}
    if isinstance(entry, Mode):
        return {"kind": "metadata", **named("path", entry.path), "mode": f"{entry.mode:04o}"}
    return {"kind": "metadata", **named("path", entry.path), "atime": entry.atime, "mtime": entry.mtime}
