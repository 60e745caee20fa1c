# SPDX-License-Identifier: Apache-2.0
"""What is read while a run goes on is what is read after it, or is not used."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_exec.observe.before import EarlierView
from pytrace_exec.observe.meanwhile import Meanwhile, Midway
from pytrace_exec.observe.reader import Reader, read_events
from pytrace_exec.observe.run import Setting, Standing
from pytrace_exec.observe.snapshot import Snapshot
from pytrace_exec.observe.view import LiveView
from pytrace_exec.tracer.events import AT_FDCWD, Call, Exited, Fd, Flags
from tests.exec.observe.test_again import told, traced

if TYPE_CHECKING:
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Event

STARTED = time.time_ns()


class Scene:
    """A root, a place outside of it, and a run in the root."""

    def __init__(self, folder: Path, pid: int = 1) -> None:
        self.outside = folder / "outside"
        self.root = folder / "root"
        for place in (self.outside, self.root):
            place.mkdir(exist_ok=True)
        self.snapshot = Snapshot.take([os.fsencode(self.root)])
        self.pid = pid

    def setting(self) -> Setting:
        place = os.fsencode(self.root)
        none = {number: Standing("null", b"/dev/null") for number in range(3)}
        return Setting(self.pid, place, place, 0o022, os.geteuid(), os.getegid(), none, (), False, STARTED)

    def earlier(self) -> EarlierView:
        return EarlierView(self.snapshot, LiveView(SHA256), {}, None, STARTED)

    def read_after(self, events: list[Event]) -> Run:
        return read_events(events, self.setting(), self.earlier())

    def meanwhile(self) -> Meanwhile:
        return Meanwhile(self.setting, self.snapshot)

    def opened(self, pid: int, name: str, line: int, error: str | None = None) -> Call:
        path = os.fsencode(self.outside / name)
        flags = Flags(frozenset({"O_RDONLY"}))
        return Call(pid, "openat", (Fd(AT_FDCWD, None), path, flags, 0), 3, None, error, line, line)


@pytest.mark.native
@pytest.mark.parametrize("seed", range(6))
def test_in_any_slices_it_is_the_same(seed: int, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (scene.root / "d").mkdir()
    (scene.root / "a").write_text("a")
    scene.snapshot = Snapshot.take([os.fsencode(scene.root)])
    events = traced(seed, scene.root, tmp_path / "log")
    scene.pid = next(event.pid for event in events if isinstance(event, Call))
    chance, meanwhile, come = random.Random(seed), scene.meanwhile(), 0
    while come < len(events):
        come = min(len(events), come + chance.randrange(200))
        while chance.random() < 0.9 and meanwhile.read_some(events[:come]):
            pass
    run = meanwhile.finish(events, scene.setting(), scene.earlier())
    assert run is not None
    assert told(run) == told(scene.read_after(events))


def test_a_child_is_read_when_its_birth_was_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (scene.outside / "f").write_text("f")
    early, late = scene.opened(2, "f", 1), scene.opened(3, "f", 2)
    births = [
        Call(2, "fork", (), 3, None, None, 3, 3),
        Call(1, "fork", (), 2, None, None, 4, 4),
    ]
    events: list[Event] = [early, late, *births, Exited(2, 0, 5)]
    reader = Reader(scene.setting(), scene.earlier())
    for come in range(1, 4):
        assert not reader.read(events[:come], time.monotonic_ns() + 10**10)
        assert not reader.run.subjects
    assert not reader.read(events[:4], time.monotonic_ns() + 10**10)
    assert reader.run.subjects
    reader.read(events)
    assert not reader.finish().reasons
    assert told(reader.run) == told(scene.read_after(events))


@pytest.mark.parametrize(
    "change", ["rm f", "ln f g", "chmod 600 f", "ln -sf g f", "cp f g; mv g f", "ln -sfn . l", "rm l", "mkdir d/x"]
)
def test_what_has_become_something_else_is_read_anew(change: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    (scene.outside / "f").write_text("f")
    (scene.outside / "d").mkdir()
    (scene.outside / "l").symlink_to("d")
    meanwhile = scene.meanwhile()
    events: list[Event] = [scene.opened(1, "f", 1), scene.opened(1, "l/x", 2, "ENOENT")]
    while meanwhile.read_some(events):
        pass
    subprocess.run(["sh", "-ec", change], cwd=scene.outside, check=True)
    assert meanwhile.finish(events, scene.setting(), scene.earlier()) is None


def test_a_script_that_is_another_one_is_read_anew(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    node, script = scene.outside / "node", scene.outside / "s"
    node.write_text("no program")
    script.symlink_to("npm-cli.js")
    words = (b"node", os.fsencode(script))
    events: list[Event] = [
        Call(1, "execve", (os.fsencode(node), words), 0, None, None, 1, 1),
        Call(1, "bind", (Fd(3, None), {"sa_family": Flags(frozenset({"AF_NETLINK"}))}), 0, None, None, 2, 2),
    ]
    for change in ("true", "ln -sf other.js s"):
        meanwhile = scene.meanwhile()
        while meanwhile.read_some(events):
            pass
        subprocess.run(["sh", "-ec", change], cwd=scene.outside, check=True)
        assert (meanwhile.finish(events, scene.setting(), scene.earlier()) is None) == (change != "true")


def test_the_status_that_counts_is_that_after_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    file = scene.outside / "f"
    file.write_text("f")
    events: list[Event] = [scene.opened(1, "f", 1)]
    meanwhile = scene.meanwhile()
    while meanwhile.read_some(events):
        pass
    file.write_text("longer")
    run = meanwhile.finish(events, scene.setting(), scene.earlier())
    assert run is not None
    status = run.world.originals[os.fsencode(file)].status
    assert status is not None
    assert status.st_size == 6


def test_what_was_not_begun_is_read_after_the_run(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.meanwhile().finish([], scene.setting(), scene.earlier()) is None


def test_a_link_that_changes_between_two_looks_is_held_by_its_first_answer(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("first")
    midway = Midway(Snapshot.take([]))
    path = os.fsencode(link)
    assert midway.readlink(path) == b"first"
    link.unlink()
    link.symlink_to("second")
    assert midway.readlink(path) == b"first"
    assert midway.targets == {path: b"first"}
