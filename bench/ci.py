# SPDX-License-Identifier: Apache-2.0
"""`pytrace ci check` on a bare clone without blobs, beside `git ls-tree -r` of the same commit; the size of records."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

from bench.report import Table
from bench.timing import Rounds, interleave, ratios, run
from bench.workloads import installed
from pytrace_cas.digest import function_named
from pytrace_cas.store import Store
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.ci.facts import Values, strongest
from pytrace_exec.ci.library import LibraryObjects
from pytrace_exec.ci.record import Part, Record, Step
from pytrace_exec.ci.runner import fingerprint
from pytrace_exec.ci.shelf import Job, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILES, PATHS, IN_FOLDER = 50_000, 10_000, 25
ASKED = 3.0
_TEXT = "core net util parser test main client server index queue worker config model view cache store"
_WORDS = _TEXT.split()


def paths_of(files: int) -> list[bytes]:
    """Names as a large project has them: a few words each, in folders of a few levels."""
    found = []
    for number in range(files):
        folder, words = number // IN_FOLDER, len(_WORDS)
        above = f"{_WORDS[folder // words % words]}{folder // words // words}"
        name = f"{_WORDS[number % words]}_{_WORDS[number * 7 // words % words]}{number % 1000}.py"
        found.append("/".join((_WORDS[folder % words], above, f"part{folder}", name)).encode())
    return found


def make_repository(place: Path, paths: list[bytes], environment: dict[str, str]) -> None:
    """A repository with two commits, of which the second changes one file that nobody reads."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(place)], check=True, env=environment)
    lines = [b"blob\nmark :%d\ndata %d\n%d\n" % (number + 10, len(str(number)), number) for number in range(len(paths))]
    lines.append(b"blob\nmark :2\ndata 2\nb\n\n")
    for mark, text in ((3, b"one"), (4, b"two")):
        lines.append(
            b"commit refs/heads/main\nmark :%d\ncommitter a <a@example.org> 0 +0000\ndata 3\n%s\n" % (mark, text)
        )
        if mark == 3:
            lines += [b"M 100644 :%d %s\n" % (number + 10, path) for number, path in enumerate(paths)]
        else:
            lines.append(b"from :3\nM 100644 :2 %s\n" % paths[-1])
    command = ["git", "-C", str(place), "fast-import", "--quiet"]
    subprocess.run(command, input=b"".join(lines), check=True, env=environment)
    subprocess.run(["git", "-C", str(place), "config", "uploadpack.allowFilter", "true"], check=True, env=environment)


def store_record(clone: Path, store: Path, paths: list[bytes]) -> Record:
    """Record that a job read some paths at the first commit."""
    objects = LibraryObjects(os.fsencode(clone))
    commit, tree = objects.commit("HEAD~1")
    facts = strongest((path, "v") for path in paths)
    part = Part.of(b"", commit, tree, facts, Values(objects, tree))
    step = Step("", "", "")
    record = Record("bench", "", "", "main", "", int(time.time()), (part,), (step,), fingerprint("bench", {}))
    with Store.open(os.fsencode(store)) as opened:
        Shelf(LocalCache(opened, function_named("blake3"))).store(Job("bench"), record)
    return record


def measure_all(folder: Path, quick: bool, begins: Callable[[str], None]) -> Iterator[Table]:
    """Make the repository and its clone, record, then time both."""
    files, counting = (2_000, 400) if quick else (FILES, PATHS)
    environment = {**os.environ, "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "PYTRACE_DIR": str(folder / "store")}
    paths = paths_of(files)
    begins("pytrace ci check")
    make_repository(folder / "origin", paths, environment)
    clone = folder / "clone"
    cloned = ["git", "clone", "-q", "--bare", "--filter=blob:none", f"file://{folder / 'origin'}", str(clone)]
    subprocess.run(cloned, check=True, env=environment)
    shallow = folder / "shallow"
    subprocess.run([*cloned[:-1], "--depth=1", str(shallow)], check=True, env=environment)
    packs = _objects(clone) | _objects(shallow)
    record = store_record(clone, folder / "store", paths[: counting * (files // counting) : files // counting])
    listed = ("git", "-C", str(clone), "ls-tree", "-r", "HEAD")
    words = {"git": listed, "check": _check(clone), "shallow": _check(shallow)}
    taken = interleave(
        {name: _timed(one, folder, environment) for name, one in words.items()},
        Rounds(1, 1, 0) if quick else Rounds(5, 25, 20),
    )
    fetched = len((_objects(clone) | _objects(shallow)) - packs)
    size, git = record.size(), f"{_median(taken['git']):.0f} ms"
    rows = []
    for name, what, asked in (("check", "all commits", f"{ASKED:.1f}"), ("shallow", "depth 1", "")):
        ratio = ratios(taken[name], taken["git"])
        told = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
        rows.append((what, git, f"{_median(taken[name]):.0f} ms", told, asked, str(fetched)))
    title = f"A check in a bare clone without blobs: {files:,} files, a record of {size:,} paths"
    yield Table(title, ("clone", "git ls-tree -r", "check", "ratio", "asked of it", "blobs fetched"), rows)
    data = record.encode()
    yield Table("Size of that record", ("bytes", "a path"), [(f"{len(data):,}", f"{len(data) / size:.2f}")])


def _check(clone: Path) -> tuple[str, ...]:
    return (installed("pytrace"), "ci", "check", "--workflow", "bench", "--repo", str(clone), "--fingerprint", "bench")


def _timed(words: tuple[str, ...], folder: Path, environment: dict[str, str]) -> Callable[[], float]:
    return lambda: run(words, folder, environment).wall


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] * 1e3


def _objects(clone: Path) -> set[str]:
    """Everything that git keeps objects in: a fetch would add to it."""
    return {str(path) for path in (clone / "objects").rglob("*") if path.is_file()}
