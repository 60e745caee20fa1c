# SPDX-License-Identifier: Apache-2.0
"""What `pytrace explain` adds to a reason: the text that changed, the package that owns a tool, who made an output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.explained.contents import MAX_BYTES, text_diff
from pytrace_cas.explained.reasons import in_order
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.candidates import stored_in
from pytrace_exec.explain.conflicts import conflicts
from pytrace_exec.explain.git_contents import content_in_git
from pytrace_exec.explain.packages import owner

if TYPE_CHECKING:
    from pytrace_exec.explain import Explanation
    from pytrace_exec.lookup import LookUp

MAX_DIFFS = 20
"""Changed files of which a diff is told."""
_WITH_CONTENT = ("inputs_changed", "tool_changed", "output_differs", "new_file")


def add_details(look_up: LookUp, explanation: Explanation) -> None:
    """Add what is known beyond codes, paths and digests; nothing of it is fetched, and no program is run."""
    if explanation.nearest is not None:
        explanation.reasons = in_order([*explanation.reasons, *conflicts(look_up, explanation.nearest)])
    diffs = 0
    for reason in explanation.reasons:
        path = os.fsencode(reason["path"]) if isinstance(reason["path"], str) else None
        if path is None or not path.startswith(b"/"):
            continue
        if reason["code"] == "tool_changed":
            package = owner(path)
            reason["package"] = None if package is None else package.name
            if package is not None:
                reason.update(package_version=package.version, package_system=package.system)
        if reason["code"] in _WITH_CONTENT and diffs < MAX_DIFFS:
            told = _difference(look_up, path, reason.get("old"), reason.get("new"))
            diffs += bool(told)
            reason.update(told)


def _difference(look_up: LookUp, path: bytes, old: object, new: object) -> dict[str, object]:
    """How two contents differ if both are values of content and at hand."""
    before, now = _digest(old), _digest(new)
    if before is None or now is None:
        return {}
    olds, news = _content(look_up, path, before), _content(look_up, path, now)
    if olds is None or news is None:
        return {"no_diff": "its earlier content is not at hand" if olds is None else "its content is not at hand"}
    name = look_up.invocation.places.readable(path)
    return text_diff(olds, news, f"a/{name}", f"b/{name}")


def _digest(value: object) -> Digest | None:
    try:
        return Digest.parse(str(value).rpartition(" ")[2])
    except MalformedDigest:
        return None


def _content(look_up: LookUp, path: bytes, digest: Digest) -> bytes | None:
    """The content of a digest: as the path has it now, from the store, or from the history of its repository."""
    if digest.size_bytes > MAX_BYTES:
        return None
    if look_up.view.digest(path) == str(digest):
        try:
            with open(path, "rb") as file:
                data = file.read(MAX_BYTES + 1)
            if look_up.function.of(data) == digest:
                return data
        except OSError:
            return None
    try:
        return stored_in(look_up).get(digest)
    except BlobMissing:
        return content_in_git(path, digest, look_up.function)
