# SPDX-License-Identifier: Apache-2.0
"""One run of a stored command in a tree that is covered, held against the stored result."""

from __future__ import annotations

import os
import shutil
import stat
import time
from typing import TYPE_CHECKING, Any

from pytrace_cas.explained.contents import MAX_BYTES, text_diff
from pytrace_cas.recorded.effect_entries import Dir, File, Hardlink, LinkTo, Move, Symlink
from pytrace_cas.recorded.names import path_of
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.nearest import Nearest, differences, read
from pytrace_exec.lookup import Hit, LookUp
from pytrace_exec.miss import known_before, observe, run_command
from pytrace_exec.verify.causes import cause
from pytrace_exec.verifying import differences as what_differs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytrace_cas.digest import Digest
    from pytrace_cas.reapi import ActionResult
    from pytrace_cas.recorded.effects import Effects
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.miss import Traced
    from pytrace_exec.verifying import Difference


def changed_folders(effects: Effects, places: Places, declared: Iterable[bytes] = ()) -> list[bytes]:
    """The folders that a run may change: the root, those that it changed outside it, and `declared` outputs."""
    names = [entry.path for entry in effects.entries]
    names += [entry.to for entry in effects.entries if isinstance(entry, Move)]
    folders = {os.path.dirname(path_of(places, name)) for name in names}
    for place in map(os.path.realpath, declared):
        folders.add(place if os.path.isdir(place) else os.path.dirname(place))
    inside = places.root.rstrip(b"/") + b"/"
    return [places.root, *sorted(folder for folder in folders if not (folder + b"/").startswith(inside))]


def undo(effects: Effects, places: Places) -> None:
    """Take away what the stored run made where nothing was before, as far as it is there: innermost first."""
    for entry in sorted(effects.entries, key=lambda entry: entry.path, reverse=True):
        if isinstance(entry, Move):
            to, path = path_of(places, entry.to), path_of(places, entry.path)
            if os.path.lexists(to) and not os.path.lexists(path):
                shutil.move(os.fsdecode(to), os.fsdecode(path))  # covers are file systems of their own
        elif isinstance(entry, File | Dir | Symlink | Hardlink | LinkTo) and entry.path not in effects.targets:
            _remove(path_of(places, entry.path))


def _remove(path: bytes) -> None:
    try:
        found = os.lstat(path)
    except OSError:
        return
    if stat.S_ISDIR(found.st_mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def run_again(
    look_up: LookUp, action: Digest, result: ActionResult, effects: Effects, assume: Callable[[LookUp, Digest], None]
) -> dict[str, Any]:
    """Run the command and tell what came out otherwise than stored, as fields of an answer.

    `reasons`: why it cannot be compared, in which case it was not run. `assume` fills in what our own descriptors
    would say wrongly.
    """
    assume(look_up, action)
    key = read(look_up, action)
    if key is None:
        return {"reasons": [{"code": "unknown", "message": "what it depends on is not in the local store"}]}
    reasons = differences(look_up, Nearest(look_up, key))
    if reasons:
        return {"reasons": reasons}
    known = known_before(look_up)
    begun = time.time()
    snapshot, trace = run_command(look_up.invocation)
    ended = time.time()
    traced = observe(look_up.invocation, look_up.function, snapshot, trace, known)
    hit = Hit(action, result, effects, action, "local")
    found = what_differs(look_up, hit, traced)
    told = [_told(look_up, one, hit, traced, begun, ended) for one in found]
    refused = [reason.described() for reason in traced.seen.reasons if reason.code in ("incomplete", "not_whole")]
    return {"reasons": [], "differences": told, "refused": refused, "seconds": round(ended - begun, 3)}


def _told(look_up: LookUp, one: Difference, hit: Hit, traced: Traced, begun: float, ended: float) -> dict[str, Any]:
    """A difference with where its bytes differ, and the cause if that is certain."""
    path = None if one.path is None else os.fsdecode(one.path)
    told: dict[str, Any] = {"what": one.what, "path": path, "old": one.old, "new": one.new, "message": one.message}
    contents = _contents(look_up, one, hit, traced)
    if contents is None:
        return told
    old, new = contents
    told.update(text_diff(old, new, "stored", "now"))
    if max(len(old), len(new)) <= MAX_BYTES:
        told["cause"] = cause(old, new, begun, ended)
    return told


def _contents(look_up: LookUp, one: Difference, hit: Hit, traced: Traced) -> tuple[bytes, bytes] | None:
    """Both contents of an output or a stream; None when one of them has none."""
    try:
        if one.what in ("standard output", "standard error"):
            first = one.what == "standard output"
            result, recorded = hit.result, traced.recorded
            digest = result.stdout_digest if first else result.stderr_digest
            raw = result.stdout_raw if first else result.stderr_raw
            source = recorded.stdout if first else recorded.stderr
            return (look_up.cache.get(digest) if digest is not None else raw), b"".join(source.chunks())
        places = look_up.invocation.places
        files = [file for file in hit.effects.files() if path_of(places, file.path) == one.path]
        if not files or one.path is None or not one.new.startswith("file "):
            return None
        with open(one.path, "rb") as file:
            return look_up.cache.get(files[-1].digest), file.read()
    except (BlobMissing, OSError):
        return None
