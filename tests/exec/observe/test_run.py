# SPDX-License-Identifier: Apache-2.0
"""What a run keeps while its events are read."""

from __future__ import annotations

import os
from pathlib import Path

from pytrace_cas.digest import SHA256
from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.before import EarlierView
from pytrace_exec.observe.failures import note_held
from pytrace_exec.observe.run import Run, Setting
from pytrace_exec.observe.snapshot import Snapshot
from pytrace_exec.observe.view import LiveView
from pytrace_exec.tracer.events import Call

FOLDERS = 50


def run_in(path: Path) -> Run:
    """A run of which no event was read yet."""
    place = os.fsencode(path)
    earlier = EarlierView(Snapshot.take([place]), LiveView(SHA256), {}, None, 0)
    return Run(Setting(1, place, place, 0o022, os.geteuid(), os.getegid(), {}, (), False, 0), earlier)


def test_each_run_follows_links_anew(tmp_path: Path) -> None:
    link = tmp_path / "link"
    for name in ("one", "two"):
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        assert run_in(tmp_path).real_path(os.fsencode(link)) == os.fsencode(tmp_path / name)


class Counted(dict[tuple[int, bytes], tuple[object, bytes]]):
    """What a run changed, which counts how often all of it is gone through."""

    times = 0

    def values(self):  # type: ignore[no-untyped-def]
        self.times += 1
        return super().values()


def test_what_a_folder_held_counts_where_the_run_took_names_from_it(tmp_path: Path) -> None:
    for number in range(FOLDERS):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / "name").touch()
    run = run_in(tmp_path)
    changes = run.world.changes = Counted()  # type: ignore[assignment]
    call = Call(1, "rmdir", (), -1, None, "ENOTEMPTY", 1, 1)
    paths = [os.fsencode(tmp_path / f"d{number}") for number in range(FOLDERS)]
    for number, path in enumerate(paths):
        folder = run.world.locate(path)
        assert folder is not None
        if number % 2:
            run.world.bind(folder, b"name", None)
        note_held(run, call, folder, path)
    assert [Subject("listing", "", path) in run.subjects for path in paths] == [bool(n % 2) for n in range(FOLDERS)]
    assert changes.times == 0
