# SPDX-License-Identifier: Apache-2.0
"""The cases of the field that break tracers and caches (A01 to A99), and why some of them are not in the corpus."""

from __future__ import annotations

CASES_OF_THE_FIELD = frozenset(f"A{number:02d}" for number in range(1, 100))

COMPILER = "needs a compiler and its many look-ups, which no hand can list: tests/scenarios/test_compile.py"
MACHINE = "needs a file system, a kernel or a processor that this machine lacks"
TWICE = "about two runs at once, or what happens around a run: "

NOT_HERE = {
    "A04": COMPILER,
    "A39": "`lseek` is not traced: where a file's holes are is a stated limit (docs/limits.md)",
    "A43": "no compiler server here; a peer outside the run is A42",
    "A44": "would leave a process behind: tests/exec/tracer",
    "A52": "no static binary of another language here; strace sees calls, not libraries",
    "A55": "a handler of page faults reads by ordinary calls, which are facts like others",
    "A58": MACHINE,
    "A59": MACHINE,
    "A63": "facts outside the root, of files that differ between machines (/etc/nsswitch.conf, /etc/hosts)",
    "A77": MACHINE,
    "A85": TWICE + "two at once",
    "A86": TWICE + "needs an editor that strikes at one moment",
    "A93": "git's index by its meaning is not there yet; until then it counts by its bytes",
    "A94": "needs Python's own caches: the oracle's `bytecode`",
    "A96": TWICE + "a cache that lost blobs: tests/exec/replay",
    "A97": "needs another machine; the weak key names operating system and machine (docs/keys.md)",
    "A98": "needs another user who may read the store; the weak key says whether it is root (docs/keys.md)",
}
"""Cases that the corpus does not hold, each with the reason and, where there is one, the place that does."""
