# SPDX-License-Identifier: Apache-2.0
"""What a run keeps while its events are read."""

from __future__ import annotations

import os
from pathlib import Path

from pytrace_cas.digest import SHA256
from pytrace_exec.observe.before import EarlierView
from pytrace_exec.observe.run import Run, Setting
from pytrace_exec.observe.snapshot import Snapshot
from pytrace_exec.observe.view import LiveView


def run_in(path: Path) -> Run:
    """A run of which no event was read yet."""
    place = os.fsencode(path)
    earlier = EarlierView(Snapshot.take([place]), LiveView(SHA256), {}, None, 0)
    return Run(Setting(1, place, place, 0o022, os.geteuid(), os.getegid(), {}, (), False, 0), earlier, [])


def test_each_run_follows_links_anew(tmp_path: Path) -> None:
    link = tmp_path / "link"
    for name in ("one", "two"):
        link.unlink(missing_ok=True)
        link.symlink_to(name)
        assert run_in(tmp_path).real_path(os.fsencode(link)) == os.fsencode(tmp_path / name)
