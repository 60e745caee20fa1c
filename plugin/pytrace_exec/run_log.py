# SPDX-License-Identifier: Apache-2.0
"""`PYTRACE_LOG`: what `--explain` would say, appended to a file; and how lines are appended that stay whole."""

from __future__ import annotations

import fcntl
import os
import time

from pytrace_cas.explained.shortening import shortened
from pytrace_exec.option_table import LEVELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.outcome import Outcome


def append_run(path: bytes, level: str, outcome: Outcome) -> None:
    """Append how a run went, if that matters as much as `level`: with `debug` all reasons, else the first line."""
    weight = level_of(outcome)
    if LEVELS.index(weight) < LEVELS.index(level):
        return
    lines = outcome.lines() if level == "debug" else outcome.lines()[:1]
    command = shortened(" ".join(os.fsdecode(word) for word in outcome.invocation.argv))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = "".join(f"{stamp} {os.getpid()} {weight} {command!r}: {line}\n" for line in lines)
    append(path, text.encode("utf-8", "surrogateescape"))


def level_of(outcome: Outcome) -> str:
    """How much a run matters: `error` when the cache or the wrapper failed, `warning` when it was not cached."""
    from pytrace_exec.outcome import FAILURES

    if outcome.kind == "error" or any(reason["code"] in FAILURES for reason in outcome.reasons):
        return "error"
    return "info" if outcome.kind in ("hit", "miss") else "warning"


def append(path: bytes, lines: bytes) -> None:
    """Append lines in one piece, whoever else writes; raise OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        _write_whole(fd, b"\n" + lines if _is_cut_short(path) else lines)
    finally:
        os.close(fd)


def _is_cut_short(path: bytes) -> bool:
    """Whether a file ends within a line, as a writer leaves it that is killed within its write."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"


def _write_whole(fd: int, lines: bytes) -> None:
    """Write everything, or, on a full disk, take back the part of it that was written."""
    size = os.fstat(fd).st_size
    try:
        written = 0
        while written < len(lines):
            written += os.write(fd, lines[written:])
    except OSError:
        os.ftruncate(fd, size)
