# SPDX-License-Identifier: Apache-2.0
"""A build that Bazel answers wholly from a cache: wall time with several caches side by side."""

from __future__ import annotations

import functools
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench import timing
from bench.endpoint import started
from bench.report import ABSENT, Table, spread
from bench.timing import Rounds, Spread
from bench.workloads import installed
from tests.support.bazel import BAZEL, Bazel, running_bazel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.support.bazel import Build

ACTIONS, QUICK_ACTIONS = 300, 10
ROUNDS, QUICK_ROUNDS = Rounds(7, 7, 0), Rounds(1, 1, 0)
OURS = "pytrace-cas"
BUILD = """[genrule(
    name = "gen%d" % n,
    srcs = ["input.txt"],
    outs = ["gen%d.out" % n, "gen%d.log" % n],
    cmd = "(cat $(SRCS); echo %d) > $(location gen%d.out); head -c 40000 /dev/zero > $(location gen%d.log)" % (n, n, n),
) for n in range({actions})]
"""


class BuildFailed(Exception):
    """A timed build did not do what it was asked; the message is Bazel's log."""


def measure_all(
    folder: Path, urls: Sequence[str], peers: Sequence[str], quick: bool, begins: Callable[[str], None]
) -> Iterator[Table | str]:
    """Build through each cache, the given ones, else our own, and then the peers, unless Bazel cannot use one.

    Raises `BuildFailed`.
    """
    if BAZEL is None:
        yield "A warm build is left out: Bazel is not installed (Debian: bazel-bootstrap)."
        return
    actions = QUICK_ACTIONS if quick else ACTIONS
    with ExitStack() as stack:
        caches = {url: url for url in urls}
        if not caches:
            store = ("--dir", str(folder / "warm"), "--workers", "1")
            where = ("--grpc-address", "127.0.0.1:0", "--http-address", "none")
            caches[OURS] = stack.enter_context(started(OURS, (installed("pytrace-cas"), "serve", *store, *where))).url
        caches |= {url: url for url in peers}
        root = folder / "bazel"
        root.mkdir()
        bazel = stack.enter_context(running_bazel(_workspace(folder / "workspace", actions), root, "base"))
        builds = {name: functools.partial(_warm, bazel, url, actions) for name, url in caches.items()}
        refused: dict[str, str] = {}
        for name, url in caches.items():
            begins(f"a warm build through {name}")
            try:
                _clean(bazel)
                _told(bazel.build("//...", f"--remote_cache={url}"))
                builds[name]()  # once more: what a cache or Bazel does only the first time
            except BuildFailed as failure:
                if url not in peers:
                    raise
                refused[name] = _last_error(str(failure))
        taking = {name: build for name, build in builds.items() if name not in refused}
        yield _table(timing.interleave(taking, QUICK_ROUNDS if quick else ROUNDS), refused, actions)


def _workspace(folder: Path, actions: int) -> Path:
    folder.mkdir()
    (folder / "WORKSPACE").write_text('workspace(name = "warm")\n')
    (folder / "BUILD").write_text(BUILD.format(actions=actions))
    (folder / "input.txt").write_text("some input\n")
    return folder


def _warm(bazel: Bazel, url: str, actions: int) -> float:
    """Seconds of a build of which every action is answered."""
    _clean(bazel)
    began = time.monotonic()
    build = bazel.build("//...", f"--remote_cache={url}")
    took = time.monotonic() - began
    if _told(build).processes.get("remote cache hit") != actions:
        raise BuildFailed(build.log)
    return took


def _clean(bazel: Bazel) -> None:
    _told(bazel.run("clean"))


def _told(build: Build) -> Build:
    if build.status:
        raise BuildFailed(build.log)
    return build


def _last_error(log: str) -> str:
    """What Bazel says of a cache that it cannot use."""
    return next((line for line in reversed(log.splitlines()) if "ERROR" in line), "Bazel failed")


def _table(taken: dict[str, list[float]], refused: dict[str, str], actions: int) -> Table:
    first = next(iter(taken))
    rows = [
        (
            name,
            f"{spread(Spread.of(seconds))} s",
            spread(timing.ratios(seconds, taken[first])) if name != first else ABSENT,
        )
        for name, seconds in taken.items()
    ]
    rows += [(name, ABSENT, why) for name, why in refused.items()]
    return Table(f"A warm build of {actions} actions by Bazel", ("cache", "wall", "wall over first"), rows)
