# SPDX-License-Identifier: Apache-2.0
"""Bazel with traced rules beside its own: what an action costs more, what a full cache gives, what a status takes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.endpoint import started
from bench.report import Table, seconds
from bench.workloads import installed
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.bazel.note import Note
from pytrace_exec.bazel.rules_folder import rules_folder
from pytrace_exec.store_opening import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMPILATIONS, EMPTY, FACTS, ROUNDS = 60, 300, 10_000, 3
FUNCTIONS = 450
"""In each C file: a second or so of compiling."""
_WORKSPACE = """\
workspace(name = "bench")
local_repository(name = "pytrace", path = "{rules}")
load("@pytrace//rules:repositories.bzl", "pytrace_repositories")
pytrace_repositories(pytrace_exec = "{program}", store = "{store}")
"""
_BUILD = """\
load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")
[{rule}(
    name = "c%d" % n, srcs = ["c%d.c" % n], outs = ["c%d.o" % n], cmd = "gcc -O2 -c $< -o $@",
) for n in range({files})]
"""
_EMPTY = """\
load("@pytrace//rules:traced_genrule.bzl", "traced_genrule")
[{rule}(name = "e%d" % n, outs = ["e%d.txt" % n], cmd = "echo %d > $@" % n) for n in range({count})]
"""


class NoBazel(Exception):
    """Bazel is not installed."""

    def __init__(self) -> None:
        super().__init__("Bazel is not installed (Debian: bazel-bootstrap)")


class BuildFailed(Exception):
    """A build that was measured failed; the message is the end of what it said."""


class Workspace:
    """One workspace with an output base of its own and a store."""

    def __init__(self, folder: Path, root: Path, text: str, store: Path) -> None:
        self.folder = folder
        self._root = root
        self._store = store
        folder.mkdir()
        store.mkdir()  # Bazel refuses a --sandbox_writable_path that is not there
        program = Path(sysconfig.get_path("scripts")) / "pytrace-exec"
        (folder / "WORKSPACE").write_text(_WORKSPACE.format(rules=rules_folder(), program=program, store=store))
        (folder / "BUILD").write_text(text)

    def timed(self, *options: str) -> float:
        """Seconds of a build of everything, whose analysis was done before."""
        store = f"--sandbox_writable_path={self._store}"
        self._bazel("build", "--nobuild", store, *options, "//...")
        begun = time.monotonic()
        self._bazel("build", store, *options, "//...")
        return time.monotonic() - begun

    def clean(self) -> None:
        """Forget what was built."""
        self._bazel("clean")

    def stop(self) -> None:
        """End the Bazel server."""
        self._bazel("shutdown")

    def _bazel(self, command: str, *options: str) -> None:
        own = ["--nohome_rc", "--noworkspace_rc", f"--output_user_root={self._root}", "--host_jvm_args=-Xmx1g"]
        own.append(f"--output_base={self._root / self.folder.name}")
        plain = ["--nosandbox_debug", "--noshow_progress", "--color=no"] if command == "build" else []
        done = subprocess.run(
            ["bazel", *own, command, *plain, *options], cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BuildFailed(done.stderr[-2000:])


def measure_all(folder: Path, quick: bool, begins: Callable[[str], None]) -> Iterator[Table]:
    """Measure everything; raise `NoBazel` or `BuildFailed`."""
    if shutil.which("bazel") is None:
        raise NoBazel
    begins("bazel-status")
    yield _status(folder, 1000 if quick else FACTS)
    root = folder / "bazel"
    root.mkdir()
    try:
        yield _beside(folder, root, "compilations", *_compilations(quick), 1 if quick else ROUNDS, begins)
        yield _beside(folder, root, "empty", _EMPTY.replace("{count}", "6" if quick else str(EMPTY)), {}, 1, begins)
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)


def _compilations(quick: bool) -> tuple[str, dict[str, str]]:
    count, functions = (2, 10) if quick else (COMPILATIONS, FUNCTIONS)
    body = "".join(
        f'int f{n}(int a, int b) {{ for (int i = 0; i < a; i++) b += i * {n} ^ b; return printf("%d", b); }}\n'
        for n in range(functions)
    )
    files = {f"c{n}.c": f"#include <stdio.h>\n/* {n} */\n{body}" for n in range(count)}
    return _BUILD.replace("{files}", str(count)), files


def _beside(
    folder: Path, root: Path, name: str, text: str, files: dict[str, str], rounds: int, begins: Callable[[str], None]
) -> Table:
    """The same actions by `genrule` and by `traced_genrule`, with an empty cache, then with full ones."""
    times: dict[str, list[float]] = {
        "genrule": [],
        "traced_genrule": [],
        "Bazel's remote cache": [],
        "traced, full": [],
    }
    with running_cache(folder / f"cache-{name}") as url:
        for number in range(rounds):
            begins(f"{name}, round {number + 1}")
            for rule, full in (("genrule", "Bazel's remote cache"), ("traced_genrule", "traced, full")):
                store = folder / f"store-{name}{number}-{rule}"
                workspace = Workspace(folder / f"{name}{number}-{rule}", root, text.replace("{rule}", rule), store)
                for path, content in files.items():
                    (workspace.folder / path).write_text(content)
                cached = (f"--remote_cache={url}",) if rule == "genrule" else ()
                times[rule].append(workspace.timed())
                if cached and not number:
                    workspace.clean()
                    workspace.timed(*cached)  # fills it, for all rounds
                workspace.clean()
                times[full].append(workspace.timed(*cached))
                workspace.stop()
    middle = {key: sorted(values)[len(values) // 2] for key, values in times.items()}
    rows = [(key, seconds(value), f"{value / middle['genrule']:.2f}") for key, value in middle.items()]
    count = text.partition("range(")[2].partition(")")[0]
    more = (middle["traced_genrule"] - middle["genrule"]) / int(count)
    rows.append(("more for an action", seconds(more), ""))
    return Table(f"Bazel: {count} {name}", ("", "time", "over genrule"), rows)


@contextmanager
def running_cache(store: Path) -> Iterator[str]:
    """Our server over a new store; gives its URL."""
    words = (installed("pytrace-cas"), "serve", "--dir", str(store), "--grpc-address", "127.0.0.1:0", "--http-address")
    with started("pytrace-cas", (*words, "none")) as endpoint:
        yield endpoint.url


def _status(folder: Path, count: int) -> Table:
    """Time `pytrace bazel-status` over so many facts, nine in ten of them files."""
    files = folder / "facts"
    files.mkdir()
    store = open_folder(bytes(folder / "status-store"))
    note = Note(store.path, bytes(files))
    facts: dict[Subject, bytes] = {}
    for number in range(count):
        path = files / str(number)
        if number % 10:
            path.write_text(str(number))
        facts[Subject("status" if number % 2 else "error", "mode" if number % 2 else "", bytes(path))] = (
            b"file 0644" if number % 2 and number % 10 else (b"ENOENT" if not number % 10 else b"file")
        )
    note.record("//:bench", facts, "blake3", volatile=False)
    pytrace = Path(sys.executable).with_name("pytrace")
    words = [str(pytrace), "bazel-status", "--dir", str(folder / "status-store"), "--workspace", str(files)]
    times, digests = [], set()
    for _ in range(5):
        begun = time.monotonic()
        digests.add(subprocess.run(words, capture_output=True, check=True).stdout)
        times.append(time.monotonic() - begun)
    rows = [(f"{count} facts", seconds(sorted(times)[2]), "the same digest" if len(digests) == 1 else "changed")]
    return Table("pytrace bazel-status", ("", "time", ""), rows)
