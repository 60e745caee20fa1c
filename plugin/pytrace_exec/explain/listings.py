# SPDX-License-Identifier: Apache-2.0
"""Which names came and went where a directory's listing is another one today."""

from __future__ import annotations

import os

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.explained.listings import add_names, read_listing
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.candidates import stored_in
from pytrace_exec.observe.facts import listing_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.explained.facts import Comparison
    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.lookup import LookUp


def came_and_went(look_up: LookUp, comparison: Comparison, reasons: Iterable[dict[str, object]]) -> None:
    """Add to each reason for a changed listing the names that came, went and changed their type, where known."""
    changed = {os.fsdecode(s.paths[0]): (s, old) for s, old, _ in comparison.differing if s.kind == "listing"}
    for reason in reasons:
        if reason["code"] != "listing_changed" or reason["path"] not in changed:
            continue
        before, now = read(look_up, *changed[str(reason["path"])])
        if before is not None and now is not None:
            add_names(reason, before, now)


def read(look_up: LookUp, subject: Subject, old: bytes) -> tuple[dict[bytes, str] | None, dict[bytes, str] | None]:
    """Names with the letters of their types, as they were and as they are; None where that is not known."""
    data: bytes | str
    try:
        digest = Digest.parse(old.decode())
        data = stored_in(look_up).get(digest) if digest.size_bytes else b""
        before = read_listing(data)
    except (BlobMissing, MalformedDigest, ValueError):
        return None, None
    data = listing_of(look_up.view, look_up.around, subject.arg, subject.paths[0])
    return before, (read_listing(data) if isinstance(data, bytes) else None)
