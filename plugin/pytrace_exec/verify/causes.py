# SPDX-License-Identifier: Apache-2.0
"""Why two contents of one output differ, where the contents themselves prove it; a guess is no cause."""

from __future__ import annotations

import re
import time
from datetime import datetime

_NUMBER = re.compile(r"(?<!\d)\d{10}(?:\.\d+)?(?!\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
_GZIP = b"\x1f\x8b\x08"
_MARGIN = 1.0  # seconds: what is written in whole seconds is rounded

ORDER = "the same lines in another order"
TIME = "the time at which it ran"
GZIP_TIME = "the time in the header of gzip"
LINE_ENDS = "the ends of lines"


def cause(old: bytes, new: bytes, begun: float, ended: float) -> str | None:
    """What makes an output of a run that lasted from `begun` to `ended` (Unix time) another one; None if unproven."""
    if _gzip_time(old, new, begun, ended):
        return GZIP_TIME
    if sorted(old.splitlines()) == sorted(new.splitlines()):
        return ORDER if old.splitlines() != new.splitlines() else LINE_ENDS
    try:
        return TIME if _times_only(old.decode("utf-8"), new.decode("utf-8"), begun, ended) else None
    except UnicodeDecodeError:
        return None


def _gzip_time(old: bytes, new: bytes, begun: float, ended: float) -> bool:
    """RFC 1952: bytes 4 to 7 are a time, little endian."""
    if not (old.startswith(_GZIP) and new.startswith(_GZIP) and old[:4] + old[8:] == new[:4] + new[8:]):
        return False
    return begun - _MARGIN <= int.from_bytes(new[4:8], "little") <= ended + _MARGIN


def _times_only(old: str, new: str, begun: float, ended: float) -> bool:
    """Whether the texts are equal but for times, and each time that is new is one of the run."""
    for pattern, read in ((_NUMBER, _as_number), (_DATE, _as_dates)):
        if pattern.sub("", old) != pattern.sub("", new):
            continue
        pairs = zip(pattern.findall(old), pattern.findall(new), strict=False)
        changed = [now for then, now in pairs if then != now]
        within = (any(begun - _MARGIN <= at <= ended + _MARGIN for at in read(text)) for text in changed)
        if changed and all(within):
            return True
    return False


def _as_number(text: str) -> list[float]:
    return [float(text)]


def _as_dates(text: str) -> list[float]:
    """The moments that a date can mean: here, and in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return []
    local = found.timestamp()
    return [local, local + time.localtime(local).tm_gmtoff]
