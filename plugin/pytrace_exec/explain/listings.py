# SPDX-License-Identifier: Apache-2.0
"""Which names came and went where a directory's listing is another one."""

from __future__ import annotations

import os

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.explain.candidates import stored_in
from pytrace_exec.observe.facts import listing_of, read_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.recorded.subjects import Subject
    from pytrace_exec.explain.facts import Comparison
    from pytrace_exec.lookup import LookUp

MAX_NAMES = 200
"""Names of each sort that are told of one directory."""
_SHOWN = 5


def came_and_went(look_up: LookUp, comparison: Comparison, reasons: Iterable[dict[str, object]]) -> None:
    """Add to each reason for a changed listing the names that `came`, `went` and `changed` their type, where known."""
    changed = {os.fsdecode(s.paths[0]): (s, old) for s, old, _ in comparison.differing if s.kind == "listing"}
    for reason in reasons:
        if reason["code"] != "listing_changed" or reason["path"] not in changed:
            continue
        before, now = read(look_up, *changed[str(reason["path"])])
        if before is None or now is None:
            continue
        names = {
            "came": [os.fsdecode(name) for name in sorted(now.keys() - before.keys())],
            "went": [os.fsdecode(name) for name in sorted(before.keys() - now.keys())],
            "changed": [os.fsdecode(name) for name in sorted(before.keys() & now.keys()) if before[name] != now[name]],
        }
        reason.update({sort: listed[:MAX_NAMES] for sort, listed in names.items()})
        said = "; ".join(f"{sort}: {_some(listed)}" for sort, listed in names.items() if listed)
        if said:
            reason["message"] = f"{str(reason['message']).partition(' (')[0]} ({said})".replace("\n", "\\n")


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


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
