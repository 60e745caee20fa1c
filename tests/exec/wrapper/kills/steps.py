# SPDX-License-Identifier: Apache-2.0
"""A command whose every state on the way is known, however and wherever it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

LINES = 500
OLD = b"old\n" * LINES
CHANGED = ("over", "moved", "gone")
COMMAND = ("sh", "step.sh", *(f"made/{name}" for name in CHANGED))
NOWHERE = "nowhere 0"
INSTANTS = ("start", "within", "between", "end")
"""Where the command ends itself if told so by the file `aim`: `INSTANT SIGNAL`; for a child of its, `child-INSTANT`."""

STEP = """\
ulimit -c 0
set -e
read -r point number < aim
at() {
  test "$1" != "$point" || kill "-$number" $$
  test "child-$1" != "$point" || sh -c "kill -$number \\$\\$"
}
cat in > /dev/null
sleep 0.02
at start
{ cat in; sleep 0.01; at within; cat in; } > made/new
cat made/over
sed s/^/2/ in > made/over
at between
sed s/^/3/ in > made/part
mv made/part made/moved
rm made/gone
{ sed s/^/4/ in; sleep 0.01; sed s/^/5/ in; } > made/last
at end
sleep 0.02
cat in > /dev/null
echo end
"""

Files = Mapping[str, bytes]


def content(version: int) -> bytes:
    """What `in` holds."""
    return b"version %d\n" % version * LINES


def initial(version: int, aim: str = NOWHERE) -> dict[str, bytes]:
    """All files before a run."""
    files = {"WORKSPACE": b"", "step.sh": STEP.encode(), "aim": f"{aim}\n".encode(), "in": content(version)}
    return {**files, **{f"made/{name}": OLD for name in CHANGED}}


def states(first: Files) -> list[Files]:
    """All files after each step of a run, from `first` on."""
    text = first["in"]
    marked = {mark: text.replace(b"version", b"%dversion" % mark) for mark in range(2, 6)}
    found = [dict(first)]

    def step(made: Files, removed: str = "") -> None:
        left = {name: data for name, data in found[-1].items() if name != removed}
        found.append({**left, **made})

    step({"made/new": text * 2})
    step({"made/over": marked[2]})
    step({"made/part": marked[3]})
    step({"made/moved": marked[3]}, "made/part")
    step({}, "made/gone")
    step({"made/last": marked[4] + marked[5]})
    return list(found)


def moment(found: Files, first: Files) -> str:
    """How far a run is that left these files: `before`, `during` or `after` the making of its result.

    Raises AssertionError if no run that ends anywhere leaves them.
    """
    known = states(first)
    if found == known[0]:
        return "before"
    if found == known[-1]:
        return "after"
    assert any(found == later or _is_between(found, former, later) for former, later in pairwise(known)), {
        name: (len(data), data[:20], data[-20:]) for name, data in found.items()
    }
    return "during"


def _is_between(found: Files, former: Files, later: Files) -> bool:
    """Whether one step is under way: a file is written that holds the beginning of what it will."""
    changed = [name for name in found.keys() | later.keys() if found.get(name) != later.get(name)]
    if len(changed) != 1 or changed[0] not in found or changed[0] not in later:
        return False
    others = {name: data for name, data in former.items() if name != changed[0]}
    return later[changed[0]].startswith(found[changed[0]]) and others.items() <= found.items()


def lay_out(root: Path, files: Files) -> None:
    """Have exactly these files below `root`, new, and old enough not to count as changed by what comes."""
    made = root / "made"
    made.mkdir(parents=True, exist_ok=True)
    for path in (*root.iterdir(), *made.iterdir()):
        if path.is_file() and path.relative_to(root).as_posix() not in files:
            path.unlink()
    for name, data in files.items():
        path = root / name
        if path.exists() and path.read_bytes() == data:
            continue
        beside = root.with_name(f"{root.name}-beside")
        beside.write_bytes(data)
        os.rename(beside, path)
    time.sleep(0.03)


def found_in(root: Path) -> dict[str, bytes]:
    """All files below `root`."""
    paths = (path for path in root.rglob("*") if not path.is_dir())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
